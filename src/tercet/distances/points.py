"""Rows prepared for blocks of distances, and small tensor functions that distances share."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Points:
    """Rows of embeddings, prepared by `Distance.prepare`.

    Attributes:
        rows: `(n, dim)`. Distances that use a matrix product subtract the centre, which keeps near-duplicates apart.
        half_square: ½‖row‖² `(n,)`, for distances that use a matrix product.
        centre: the vector that was subtracted, `(dim,)`, or None.
    """

    rows: Tensor
    half_square: Tensor | None = None
    centre: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, index: Tensor) -> "Points":
        """Return the rows of an index `(m,)`."""
        half_square = None if self.half_square is None else self.half_square[index]
        return Points(rows=self.rows[index], half_square=half_square, centre=self.centre)


def at_least_float32(x: Tensor) -> Tensor:
    """Return `x`, converted to float32 if it has half precision."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def unit_rows(x: Tensor) -> Tensor:
    """Return rows scaled to length 1. Rows of zeros stay 0, with a finite gradient (`F.normalize` has 1e12)."""
    length: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / length.masked_fill(length == 0, 1)


def zero_rows(x: Tensor) -> Tensor:
    """Return 1 for each row of zeros, whose cosine similarity to every row is 0, and 0 for other rows: `(n,)`."""
    return (x == 0).all(dim=1).to(x.dtype)
