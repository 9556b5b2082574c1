"""Distances between embeddings; smaller is closer, everywhere in Tercet.

`matrix` gives all distances between two sets of rows, `pairs` gives them row by row, and
`upper_bound` says how large a distance can get. All compute in float32 or better, outside autocast,
and from differences of coordinates: the expanded square ‖x‖² − 2xy + ‖y‖² loses near-duplicates to
cancellation (float32 unit vectors 1e-4 apart come out at distance 0).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tercet.errors import EmbeddingError, listed

Distance = str | Callable[..., Tensor]

NAMES = ("euclidean", "cosine", "manhattan")


def check_distance(distance: Distance) -> Distance:
    """Return `distance` if it is a known name or a callable, and raise `EmbeddingError` otherwise."""
    if callable(distance) or distance in NAMES:
        return distance
    raise EmbeddingError(f"unknown distance {distance!r}; take one of {listed(NAMES)}, or a function")


def matrix(x: Tensor, y: Tensor, distance: Distance = "euclidean") -> Tensor:
    """All distances from the rows of `x` to the rows of `y`: `(n, dim), (m, dim) → (n, m)`.

    The gradient at distance exactly 0 is 0. A callable `distance` takes one set of embeddings and
    gives its square matrix, as in sentence-transformers, so it needs `x is y`.
    """
    check_distance(distance)
    if callable(distance):
        if x is not y:
            raise EmbeddingError(
                "a distance function gives the matrix of one set of embeddings; name a distance instead"
            )
        return _checked_shape(distance(x), (len(x), len(x)))
    with torch.autocast(x.device.type, enabled=False):
        x, y = at_least_float32(x), at_least_float32(y)
        if distance == "manhattan":
            return torch.cdist(x, y, p=1.0)
        if distance == "euclidean":
            return _euclidean_matrix(x, y)
        missing = no_direction(x).unsqueeze(1) + no_direction(y)
        return (_euclidean_matrix(_unit(x), _unit(y)).square() + missing) / 2


def pairs(x: Tensor, y: Tensor, distance: Distance = "euclidean") -> Tensor:
    """The distance from each row of `x` to the same row of `y`: `(n, dim), (n, dim) → (n,)`.

    A callable `distance` takes both and gives `(n,)`, as in `torch.nn.TripletMarginWithDistanceLoss`.
    """
    check_distance(distance)
    if callable(distance):
        return _checked_shape(distance(x, y), (len(x),))
    with torch.autocast(x.device.type, enabled=False):
        x, y = at_least_float32(x), at_least_float32(y)
        if distance == "cosine":
            missing = no_direction(x) + no_direction(y)
            return ((_unit(x) - _unit(y)).square().sum(1) + missing) / 2
        return torch.linalg.vector_norm(x - y, ord=1 if distance == "manhattan" else 2, dim=1)


def upper_bound(distance: Distance, *, unit_length: bool, dim: int) -> float:
    """The largest value that the distance can take, `inf` where it has no bound.

    Args:
        unit_length: whether the embeddings are known to have length 1.
        dim: the dimension of the embeddings; Manhattan distance grows with it.
    """
    if distance == "cosine":
        return 2.0
    if unit_length and distance == "euclidean":
        return 2.0
    if unit_length and distance == "manhattan":
        return 2.0 * math.sqrt(dim)
    return math.inf


def measured_points(x: Tensor, distance: str) -> Tensor:
    """The points `(n, dim)` whose differences give the distance: in float32 or better, of unit length for cosine."""
    x = at_least_float32(x)
    return _unit(x) if distance == "cosine" else x


def _euclidean_matrix(x: Tensor, y: Tensor) -> Tensor:
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def _unit(x: Tensor) -> Tensor:
    """Rows of length 1; rows of zeros stay, with a finite gradient where `normalize` has 1e12."""
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / length.masked_fill(length == 0, 1)


def no_direction(x: Tensor) -> Tensor:
    """1 for rows of zeros, which have cosine similarity 0 to everything, and 0 for the others."""
    return (x == 0).all(dim=1).to(x.dtype)


def at_least_float32(x: Tensor) -> Tensor:
    """`x`, in float32 where it has half precision."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _checked_shape(distances: Tensor, wanted: tuple[int, ...]) -> Tensor:
    if tuple(distances.shape) != wanted:
        raise EmbeddingError(f"the distance function gave shape {tuple(distances.shape)}, wanted {wanted}")
    return distances
