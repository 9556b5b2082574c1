"""The distances that Tercet has: Euclidean, cosine and Manhattan.

They compute from differences of coordinates: the expanded square ‖x‖² − 2xy + ‖y‖² loses near-duplicates to
cancellation (float32 unit vectors 1e-4 apart come out at distance 0). `block` uses the matrix product, for the
many distances of a nearest-neighbour search, after it has subtracted the mean of the rows.
"""

import math

import torch
from torch import Tensor

from tercet.distances.base import Distance
from tercet.distances.points import Points, at_least_float32, unit_rows, zero_rows


class EuclideanDistance(Distance):
    """‖x − y‖. The gradient at distance 0 is 0."""

    name = "euclidean"

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """Return ‖x − y‖ row by row, `(n,)`."""
        return torch.linalg.vector_norm(x - y, ord=2, dim=1)

    def matrix(self, x: Tensor, y: Tensor) -> Tensor:
        """Return ‖x − y‖ for all pairs, `(n, m)`."""
        return _norm_of_differences(x, y)

    def upper_bound(self, *, unit_length: bool, dim: int) -> float:
        """Return 2 for unit vectors."""
        return 2.0 if unit_length else math.inf

    def prepare(self, x: Tensor, centre: Tensor | None = None) -> Points:
        """Centre the rows and compute their squares."""
        return _centred(at_least_float32(x), centre)

    def block(self, x: Points, y: Points) -> Tensor:
        """Return the distances by a matrix product."""
        return _half_squares(x, y).mul_(2).sqrt_()


class CosineDistance(Distance):
    """1 − cos(x, y), computed as ½‖x/‖x‖ − y/‖y‖‖². Rows of zeros have distance 1 to every row."""

    name = "cosine"
    scales_with_norm = False

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """Return 1 − cos row by row, `(n,)`."""
        missing = zero_rows(x) + zero_rows(y)
        return ((unit_rows(x) - unit_rows(y)).square().sum(1) + missing) / 2

    def matrix(self, x: Tensor, y: Tensor) -> Tensor:
        """Return 1 − cos for all pairs, `(n, m)`."""
        missing = zero_rows(x).unsqueeze(1) + zero_rows(y)
        return (_norm_of_differences(unit_rows(x), unit_rows(y)).square() + missing) / 2

    def upper_bound(self, *, unit_length: bool, dim: int) -> float:
        """Return 2."""
        return 2.0

    def points(self, x: Tensor) -> Tensor:
        """Return unit vectors."""
        return unit_rows(at_least_float32(x))

    def prepare(self, x: Tensor, centre: Tensor | None = None) -> Points:
        """Scale the rows to length 1, centre them, and compute their squares."""
        return _centred(self.points(x), centre, missing=zero_rows(x))

    def block(self, x: Points, y: Points) -> Tensor:
        """Return the distances by a matrix product."""
        return _half_squares(x, y)


class ManhattanDistance(Distance):
    """Σ |xᵢ − yᵢ|."""

    name = "manhattan"

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """Return Σ |xᵢ − yᵢ| row by row, `(n,)`."""
        return torch.linalg.vector_norm(x - y, ord=1, dim=1)

    def matrix(self, x: Tensor, y: Tensor) -> Tensor:
        """Return Σ |xᵢ − yᵢ| for all pairs, `(n, m)`."""
        return torch.cdist(x, y, p=1.0)

    def upper_bound(self, *, unit_length: bool, dim: int) -> float:
        """Return 2 √dim for unit vectors."""
        return 2.0 * math.sqrt(dim) if unit_length else math.inf


EUCLIDEAN = EuclideanDistance()
COSINE = CosineDistance()
MANHATTAN = ManhattanDistance()


def _norm_of_differences(x: Tensor, y: Tensor) -> Tensor:
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def _centred(rows: Tensor, centre: Tensor | None, missing: Tensor | float = 0.0) -> Points:
    """Return rows less their mean, or less a given centre. `missing` adds ½ to the distance of rows of zeros."""
    centre = rows.mean(dim=0) if centre is None else centre
    rows = rows - centre
    return Points(rows=rows, half_square=(rows.square().sum(dim=1) + missing) / 2, centre=centre)


def _half_squares(x: Points, y: Points) -> Tensor:
    """Return ½‖x − y‖² = ½‖x‖² + ½‖y‖² − xy for all pairs; for unit vectors that is 1 − cos."""
    return torch.addmm(x.half_square.unsqueeze(1) + y.half_square, x.rows, y.rows.T, alpha=-1).clamp_(min=0)
