"""Project embeddings to two dimensions with t-SNE, for the maps of the report."""

import numpy as np
import torch
from torch import Tensor

# With fewer rows, the result is the initialization, because t-SNE needs several neighbours of each row.
MIN_ROWS = 8


def project(embeddings: Tensor, *, aligned_to: np.ndarray | None = None) -> np.ndarray:
    """Return a two-dimensional point for each embedding: `(n, dim) → (n, 2)`.

    The embeddings are scaled to unit length and projected with t-SNE. With fewer than 8 embeddings, or if all are
    equal, the result is their first two principal components. The same embeddings always give the same points.

    Args:
        embeddings: the embeddings `(n, dim)`; n is at least 1.
        aligned_to: the points `(n, 2)` of another map of the same sentences. t-SNE is initialized with them, and the
            result is rotated or reflected to be as close to them as possible. By default, t-SNE is initialized with the
            first two principal components.

    Source: van der Maaten and Hinton 2008, "Visualizing data using t-SNE", by scikit-learn.

    Example:
        >>> project(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])).shape
        (2, 2)
    """
    directions = torch.nn.functional.normalize(embeddings.detach().cpu().float(), dim=1)
    components = _principal_components(directions)
    if len(embeddings) < MIN_ROWS or float(np.abs(components).max()) == 0:
        return components if aligned_to is None else components @ _rotation(components, aligned_to)
    start = components if aligned_to is None or float(np.abs(aligned_to).max()) == 0 else aligned_to
    from sklearn.manifold import TSNE

    start = (start / start.std(axis=0).max() * 1e-4).astype(np.float32)
    perplexity = min(30.0, (len(embeddings) - 1) / 3)
    points = TSNE(2, perplexity=perplexity, init=start, random_state=0).fit_transform(directions.numpy())
    if aligned_to is not None:
        points = points @ _rotation(points, aligned_to)
    return np.asarray(points)


def _rotation(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the orthogonal matrix `(2, 2)` that maps `points` closest to `target` (orthogonal Procrustes)."""
    u, _, v = np.linalg.svd(points.T @ target)
    return np.asarray(u @ v)


def _principal_components(x: Tensor) -> np.ndarray:
    x = x - x.mean(0)
    u, s, _ = torch.linalg.svd(x, full_matrices=False)
    points = (u * s)[:, :2]
    # The sign of a component is arbitrary. Choose it so that the value with the largest magnitude is positive.
    largest = points.gather(0, points.abs().argmax(0, keepdim=True))
    points = points * torch.where(largest < 0, -1.0, 1.0)
    return torch.nn.functional.pad(points, (0, 2 - points.shape[1])).numpy()
