"""Compute distances that are given by name, as an object or as a function."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tercet.catalogue import DISTANCES, resolve
from tercet.distances.base import Distance, FunctionDistance
from tercet.distances.points import at_least_float32
from tercet.distances.validation import as_embeddings, check_norms
from tercet.errors import EmbeddingError

# A name in the catalogue, a `Distance`, or a user-defined function.
DistanceLike = str | Distance | Callable[..., Tensor]


def get_distance(distance: DistanceLike) -> Distance:
    """Return the `Distance` for a name, an object or a function.

    A name is looked up in the catalogue. An object is returned unchanged. A function becomes a `FunctionDistance`.

    Raises:
        EmbeddingError: no distance in the catalogue has this name.
    """
    if isinstance(distance, Distance):
        return distance
    if callable(distance) and not isinstance(distance, str):
        return FunctionDistance(distance)
    found: Distance = resolve(DISTANCES.find(distance, EmbeddingError).distance)
    return found


def matrix(x: Any, y: Any, distance: DistanceLike = "euclidean") -> Tensor:
    """Return the distance from each row of `x` to each row of `y`: `(n, dim), (m, dim) → (n, m)`.

    Named distances and `Distance` objects are computed in float32 or float64, without autocast. A user-defined function
    is called with `x` only, so `y` must be the same tensor as `x`.

    Args:
        x: `(n, dim)`, a tensor, an array or nested lists.
        y: `(m, dim)`, like `x`.
        distance: the name of a distance in the catalogue, a `Distance`, or a function.

    Raises:
        EmbeddingError: the distance is unknown; or `x` and `y` have different dimensions or a value that the distance
            cannot use (see `check_norms`). For a function: `x` and `y` are different tensors, or the result does not
            have the shape `(n, n)`.

    Example:
        >>> import torch
        >>> from tercet.distances import matrix
        >>> x = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
        >>> matrix(x, x, "manhattan").tolist()
        [[0.0, 3.0], [3.0, 0.0]]
    """
    found = get_distance(distance)
    if not isinstance(found, FunctionDistance):
        x, y = _checked(x, y, found)
    return checked_matrix(x, y, found)


def checked_matrix(x: Tensor, y: Tensor, distance: Distance) -> Tensor:
    """Return the same as `matrix` for embeddings that are already checked, without reading their values."""
    if isinstance(distance, FunctionDistance):
        return distance.matrix(x, y)
    with torch.autocast(x.device.type, enabled=False):
        return distance.matrix(at_least_float32(x), at_least_float32(y))


def pairs(x: Any, y: Any, distance: DistanceLike = "euclidean") -> Tensor:
    """Return the distance from each row of `x` to the same row of `y`: `(n, dim), (n, dim) → (n,)`.

    Named distances and `Distance` objects are computed in float32 or float64, without autocast. A user-defined function
    is called with `x` and `y` as they are.

    Raises:
        EmbeddingError: the distance is unknown, a function does not return the shape `(n,)`, or `x` and `y` have
            different shapes or a value that a named distance cannot use (see `check_norms`).
    """
    found = get_distance(distance)
    if not isinstance(found, FunctionDistance):
        x, y = _checked(x, y, found)
        if len(x) != len(y):
            raise EmbeddingError(f"x and y must have the same number of rows, got {len(x)} and {len(y)}")
    return checked_pairs(x, y, found)


def checked_pairs(x: Tensor, y: Tensor, distance: Distance) -> Tensor:
    """Return the same as `pairs` for embeddings that are already checked, without reading their values."""
    if isinstance(distance, FunctionDistance):
        return distance.pairs(x, y)
    with torch.autocast(x.device.type, enabled=False):
        return distance.pairs(at_least_float32(x), at_least_float32(y))


def _checked(x: Any, y: Any, distance: Distance) -> tuple[Tensor, Tensor]:
    """Return both as tensors with a common dtype. Raise `EmbeddingError` if their distances cannot be computed."""
    x, y = as_embeddings(x, "x"), as_embeddings(y, "y")
    if x.shape[1] != y.shape[1]:
        raise EmbeddingError(f"x and y must have the same dimension, got {x.shape[1]} and {y.shape[1]}")
    check_norms(x, distance, "x")
    if y is not x:
        check_norms(y, distance, "y")
    common = torch.promote_types(x.dtype, y.dtype)
    return x.to(common), y.to(common)
