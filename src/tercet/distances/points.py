"""Rows prepared for blocks of distances, and small tensor functions that distances share."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Points:
    """Rows of embeddings, prepared by `Distance.prepare`.

    Attributes:
        rows: `(n, dim)`; distances that use a matrix product subtract the centre, so that close rows stay apart.
        half_square: ½‖row‖² `(n,)`, for distances that use a matrix product.
        centre: what was subtracted, `(dim,)`.
    """

    rows: Tensor
    half_square: Tensor
    centre: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, index: Tensor) -> "Points":
        """Return some of the rows, by number."""
        return Points(rows=self.rows[index], half_square=self.half_square[index], centre=self.centre)


def at_least_float32(x: Tensor) -> Tensor:
    """Return `x`, converted to float32 if it has half precision."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def unit_rows(x: Tensor) -> Tensor:
    """Return rows scaled to length 1. Rows of zeros stay; their gradient is finite (`F.normalize` returns 1e12)."""
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / length.masked_fill(length == 0, 1)


def zero_rows(x: Tensor) -> Tensor:
    """Return 1 for rows of zeros, whose cosine similarity to everything is 0, and 0 for other rows: `(n,)`."""
    return (x == 0).all(dim=1).to(x.dtype)
