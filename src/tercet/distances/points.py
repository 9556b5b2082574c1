"""Embeddings that are prepared for the computation of blocks, and small functions that several distances use."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Points:
    """Embeddings that `Distance.prepare` has prepared for `Distance.block`.

    Attributes:
        rows: `(n, dim)`, the prepared rows. For distances that use a matrix product, they are centred points; this
            makes the distances of near-duplicates more accurate.
        half_square: `(n,)`, half of the squared norm of each row (plus half of its offset), for distances that use a
            matrix product; else None.
        centre: `(dim,)`, the vector that was subtracted from the rows; None if none was.
    """

    rows: Tensor
    half_square: Tensor | None = None
    centre: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, index: Tensor) -> "Points":
        """Return the rows with the numbers `index` `(m,)`."""
        half_square = None if self.half_square is None else self.half_square[index]
        return Points(rows=self.rows[index], half_square=half_square, centre=self.centre)


def at_least_float32(x: Tensor) -> Tensor:
    """Return `x`, converted to float32 unless it is float32 or float64."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def unit_rows(x: Tensor) -> Tensor:
    """Return `x` with its rows scaled to length 1. Zero rows stay 0.

    The gradient at a zero row has a moderate size; that of `F.normalize` is 1e12 times larger.
    """
    length: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / length.masked_fill(length == 0, 1)


def zero_rows(x: Tensor) -> Tensor:
    """Return 1 for each zero row and 0 for every other row: `(n, dim) → (n,)`."""
    return (x == 0).all(dim=1).to(x.dtype)
