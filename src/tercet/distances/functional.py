"""Distances by name, by object or by function: the pure functions that the rest of Tercet calls."""

from collections.abc import Callable

import torch
from torch import Tensor

from tercet.catalogue import DISTANCES, resolve
from tercet.distances.base import Distance, FunctionDistance
from tercet.distances.points import at_least_float32
from tercet.errors import EmbeddingError

# A name in the catalogue, a distance object, or a function of the user's own.
DistanceLike = str | Distance | Callable[..., Tensor]


def get_distance(distance: DistanceLike) -> Distance:
    """Return the distance of a name; a function of the user's own becomes a `FunctionDistance`.

    Raises:
        EmbeddingError: no distance has this name.
    """
    if isinstance(distance, Distance):
        return distance
    if callable(distance):
        return FunctionDistance(distance)
    found: Distance = resolve(DISTANCES.find(distance, EmbeddingError).distance)
    return found


def matrix(x: Tensor, y: Tensor, distance: DistanceLike = "euclidean") -> Tensor:
    """Return all distances from the rows of `x` to the rows of `y`: `(n, dim), (m, dim) → (n, m)`.

    Computed in float32 or better, outside autocast. A function of the user's own takes one set of embeddings, so it
    needs `x is y`.

    Args:
        distance: the name of a distance in the catalogue, a `Distance`, or a function.

    Raises:
        EmbeddingError: the distance is unknown, or does not return this shape.

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

    Computed in float32 or better, outside autocast.

    Raises:
        EmbeddingError: the distance is unknown, or does not return this shape.
    """
    found = get_distance(distance)
    if isinstance(found, FunctionDistance):
        return found.pairs(x, y)
    with torch.autocast(x.device.type, enabled=False):
        return found.pairs(at_least_float32(x), at_least_float32(y))
