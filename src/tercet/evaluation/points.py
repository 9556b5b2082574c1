"""All distances between many embeddings, a block at a time, by a matrix product that keeps close pairs apart."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tercet import distances


@dataclass(frozen=True)
class Points:
    """Rows ready for the matrix product: centred, so that close ones do not drown in what all have in common.

    Attributes:
        rows: `(n, dim)` less the centre; of length 1 before that under the cosine distance.
        offset: half the square of each row, `(n,)`, and half of 1 more for a row of zeros under the cosine distance.
    """

    rows: Tensor
    offset: Tensor
    centre: Tensor

    @classmethod
    def of(cls, rows: Tensor, distance: str, centre: Tensor | None = None) -> "Points":
        """Rows `(n, dim)`, around their own mean or a given centre `(dim,)`."""
        if distance == "manhattan":
            return cls(rows, rows[:, 0], rows[0])
        missing = torch.zeros(len(rows), dtype=rows.dtype)
        if distance == "cosine":
            missing = distances.no_direction(rows)
            rows = distances.measured_points(rows, distance)
        centre = rows.mean(dim=0) if centre is None else centre
        rows = rows - centre
        return cls(rows, (rows.square().sum(dim=1) + missing) / 2, centre)

    def take(self, rows: Tensor) -> "Points":
        """Some of the rows, by number."""
        return Points(self.rows[rows], self.offset[rows], self.centre)


def distance_block(x: Points, y: Points, distance: str) -> Tensor:
    """The distances `(len(x), len(y))`; ½‖x − y‖² = ½‖x‖² + ½‖y‖² − xy is 1 − cos for rows of length 1."""
    if distance == "manhattan":
        return torch.cdist(x.rows, y.rows, p=1.0)
    half_square = torch.addmm(x.offset.unsqueeze(1) + y.offset, x.rows, y.rows.T, alpha=-1).clamp_(min=0)
    return half_square if distance == "cosine" else half_square.mul_(2).sqrt_()
