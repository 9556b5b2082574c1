"""The built-in distances: Euclidean, cosine and Manhattan."""

import math

import torch
from torch import Tensor

from tercet.distances.base import Distance
from tercet.distances.matrix_product import MatrixProductDistance
from tercet.distances.points import at_least_float32, unit_rows, zero_rows


class EuclideanDistance(MatrixProductDistance):
    """The Euclidean distance ‖x − y‖. Its gradient at distance 0 is 0."""

    name = "euclidean"

    def upper_bound(self, *, unit_length: bool, dim: int) -> float:
        """Return 2 for unit vectors, else `inf`."""
        return 2.0 if unit_length else math.inf


class CosineDistance(MatrixProductDistance):
    """The cosine distance 1 − cos(x, y), computed as ½‖x/‖x‖ − y/‖y‖‖². A zero vector has distance 1 to all vectors."""

    name = "cosine"
    scales_with_norm = False
    half_squared = True
    normalizes = True

    def points(self, x: Tensor) -> Tensor:
        """Return the embeddings, scaled to length 1."""
        return unit_rows(at_least_float32(x))

    def row_offsets(self, points: Tensor) -> Tensor:
        """Return 1 for each zero row, else 0. For a zero row, ½‖0 − y/‖y‖‖² is ½; the offset adds the missing ½."""
        return zero_rows(points)

    def upper_bound(self, *, unit_length: bool, dim: int) -> float:
        """Return 2, the distance of opposite vectors."""
        return 2.0


class ManhattanDistance(Distance):
    """The Manhattan distance Σ |xᵢ − yᵢ|. Its gradient at distance 0 is 0."""

    name = "manhattan"
    non_negative = True

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """Return Σ |xᵢ − yᵢ| for each row of `x` and the same row of `y`: `(n, dim), (n, dim) → (n,)`."""
        norms: Tensor = torch.linalg.vector_norm(x - y, ord=1, dim=1)
        return norms

    def matrix(self, x: Tensor, y: Tensor) -> Tensor:
        """Return Σ |xᵢ − yᵢ| for each row of `x` and each row of `y`: `(n, dim), (m, dim) → (n, m)`."""
        return torch.cdist(x, y, p=1.0)

    def upper_bound(self, *, unit_length: bool, dim: int) -> float:
        """Return 2 √dim for unit vectors, else `inf`."""
        return 2.0 * math.sqrt(dim) if unit_length else math.inf


EUCLIDEAN = EuclideanDistance()
COSINE = CosineDistance()
MANHATTAN = ManhattanDistance()
