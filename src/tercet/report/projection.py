"""A two-dimensional map of embeddings, in which neighbours stay neighbours as far as two dimensions allow."""

import numpy as np
import torch
from torch import Tensor

# t-SNE needs a neighbourhood; smaller data are shown by their principal components.
_MIN_ROWS = 8


def project(embeddings: Tensor, *, aligned_to: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    """Return points `(n, 2)` for embeddings `(n, dim)`: t-SNE on unit vectors, started at the principal components.

    Args:
        embeddings: at least one row.
        aligned_to: an earlier map of the same sentences, `(n, 2)`. t-SNE starts from it, and the result is rotated to
            match it.
        seed: the same seed gives the same points.

    Source: van der Maaten and Hinton 2008, "Visualizing data using t-SNE", by scikit-learn.
    """
    directions = torch.nn.functional.normalize(embeddings.detach().cpu().float(), dim=1)
    start = _principal_components(directions) if aligned_to is None else aligned_to
    if len(embeddings) < _MIN_ROWS or float(np.abs(start).max()) == 0:
        return start
    from sklearn.manifold import TSNE

    start = (start / start.std(axis=0).max() * 1e-4).astype(np.float32)
    perplexity = min(30.0, (len(embeddings) - 1) / 3)
    points = TSNE(2, perplexity=perplexity, init=start, random_state=seed).fit_transform(directions.numpy())
    if aligned_to is not None:
        points = points @ _rotation(points, aligned_to)
    return np.asarray(points)


def _rotation(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the rotation or reflection `(2, 2)` that brings `points` closest to `target` (orthogonal Procrustes)."""
    u, _, v = np.linalg.svd(points.T @ target)
    return np.asarray(u @ v)


def _principal_components(x: Tensor) -> np.ndarray:
    x = x - x.mean(0)
    u, s, _ = torch.linalg.svd(x, full_matrices=False)
    points = (u * s)[:, :2]
    # The sign of a component is arbitrary; its largest value is made positive.
    largest = points.gather(0, points.abs().argmax(0, keepdim=True))
    points = points * torch.where(largest < 0, -1.0, 1.0)
    return torch.nn.functional.pad(points, (0, 2 - points.shape[1])).numpy()
