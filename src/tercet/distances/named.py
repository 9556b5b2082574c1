"""The distances that Tercet has: Euclidean, cosine and Manhattan."""

import math

import torch
from torch import Tensor

from tercet.distances.base import Distance
from tercet.distances.matrix_product import MatrixProductDistance
from tercet.distances.points import at_least_float32, unit_rows, zero_rows


class EuclideanDistance(MatrixProductDistance):
    """‖x − y‖. The gradient at distance 0 is 0."""

    name = "euclidean"

    def upper_bound(self, *, unit_length: bool, dim: int) -> float:
        """Return 2 for unit vectors."""
        return 2.0 if unit_length else math.inf


class CosineDistance(MatrixProductDistance):
    """1 − cos(x, y), computed as ½‖x/‖x‖ − y/‖y‖‖². A row of zeros has distance 1 to every row."""

    name = "cosine"
    scales_with_norm = False
    half_squared = True

    def points(self, x: Tensor) -> Tensor:
        """Return unit vectors."""
        return unit_rows(at_least_float32(x))

    def row_offsets(self, points: Tensor) -> Tensor:
        """Return 1 for each row of zeros: ½‖0 − y/‖y‖‖² is only ½, and its distance is 1."""
        return zero_rows(points)

    def upper_bound(self, *, unit_length: bool, dim: int) -> float:
        """Return 2."""
        return 2.0


class ManhattanDistance(Distance):
    """Σ |xᵢ − yᵢ|. The gradient at distance 0 is 0."""

    name = "manhattan"
    non_negative = True

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """Return Σ |xᵢ − yᵢ| row by row, `(n,)`."""
        norms: Tensor = torch.linalg.vector_norm(x - y, ord=1, dim=1)
        return norms

    def matrix(self, x: Tensor, y: Tensor) -> Tensor:
        """Return Σ |xᵢ − yᵢ| for all pairs, `(n, m)`."""
        return torch.cdist(x, y, p=1.0)

    def upper_bound(self, *, unit_length: bool, dim: int) -> float:
        """Return 2 √dim for unit vectors."""
        return 2.0 * math.sqrt(dim) if unit_length else math.inf


EUCLIDEAN = EuclideanDistance()
COSINE = CosineDistance()
MANHATTAN = ManhattanDistance()
