"""Compute distances that are given by name, as an object or as a function."""

from collections.abc import Callable

import torch
from torch import Tensor

from tercet.catalogue import DISTANCES, resolve
from tercet.distances.base import Distance, FunctionDistance
from tercet.distances.points import at_least_float32
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
    if callable(distance):
        return FunctionDistance(distance)
    found: Distance = resolve(DISTANCES.find(distance, EmbeddingError).distance)
    return found


def matrix(x: Tensor, y: Tensor, distance: DistanceLike = "euclidean") -> Tensor:
    """Return the distance from each row of `x` to each row of `y`: `(n, dim), (m, dim) → (n, m)`.

    Named distances and `Distance` objects are computed in float32 or float64, without autocast. A user-defined function
    is called with `x` only, so `y` must be the same tensor as `x`.

    Args:
        x: `(n, dim)`.
        y: `(m, dim)`.
        distance: the name of a distance in the catalogue, a `Distance`, or a function.

    Raises:
        EmbeddingError: the distance is unknown. For a function: `x` and `y` are different tensors, or the result does
            not have the shape `(n, n)`.

    Example:
        >>> import torch
        >>> from tercet.distances import matrix
        >>> x = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
        >>> matrix(x, x, "manhattan").tolist()
        [[0.0, 3.0], [3.0, 0.0]]
    """
    found = get_distance(distance)
    if isinstance(found, FunctionDistance):
        return found.matrix(x, y)
    with torch.autocast(x.device.type, enabled=False):
        return found.matrix(at_least_float32(x), at_least_float32(y))


def pairs(x: Tensor, y: Tensor, distance: DistanceLike = "euclidean") -> Tensor:
    """Return the distance from each row of `x` to the same row of `y`: `(n, dim), (n, dim) → (n,)`.

    Named distances and `Distance` objects are computed in float32 or float64, without autocast. A user-defined function
    is called with `x` and `y` as they are.

    Raises:
        EmbeddingError: the distance is unknown, or a function does not return the shape `(n,)`.
    """
    found = get_distance(distance)
    if isinstance(found, FunctionDistance):
        return found.pairs(x, y)
    with torch.autocast(x.device.type, enabled=False):
        return found.pairs(at_least_float32(x), at_least_float32(y))
