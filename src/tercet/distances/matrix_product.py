"""Distances that are functions of the Euclidean norm. A matrix product can compute them.

`pairs` and `matrix` use differences of coordinates. The expanded square ‖x‖² − 2xy + ‖y‖² is inaccurate for
near-duplicates, because its terms cancel: in float32, two unit vectors with distance 1e-4 get distance 0. `block` uses
a matrix product of this form, because a nearest-neighbour search needs many distances. `prepare` subtracts a
centre from the rows first (by default their mean), which makes the result more accurate.
"""

import torch
from torch import Tensor

from tercet.distances.base import Distance
from tercet.distances.points import Points, at_least_float32


class MatrixProductDistance(Distance):
    """A distance ‖p(x) − p(y)‖ or ½‖p(x) − p(y)‖², where p maps each embedding to a point.

    A subclass overrides `points`, which computes p. For the second form, it sets `half_squared = True`. The batch
    losses compute these distances with matrix products, and recompute those of close points from differences of
    coordinates.

    Attributes:
        half_squared: whether the distance is half of the squared norm instead of the norm.
    """

    non_negative = True
    half_squared: bool = False

    def points(self, x: Tensor) -> Tensor:
        """Map embeddings `(n, dim)` to points `(n, dim)` in float32 or float64. This must be differentiable."""
        return at_least_float32(x)

    def row_offsets(self, points: Tensor) -> Tensor:
        """Return an offset for each point, `(n,)`. The default is 0.

        If `half_squared` is True, the distance is ½(‖x − y‖² + offset of x + offset of y). Otherwise all offsets must
        be 0.
        """
        return points.new_zeros(len(points))

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distance from each row of `x` to the same row of `y`: `(n, dim), (n, dim) → (n,)`."""
        x, y = self.points(x), self.points(y)
        if not self.half_squared:
            norms: Tensor = torch.linalg.vector_norm(x - y, ord=2, dim=1)
            return norms
        return ((x - y).square().sum(1) + (self.row_offsets(x) + self.row_offsets(y))) / 2

    def matrix(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distance from each row of `x` to each row of `y`: `(n, dim), (m, dim) → (n, m)`."""
        x, y = self.points(x), self.points(y)
        norms = norms_of_differences(x, y)
        if not self.half_squared:
            return norms
        return (norms.square() + (self.row_offsets(x).unsqueeze(1) + self.row_offsets(y))) / 2

    def prepare(self, x: Tensor, centre: Tensor | None = None) -> Points:
        """Return the centred points, and half of the squared norm of each (plus half of its offset)."""
        points = self.points(x)
        centre = points.mean(dim=0) if centre is None else centre
        centred = points - centre
        half_square = (centred.square().sum(dim=1) + self.row_offsets(points)) / 2
        return Points(rows=centred, half_square=half_square, centre=centre)

    def block(self, x: Points, y: Points) -> Tensor:
        """Return the distances `(n, m)` of prepared rows, computed from ½‖x − y‖² = ½‖x‖² + ½‖y‖² − xy."""
        assert x.half_square is not None
        assert y.half_square is not None
        half_squares = torch.addmm(x.half_square.unsqueeze(1) + y.half_square, x.rows, y.rows.T, alpha=-1).clamp_(min=0)
        return half_squares if self.half_squared else half_squares.mul_(2).sqrt_()


def norms_of_differences(x: Tensor, y: Tensor) -> Tensor:
    """Return ‖x − y‖ for all pairs of rows, computed from differences of coordinates: `(n, dim), (m, dim) → (n, m)`."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
