"""Compute similarities of embeddings by name: cosine, dot, or the negative of a distance.

A larger value means more similar.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tercet import distances
from tercet.catalogue import DISTANCES
from tercet.errors import ModelError, listed

# The similarity names that sentence-transformers also supports.
COMMON_NAMES = ("cosine", "dot", "euclidean", "manhattan")


def similarity_names() -> list[str]:
    """Return the names of all similarities: `COMMON_NAMES`, and the name of each distance in the catalogue."""
    return list(dict.fromkeys([*COMMON_NAMES, *DISTANCES]))


def check_name(name: str) -> str:
    """Return `name` unchanged if it is the name of a similarity.

    Raises:
        ModelError: no similarity is called `name`.
    """
    if name not in similarity_names():
        raise ModelError(f"unknown similarity {name!r}; choose one of {listed(similarity_names(), limit=20)}")
    return name


def matrix(x: Any, y: Any, name: str) -> Tensor:
    """Return the similarity of every row of `x` to every row of `y`: `(n, dim), (m, dim) → (n, m)`.

    Args:
        name: "cosine", "dot", or the name of a distance in `tercet.catalogue.DISTANCES`. For a distance, the negative
            distance is returned.

    Raises:
        ModelError: no similarity is called `name`.

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
    """Return the similarity of row i of `x` to row i of `y`, for every i: `(n, dim), (n, dim) → (n,)`."""
    a, b = _rows(x), _rows(y)
    if check_name(name) == "cosine":
        return F.cosine_similarity(a, b)
    if name == "dot":
        return (a * b).sum(dim=1)
    return -distances.pairs(a, b, name)


def _rows(embeddings: Any) -> Tensor:
    """Return embeddings as a tensor `(n, dim)`; one embedding `(dim,)` becomes `(1, dim)`.

    float64 stays float64; every other dtype becomes float32.
    """
    if not isinstance(embeddings, Tensor):
        embeddings = torch.as_tensor(np.asarray(embeddings))
    rows: Tensor = embeddings if embeddings.dim() > 1 else embeddings.unsqueeze(0)
    return rows if rows.dtype in (torch.float32, torch.float64) else rows.float()
