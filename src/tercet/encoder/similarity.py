"""Compute similarities of embeddings by name: cosine, dot, or the negative of a distance.

A larger value means more similar.
"""

from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tercet import distances
from tercet.catalogue import DISTANCES
from tercet.distances.validation import plain_array
from tercet.errors import EmbeddingError, ModelError, listed

# The similarity names that sentence-transformers also supports.
COMMON_NAMES = ("cosine", "dot", "euclidean", "manhattan")


class SimilarityFunction(Enum):
    """The similarities that sentence-transformers also supports, for code that names them by an enum."""

    COSINE = "cosine"
    DOT_PRODUCT = "dot"
    DOT = "dot"
    EUCLIDEAN = "euclidean"
    MANHATTAN = "manhattan"

    @staticmethod
    def to_similarity_fn(name: "str | SimilarityFunction") -> Callable[[Any, Any], Tensor]:
        """Return the function of two matrices `(n, dim), (m, dim) → (n, m)`."""
        return partial(matrix, name=check_name(name))

    @staticmethod
    def to_similarity_pairwise_fn(name: "str | SimilarityFunction") -> Callable[[Any, Any], Tensor]:
        """Return the function of the rows of two matrices `(n, dim), (n, dim) → (n,)`."""
        return partial(pairs, name=check_name(name))

    @staticmethod
    def possible_values() -> list[str]:
        """Return the names."""
        return [member.value for member in SimilarityFunction]


def similarity_names() -> list[str]:
    """Return the names of all similarities: `COMMON_NAMES`, and the name of each distance in the catalogue."""
    return list(dict.fromkeys([*COMMON_NAMES, *DISTANCES]))


def check_name(name: Any) -> str:
    """Return the name of a similarity, which may also be a member of an enum with this value.

    Raises:
        ModelError: no similarity is called `name`.
    """
    name = name.value if isinstance(name, Enum) else name
    if name not in similarity_names():
        raise ModelError(f"unknown similarity {name!r}; choose one of {listed(similarity_names(), limit=20)}")
    return str(name)


def matrix(x: Any, y: Any, name: str) -> Tensor:
    """Return the similarity of every row of `x` to every row of `y`: `(n, dim), (m, dim) → (n, m)`.

    Args:
        name: "cosine", "dot", or the name of a distance in `tercet.catalogue.DISTANCES`. For a distance, the negative
            distance is returned.

    Raises:
        ModelError: no similarity is called `name`.
        EmbeddingError: the dimensions differ, or a value is NaN, infinite, or too large or too small.

    Example:
        >>> matrix([[1.0, 0.0]], [[1.0, 0.0], [0.0, 2.0]], "euclidean").shape
        torch.Size([1, 2])
    """
    a, b = _both(x, y, check_name(name))
    if name == "cosine":
        return distances.unit_rows(a) @ distances.unit_rows(b).T
    if name == "dot":
        return a @ b.T
    return -distances.matrix(a, b, name)


def pairs(x: Any, y: Any, name: str) -> Tensor:
    """Return the similarity of row i of `x` to row i of `y`, for every i: `(n, dim), (n, dim) → (n,)`."""
    a, b = _both(x, y, check_name(name))
    if len(a) != len(b):
        raise EmbeddingError(f"got {len(a)} and {len(b)} embeddings; pass the same number, to compare row by row")
    if name == "cosine":
        return (distances.unit_rows(a) * distances.unit_rows(b)).sum(dim=1)
    if name == "dot":
        return (a * b).sum(dim=1)
    return -distances.pairs(a, b, name)


def _both(x: Any, y: Any, name: str) -> tuple[Tensor, Tensor]:
    """Return both sides as tensors `(n, dim)` of one dtype.

    Raises:
        EmbeddingError: the dimensions differ, or a value is NaN, infinite, or too large or too small.
    """
    a, b = as_rows(x, "x"), as_rows(y, "y")
    if a.shape[1] != b.shape[1]:
        raise EmbeddingError(f"the embeddings must have the same dimension, got {a.shape[1]} and {b.shape[1]}")
    for rows, side in ((a, "x"), (b, "y")):
        distances.check_norms(rows, distances.COSINE if name == "cosine" else distances.EUCLIDEAN, side)
    common = torch.promote_types(a.dtype, b.dtype)
    return a.to(common), b.to(common)


def as_array(embeddings: Any) -> np.ndarray:
    """Return a tensor, an array, or a list of tensors or numbers as an array on the CPU; bfloat16 becomes float32."""
    if isinstance(embeddings, Tensor):
        embeddings = embeddings.detach().cpu()
        return np.asarray(embeddings.float() if embeddings.dtype == torch.bfloat16 else embeddings)
    if isinstance(embeddings, (list, tuple)) and any(isinstance(row, Tensor) for row in embeddings):
        return np.stack([as_array(row) for row in embeddings])
    return np.asarray(embeddings)


def as_rows(embeddings: Any, name: str) -> Tensor:
    """Return embeddings as a tensor `(n, dim)`; one embedding `(dim,)` becomes `(1, dim)`.

    float64 stays float64; every other dtype becomes float32. A sparse tensor becomes a dense one.
    """
    if isinstance(embeddings, Tensor) and embeddings.layout is not torch.strided:
        embeddings = embeddings.to_dense()
    if isinstance(embeddings, (list, tuple)) and any(isinstance(row, Tensor) for row in embeddings):
        return distances.at_least_float32(distances.as_embeddings(embeddings, name))
    try:
        rows = embeddings if isinstance(embeddings, Tensor) else torch.as_tensor(plain_array(np.asarray(embeddings)))
    except (TypeError, ValueError):  # texts, None, or rows of different lengths
        raise EmbeddingError(
            f"{name} must be an array or a tensor of numbers (n, dim), got {type(embeddings).__name__} with other "
            "values or rows of different lengths; pass embeddings, not sentences"
        ) from None
    if rows.is_complex():
        raise EmbeddingError(f"{name} has complex numbers; pass real embeddings")
    rows = rows if rows.dim() > 1 else rows.unsqueeze(0)
    return distances.as_embeddings(distances.at_least_float32(rows), name)
