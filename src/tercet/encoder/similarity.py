"""Similarities of embeddings by name: cosine, dot, or the negative of a distance; larger is more similar."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tercet import distances
from tercet.catalogue import DISTANCES
from tercet.errors import ModelError, listed

# The names that sentence-transformers knows as well.
COMMON_NAMES = ("cosine", "dot", "euclidean", "manhattan")


def similarity_names() -> list[str]:
    """Return the names of all similarities: the common ones, and each distance of the catalogue."""
    return list(dict.fromkeys([*COMMON_NAMES, *DISTANCES]))


def check_name(name: str) -> str:
    """Return the name of a similarity.

    Raises:
        ModelError: no similarity has this name.
    """
    if name not in similarity_names():
        raise ModelError(f"similarity {name!r} is not one of {listed(similarity_names(), limit=20)}")
    return name


def matrix(x: Any, y: Any, name: str) -> Tensor:
    """Return all similarities of the rows of `x` to the rows of `y`: `(n, dim), (m, dim) → (n, m)`.

    Args:
        name: "cosine", "dot", or a distance of `tercet.catalogue.DISTANCES`, whose negative is returned.

    Example:
        >>> matrix([[1.0, 0.0]], [[1.0, 0.0], [0.0, 2.0]], "euclidean").shape
        torch.Size([1, 2])
    """
    a, b = _rows(x), _rows(y)
    if check_name(name) == "cosine":
        return F.normalize(a, dim=1) @ F.normalize(b, dim=1).T
    if name == "dot":
        return a @ b.T
    return -distances.matrix(a, b, name)


def pairs(x: Any, y: Any, name: str) -> Tensor:
    """Return the similarity of each row of `x` to the same row of `y`: `(n, dim), (n, dim) → (n,)`."""
    a, b = _rows(x), _rows(y)
    if check_name(name) == "cosine":
        return F.cosine_similarity(a, b)
    if name == "dot":
        return (a * b).sum(dim=1)
    return -distances.pairs(a, b, name)


def _rows(embeddings: Any) -> Tensor:
    """Return embeddings as rows `(n, dim)` of float32 or float64; one embedding `(dim,)` becomes one row."""
    if not isinstance(embeddings, Tensor):
        embeddings = torch.as_tensor(np.asarray(embeddings))
    rows: Tensor = embeddings if embeddings.dim() > 1 else embeddings.unsqueeze(0)
    return rows if rows.dtype in (torch.float32, torch.float64) else rows.float()
