"""Buckets: sentences of similar length, arranged in rows of equal width for attention."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tercet._transfer import to_device

# The maximum row width of the first bucket with shared rows. The further widths are 2, 4, … times as large. Wider rows
# compute more masked pairs; narrower rows have more unused cells.
FIRST_BUCKET_WIDTH = 32
# The types of the devices on which the parts of the heads are copied to their cells one by one. Products of matrices
# then need no second copy, as they would of cells with all heads. On a GPU, it is the number of kernels that counts.
_HEADS_FIRST = {"cpu"}


@dataclass(frozen=True, eq=False, kw_only=True)
class LengthBucket:
    """Sentences of similar length, arranged in rows of cells. A cell contains one token or is unused.

    Attributes:
        num_tokens: number of tokens in the bucket.
        shape: `(num_rows, width)`, where the width is the number of cells of a row.
        token_of_cell: index of the token in each cell `(num_rows · width,)`, 0 for unused cells; None if token i is in
            cell i.
        cell_of_token: index of the cell of each token `(num_tokens,)`; None if token i is in cell i.
        segment_mask: boolean mask `(num_rows, 1, width, width)`, True for two cells of a row that belong to the same
            sentence or are both unused; None if every sentence fills one row.
    """

    num_tokens: int
    shape: tuple[int, int]
    token_of_cell: Tensor | None = None
    cell_of_token: Tensor | None = None
    segment_mask: Tensor | None = None
    _by_heads: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)

    def to_rows(self, x: Tensor) -> Tensor:
        """Copy tokens to their cells: `(num_tokens, num_heads, head_dim) → (num_rows, num_heads, width, head_dim)`."""
        if self.token_of_cell is not None and x.device.type in _HEADS_FIRST:
            (rows, width), heads = self.shape, x.shape[1]
            by_head: Tensor = _to_cells(x.flatten(0, 1), *self._places_of_heads(heads))
            return by_head.view(rows, heads, width, -1)
        cells: Tensor = x if self.token_of_cell is None else _to_cells(x, self.token_of_cell, self.cell_of_token)
        return cells.unflatten(0, self.shape).transpose(1, 2)  # type: ignore[no-any-return]

    def to_tokens(self, rows: Tensor) -> Tensor:
        """Copy cells back to tokens: `(num_rows, num_heads, width, head_dim) → (num_tokens, num_heads, head_dim)`."""
        if self.cell_of_token is not None and rows.device.type in _HEADS_FIRST:
            heads = rows.shape[1]
            by_head: Tensor = _to_tokens(rows.flatten(0, 2), self._places_of_heads(heads)[1])
            return by_head.view(-1, heads, rows.shape[3])
        cells: Tensor = rows.transpose(1, 2).flatten(0, 1)
        return cells if self.cell_of_token is None else _to_tokens(cells, self.cell_of_token)

    def _places_of_heads(self, num_heads: int) -> tuple[Tensor, Tensor]:
        """Return `token_of_cell` and `cell_of_token` for the parts of heads: tokens × heads, rows × heads × cells."""
        if num_heads not in self._by_heads:
            assert self.token_of_cell is not None
            assert self.cell_of_token is not None
            (rows, width), heads = self.shape, torch.arange(num_heads, device=self.token_of_cell.device)
            tokens = self.token_of_cell.view(rows, 1, width) * num_heads + heads.view(1, -1, 1)
            row, place = self.cell_of_token // width, self.cell_of_token % width
            cells = (row.unsqueeze(1) * num_heads + heads) * width + place.unsqueeze(1)
            self._by_heads[num_heads] = tokens.flatten(), cells.flatten()
        return self._by_heads[num_heads]


class _ToCells(torch.autograd.Function):
    """`index_select`, whose gradient is a copy too: each token is in one cell, and unused cells have the gradient 0.

    They have it because no token attends to an unused cell, and their own results are dropped. The gradient of
    `index_select` itself adds up the cells of each token, which takes longer.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, token_of_cell: Tensor, cell_of_token: Tensor) -> Tensor:
        ctx.save_for_backward(cell_of_token)
        return x.index_select(0, token_of_cell)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (cell_of_token,) = ctx.saved_tensors
        return grad.index_select(0, cell_of_token), None, None


class _ToTokens(torch.autograd.Function):
    """`index_select` of the cells that hold a token; see `_ToCells`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cell_of_token: Tensor) -> Tensor:
        ctx.save_for_backward(cell_of_token)
        ctx.num_cells = len(x)
        return x.index_select(0, cell_of_token)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (cell_of_token,) = ctx.saved_tensors
        return grad.new_zeros(ctx.num_cells, *grad.shape[1:]).index_copy_(0, cell_of_token, grad), None


_to_cells: Any = _ToCells.apply
_to_tokens: Any = _ToTokens.apply


def fill_buckets(lengths: np.ndarray, device: torch.device) -> Iterator[LengthBucket]:
    """Yield the buckets of sentences with the ascending `lengths` `(num_sentences,)`.

    The maximum row widths are `FIRST_BUCKET_WIDTH` times 1, 2, 4, …; a width without sentences yields no bucket.
    """
    width = FIRST_BUCKET_WIDTH
    while len(lengths):
        num_sentences = int(np.searchsorted(lengths, width, side="right"))
        if num_sentences:
            yield fill_bucket(lengths[:num_sentences], width, device)
        lengths, width = lengths[num_sentences:], 2 * width


def fill_bucket(lengths: np.ndarray, max_width: int, device: torch.device, *, multiple: int = 1) -> LengthBucket:
    """Fill rows of at most `max_width` cells with sentences, in the order of the sentences.

    If there is one sentence, or the two shortest together are longer than `max_width`, each sentence gets one row, and
    the row width is the length of the longest sentence, rounded up to a multiple of `multiple`.
    """
    num_tokens, longest = int(lengths.sum()), int(lengths[-1])
    share_rows = len(lengths) > 1 and lengths[0] + lengths[1] <= max_width
    width = min(max_width, -(-(num_tokens if share_rows else longest) // multiple) * multiple)
    row, offset = np.zeros(len(lengths), np.int64), np.zeros(len(lengths), np.int64)
    used = last_row = 0
    for sentence, length in enumerate(lengths.tolist()):
        if used + length > width:
            last_row, used = last_row + 1, 0
        row[sentence], offset[sentence] = last_row, used
        used += length
    shape = (last_row + 1, width)
    if shape == (len(lengths), lengths[0]):  # All sentences have the same length, and each fills one row.
        return LengthBucket(num_tokens=num_tokens, shape=shape)
    starts = np.cumsum(lengths) - lengths
    tokens = np.arange(num_tokens)
    cell_of_token = np.repeat(row * width + offset - starts, lengths) + tokens
    token_of_cell, sentence_of_cell = np.zeros(shape[0] * width, np.int64), np.full(shape[0] * width, -1)
    token_of_cell[cell_of_token] = tokens
    sentence_of_cell[cell_of_token] = np.repeat(np.arange(len(lengths)), lengths)
    cells, tokens_on_device, segments = to_device([cell_of_token, token_of_cell, sentence_of_cell], device)
    segments = segments.view(shape)
    return LengthBucket(
        num_tokens=num_tokens,
        shape=shape,
        token_of_cell=tokens_on_device,
        cell_of_token=cells,
        segment_mask=(segments.unsqueeze(1) == segments.unsqueeze(2)).unsqueeze(1),
    )
