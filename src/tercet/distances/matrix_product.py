"""Distances that are functions of the Euclidean norm, and so can be computed by a matrix product.

`pairs` and `matrix` compute from differences of coordinates: the expanded square ‖x‖² − 2xy + ‖y‖² loses
near-duplicates to cancellation (float32 unit vectors 1e-4 apart get distance 0). `block` uses the matrix product, for
the many distances of a nearest-neighbour search, after it has subtracted the mean of the rows.
"""

import torch
from torch import Tensor

from tercet.distances.base import Distance
from tercet.distances.points import Points, at_least_float32


class MatrixProductDistance(Distance):
    """A distance ‖p(x) − p(y)‖, or ½‖p(x) − p(y)‖², of points p that are computed row by row.

    A subclass overrides `points`, and sets `half_squared` for the second form. The batch losses compute it by matrix
    products, and compute near-duplicates again from differences of coordinates.

    Attributes:
        half_squared: whether the distance is half the squared norm.
    """

    non_negative = True
    half_squared: bool = False

    def points(self, x: Tensor) -> Tensor:
        """Return the points `(n, dim)` of embeddings, differentiable, in float32 or better."""
        return at_least_float32(x)

    def row_offsets(self, points: Tensor) -> Tensor:
        """Return what each point adds to its squared distances when `half_squared`, `(n,)`; by default 0."""
        return points.new_zeros(len(points))

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distance of each row of `x` to the same row of `y`, `(n,)`."""
        x, y = self.points(x), self.points(y)
        if not self.half_squared:
            norms: Tensor = torch.linalg.vector_norm(x - y, ord=2, dim=1)
            return norms
        return ((x - y).square().sum(1) + (self.row_offsets(x) + self.row_offsets(y))) / 2

    def matrix(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distances of all pairs, `(n, m)`."""
        x, y = self.points(x), self.points(y)
        norms = norms_of_differences(x, y)
        if not self.half_squared:
            return norms
        return (norms.square() + (self.row_offsets(x).unsqueeze(1) + self.row_offsets(y))) / 2

    def prepare(self, x: Tensor, centre: Tensor | None = None) -> Points:
        """Return centred points and their half-squares."""
        points = self.points(x)
        centre = points.mean(dim=0) if centre is None else centre
        centred = points - centre
        half_square = (centred.square().sum(dim=1) + self.row_offsets(points)) / 2
        return Points(rows=centred, half_square=half_square, centre=centre)

    def block(self, x: Points, y: Points) -> Tensor:
        """Return the distances of prepared rows, from ½‖x − y‖² = ½‖x‖² + ½‖y‖² − xy."""
        assert x.half_square is not None
        assert y.half_square is not None
        half_squares = torch.addmm(x.half_square.unsqueeze(1) + y.half_square, x.rows, y.rows.T, alpha=-1).clamp_(min=0)
        return half_squares if self.half_squared else half_squares.mul_(2).sqrt_()


def norms_of_differences(x: Tensor, y: Tensor) -> Tensor:
    """Return ‖x − y‖ for all pairs of rows from differences of coordinates: `(n, dim), (m, dim) → (n, m)`."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
