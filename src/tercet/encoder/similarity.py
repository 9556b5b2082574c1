"""How alike embeddings are, by the names that a saved model may hold; larger is more alike."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

NAMES = ("cosine", "dot", "euclidean", "manhattan")


def matrix(x: Any, y: Any, name: str) -> Tensor:
    """All similarities, negative distances where `name` is one: `(n, dim), (m, dim) → (n, m)`."""
    x, y = _rows(x), _rows(y)
    if name == "cosine":
        return F.normalize(x, dim=1) @ F.normalize(y, dim=1).T
    if name == "dot":
        return x @ y.T
    return -torch.cdist(x, y, p=_power(name))


def pairs(x: Any, y: Any, name: str) -> Tensor:
    """The similarity of each row to the same row: `(n, dim), (n, dim) → (n,)`."""
    x, y = _rows(x), _rows(y)
    if name == "cosine":
        return F.cosine_similarity(x, y)
    if name == "dot":
        return (x * y).sum(dim=1)
    return -torch.linalg.vector_norm(x - y, ord=_power(name), dim=1)


def _power(name: str) -> float:
    return 2.0 if name == "euclidean" else 1.0


def _rows(embeddings: Any) -> Tensor:
    if not isinstance(embeddings, Tensor):
        embeddings = torch.as_tensor(np.asarray(embeddings))
    rows = embeddings if embeddings.dim() > 1 else embeddings.unsqueeze(0)
    return rows if rows.dtype in (torch.float32, torch.float64) else rows.float()
