"""The interface of a distance, and functions of the user's own as distances."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor

from tercet.distances.points import Points, at_least_float32
from tercet.errors import EmbeddingError


class Distance(ABC):
    """A distance between embeddings; smaller is closer.

    A subclass needs `name`, `pairs` and `matrix`, both differentiable, also at distance 0. Losses, metrics, similarity,
    `tercet inspect` and the report then work with it. They call `matrix` with blocks of rows, so that memory grows with
    the number of rows and not with its square. If the distance is a function of the Euclidean norm, derive it from
    `MatrixProductDistance` instead: its losses are several times faster.

    Attributes:
        name: its name on the command line and in records.
        scales_with_norm: whether the distance grows when all embeddings are scaled up.
        non_negative: whether the distance is never below 0. Set it to True where it holds: semi-hard mining then uses
            a faster search, which is wrong for negative distances.

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

    @abstractmethod
    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distance of each row of `x` to the same row of `y`: `(n, dim), (n, dim) → (n,)`."""

    @abstractmethod
    def matrix(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distances of all rows of `x` to all rows of `y`: `(n, dim), (m, dim) → (n, m)`."""

    def upper_bound(self, *, unit_length: bool, dim: int) -> float:
        """Return the largest value that the distance can take, `inf` if there is no bound.

        Args:
            unit_length: whether the embeddings have length 1.
            dim: the dimension of the embeddings.
        """
        return math.inf

    def prepare(self, x: Tensor, centre: Tensor | None = None) -> Points:
        """Return rows `(n, dim)` prepared for `block`, once for many blocks.

        Args:
            centre: the centre of other prepared rows, for distances that subtract it; by default the mean of `x`.
        """
        return Points(rows=at_least_float32(x))

    def block(self, x: Points, y: Points) -> Tensor:
        """Return the distances `(len(x), len(y))` of prepared rows, without a gradient."""
        return self.matrix(x.rows, y.rows)


class FunctionDistance(Distance):
    """A function of the user's own.

    As in sentence-transformers, a batch loss calls it with one set of embeddings for their square matrix; as in
    `torch.nn.TripletMarginWithDistanceLoss`, `TripletLoss` calls it with two sets for the distances of their rows.
    """

    scales_with_norm = False  # It is not known; False disables only the comparison with the norm.

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", str(function))

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """Call the function with both sets of rows."""
        return _check_shape(self.function(x, y), (len(x),))

    def matrix(self, x: Tensor, y: Tensor) -> Tensor:
        """Call the function with one set of rows; `x` and `y` must be the same tensor.

        Raises:
            EmbeddingError: they are two tensors.
        """
        if x is not y:
            raise EmbeddingError(
                "a distance function returns the matrix of one set of embeddings; pass the name of a distance instead"
            )
        return _check_shape(self.function(x), (len(x), len(x)))


def _check_shape(distances: Tensor, expected: tuple[int, ...]) -> Tensor:
    if tuple(distances.shape) != expected:
        raise EmbeddingError(f"the distance function returned shape {tuple(distances.shape)}, expected {expected}")
    return distances
