"""The interface of distances, and an adapter for user-defined functions."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor

from tercet.distances.points import Points, at_least_float32
from tercet.errors import EmbeddingError


class Distance(ABC):
    """A distance between embeddings. A smaller distance means more similar.

    A subclass defines `name`, `pairs` and `matrix`. Both methods must be differentiable, also at distance 0. Losses,
    metrics, similarity, `tercet inspect` and the report then work with the distance. They call `matrix` with blocks of
    rows, so memory grows linearly with the number of rows. If the distance is a function of the Euclidean norm, derive
    it from `MatrixProductDistance` instead: the losses are then several times faster.

    Attributes:
        name: the name of the distance on the command line and in records.
        scales_with_norm: whether the distance grows if all embeddings are multiplied by a factor above 1.
        non_negative: whether the distance is at least 0 for every pair. If this is so, set it to True: semi-hard mining
            then uses a faster search, which gives wrong results for distances below 0.
        normalizes: whether the distance scales the embeddings to length 1, as the cosine distance does. A row that is
            too short for its dtype is then an error.

    Example:
        >>> import math, torch
        >>> from tercet import catalogue, distances
        >>> class Chebyshev(distances.Distance):
        ...     name = "chebyshev"
        ...     non_negative = True
        ...
        ...     def pairs(self, x, y):
        ...         return (x - y).abs().amax(1)
        ...
        ...     def matrix(self, x, y):
        ...         return torch.cdist(x, y, p=math.inf)
        >>> spec = catalogue.DistanceSpec(name="chebyshev", distance=Chebyshev(), summary="max |xᵢ − yᵢ|")
        >>> _ = catalogue.DISTANCES.register(spec)
        >>> distances.matrix(torch.zeros(1, 2), torch.tensor([[1.0, -3.0]]), "chebyshev")
        tensor([[3.]])
        >>> catalogue.DISTANCES.unregister("chebyshev")
    """

    name: str
    scales_with_norm: bool = True
    non_negative: bool = False
    normalizes: bool = False

    @abstractmethod
    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distance from each row of `x` to the same row of `y`: `(n, dim), (n, dim) → (n,)`."""

    @abstractmethod
    def matrix(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distance from each row of `x` to each row of `y`: `(n, dim), (m, dim) → (n, m)`."""

    def upper_bound(self, *, unit_length: bool, dim: int) -> float:
        """Return an upper bound of the distance; `inf` if there is none.

        Args:
            unit_length: whether all embeddings have length 1.
            dim: the dimension of the embeddings.
        """
        return math.inf

    def prepare(self, x: Tensor, centre: Tensor | None = None) -> Points:
        """Prepare embeddings for `block`, so that this work is done once for many blocks.

        Args:
            x: `(n, dim)`, the embeddings.
            centre: `(dim,)`, the vector to subtract, if the distance centres its rows. For a gallery, pass the centre
                of the queries. None uses the mean of the rows.
        """
        return Points(rows=at_least_float32(x))

    def block(self, x: Points, y: Points) -> Tensor:
        """Return the distance `(n, m)` from each of n prepared rows to each of m. It need not be differentiable."""
        return self.matrix(x.rows, y.rows)


class FunctionDistance(Distance):
    """An adapter for a user-defined distance function.

    A batch loss calls the function with one tensor `(n, dim)` and expects the matrix of all distances `(n, n)`, as in
    sentence-transformers. `TripletLoss` calls it with two tensors, each `(n, dim)`, and expects the distances `(n,)`
    from each row to the same row, as in `torch.nn.TripletMarginWithDistanceLoss`.
    """

    scales_with_norm = False  # Unknown. False only disables the comparison of distances with the embedding norm.

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", str(function))

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """Call the function with `x` and `y`. Raise `EmbeddingError` unless the result has the shape `(n,)`."""
        return _check_shape(self.function(x, y), (len(x),))

    def matrix(self, x: Tensor, y: Tensor) -> Tensor:
        """Call the function with one tensor and check the shape of the result. `x` and `y` must be the same object.

        Raises:
            EmbeddingError: `x` and `y` are different tensors, or the result has the wrong shape.
        """
        if x is not y:
            raise EmbeddingError(
                "a distance function computes distances within one set of embeddings only, but x and y are different "
                "tensors; pass the name of a distance, such as 'euclidean', or a tercet.distances.Distance"
            )
        return _check_shape(self.function(x), (len(x), len(x)))


def _check_shape(distances: Tensor, expected: tuple[int, ...]) -> Tensor:
    if tuple(distances.shape) != expected:
        raise EmbeddingError(f"the distance function returned shape {tuple(distances.shape)}, expected {expected}")
    return distances
