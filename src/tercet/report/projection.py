"""A map of embeddings: many dimensions laid out in two, so that neighbours stay neighbours as far as that goes."""

import numpy as np
import torch
from torch import Tensor

_FEWEST = 8  # for less there is no neighbourhood to keep


def lay_out(embeddings: Tensor, *, like: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    """Points `(n, 2)` for embeddings `(n, dim)`: t-SNE on directions, begun at the principal components.

    Args:
        like: an earlier layout of the same sentences to start from, and to turn the new one to.

    Van der Maaten and Hinton 2008, "Visualizing data using t-SNE", by scikit-learn.
    """
    directions = torch.nn.functional.normalize(embeddings.detach().cpu().float(), dim=1)
    start = _principal(directions) if like is None else like
    if len(embeddings) < _FEWEST or float(np.abs(start).max()) == 0:
        return start
    from sklearn.manifold import TSNE

    start = (start / start.std(axis=0).max() * 1e-4).astype(np.float32)
    perplexity = min(30.0, (len(embeddings) - 1) / 3)
    points = TSNE(2, perplexity=perplexity, init=start, random_state=seed).fit_transform(directions.numpy())
    if like is not None:
        points = points @ _turn(points, like)
    return np.asarray(points)


def _turn(points: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The rotation or reflection of `points` nearest to `like`: t-SNE sees none of them (orthogonal Procrustes)."""
    u, _, v = np.linalg.svd(points.T @ like)
    return np.asarray(u @ v)


def _principal(x: Tensor) -> np.ndarray:
    x = x - x.mean(0)
    u, s, _ = torch.linalg.svd(x, full_matrices=False)
    points = (u * s)[:, :2]
    # A direction and its opposite are one; the sign of its largest part decides.
    largest = points.gather(0, points.abs().argmax(0, keepdim=True))
    points = points * torch.where(largest < 0, -1.0, 1.0)
    return torch.nn.functional.pad(points, (0, 2 - points.shape[1])).numpy()
