"""Attention within the sentences of a packed row, for every model that uses `transformers`' attention interface.

The row of tokens is looked at as short rows of equal width, several short sentences to a row, with a mask that keeps
them apart: one call of attention for each class of lengths. What it computes for masked pairs is little: attention
over short rows is a few percent of the work of the linear layers. Many sentences of one length are full rows and need
no mask. On CUDA, in half precision and without dropout, torch's variable-length attention takes the row as it is.
"""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tercet.encoder.packing.dropout import dropout as drop
from tercet.encoder.packing.packing import Packing

try:
    from torch.nn.attention.varlen import varlen_attn

    _VARLEN_HAS_SCALE_AND_WINDOW = {"scale", "window_size"} <= inspect.signature(varlen_attn).parameters.keys()
except ImportError:  # an older torch
    _VARLEN_HAS_SCALE_AND_WINDOW = False

# What models with this attention call it, in their configuration too. Without a packed row it does what "sdpa" does.
NAME = "tercet_packed"
# Sentences of up to so many tokens share rows. Wider rows compute more that is masked, narrower ones hold fewer
# sentences and leave more cells unused.
SHORT = 32
# Sentences of one length with so many tokens together are rows of that width, full and without a mask.
ALIKE = 256
# On a CPU and up to this width products and a softmax are quicker than torch's fused attention (docs/log.md).
PLAIN = 64


@dataclass(frozen=True, eq=False)
class Rows:
    """The sentences of one class of lengths as rows of cells.

    Attributes:
        tokens: how many tokens they have.
        shape: rows and width.
        source: the token in each cell, 0 in unused ones `(rows · width,)`; None where cells are tokens as they lie.
        place: the cell of each token `(tokens,)`, or None.
        same: whether two cells of a row belong to one sentence, or both to none `(rows, 1, width, width)`; None
            where every row is one sentence and full.
    """

    tokens: int
    shape: tuple[int, int]
    source: Tensor | None = None
    place: Tensor | None = None
    same: Tensor | None = None

    def spread(self, x: Tensor) -> Tensor:
        """Tokens `(tokens, heads, size)` → cells `(rows, heads, width, size)`."""
        cells = x if self.source is None else x.index_select(0, self.source)
        return cells.unflatten(0, self.shape).transpose(1, 2)

    def gather(self, cells: Tensor) -> Tensor:
        """The way back."""
        x = cells.transpose(1, 2).flatten(0, 1)
        return x if self.place is None else x.index_select(0, self.place)


class Layout:
    """How attention looks at a packed row: made once a batch, used by every layer.

    Attributes:
        parts: all sentences, in the order of the row.
        starts: the first token of each sentence, and the number of all `(batch + 1,)`.
        longest: tokens of the longest sentence.
    """

    @torch.compiler.disable
    def __init__(self, packing: Packing, device: torch.device) -> None:
        self.device = device
        self.parts: list[Rows] = []
        values, counts = np.unique(packing.lengths[packing.lengths > 0], return_counts=True)
        alike = values * counts >= ALIKE
        for first, last in pairwise([0, *(np.flatnonzero(alike[1:] != alike[:-1]) + 1), len(alike)]):
            if alike[first]:
                runs = zip(counts[first:last].tolist(), values[first:last].tolist(), strict=True)
                self.parts += [Rows(count * length, (count, length)) for count, length in runs]
            else:
                self.parts += _classes(np.repeat(values[first:last], counts[first:last]), device)
        self.cu_seqlens = torch.from_numpy(packing.cu_seqlens).to(device, torch.int32)
        self.longest = int(packing.lengths[-1])
        self._masks: dict[int | None, list[Tensor | None]] = {}

    def masks(self, window: int | None = None) -> list[Tensor | None]:
        """For each part the pairs that may attend: of one sentence, and less than `window` apart."""
        if window not in self._masks:
            self._masks[window] = [self._mask(part, window) for part in self.parts]
        return self._masks[window]

    def _mask(self, part: Rows, window: int | None) -> Tensor | None:
        width = part.shape[1]
        if window is None or window >= width:
            return part.same
        cell = torch.arange(width, device=self.device)
        near = (cell - cell.unsqueeze(1)).abs() < window
        return near if part.same is None else part.same & near


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: Layout,
    masks: Sequence[Tensor | None],
    *,
    dropout: float = 0.0,
    scale: float | None = None,
) -> Tensor:
    """Attention of each token to those of its own sentence: `(tokens, heads, size)` each → the same.

    Args:
        masks: one for each part of the layout, as `scaled_dot_product_attention` takes them.
    """
    sizes = [part.tokens for part in layout.parts]
    outputs = []
    for part, mask, *inputs in zip(
        layout.parts, masks, query.split(sizes), key.split(sizes), value.split(sizes), strict=True
    ):
        q, k, v = map(part.spread, inputs)
        plain = q.device.type == "cpu" and (dropout or part.shape[1] <= PLAIN)
        run = _plain_attention if plain else F.scaled_dot_product_attention
        outputs.append(part.gather(run(q, k, v, mask, dropout, scale=scale)))
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def _plain_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, p: float, *, scale: float | None) -> Tensor:
    """`scaled_dot_product_attention` by its formula, with our own dropout."""
    scores = (q * (q.shape[-1] ** -0.5 if scale is None else scale)) @ k.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    weights = scores.softmax(-1)
    return (drop(weights, p) if p else weights) @ v


def _classes(lengths: np.ndarray, device: torch.device) -> Iterator[Rows]:
    """Sentences of up to `SHORT` tokens, of up to twice as many, and so on."""
    width = SHORT
    while len(lengths):
        number = int(np.searchsorted(lengths, width, side="right"))
        if number:
            yield _rows(lengths[:number], width, device)
        lengths, width = lengths[number:], 2 * width


def _rows(lengths: np.ndarray, width: int, device: torch.device) -> Rows:
    """Sentences share rows as they come, as far as they fit; where not even the two shortest do, each has its own."""
    tokens, longest = int(lengths.sum()), int(lengths[-1])
    width = min(width, tokens) if len(lengths) > 1 and lengths[0] + lengths[1] <= width else longest
    row, offset = np.zeros(len(lengths), np.int64), np.zeros(len(lengths), np.int64)
    used = rows = 0
    for sentence, length in enumerate(lengths.tolist()):
        if used + length > width:
            rows, used = rows + 1, 0
        row[sentence], offset[sentence] = rows, used
        used += length
    shape = (rows + 1, width)
    if shape == (len(lengths), lengths[0]):  # the shortest, so all, are as wide
        return Rows(tokens, shape)
    starts = np.cumsum(lengths) - lengths
    token = np.arange(tokens)
    place = np.repeat(row * width + offset - starts, lengths) + token
    source, sentence_of_cell = np.zeros(shape[0] * width, np.int64), np.full(shape[0] * width, -1)
    source[place] = token
    sentence_of_cell[place] = np.repeat(np.arange(len(lengths)), lengths)
    owner = torch.from_numpy(sentence_of_cell).to(device).view(shape)
    same = (owner.unsqueeze(1) == owner.unsqueeze(2)).unsqueeze(1)
    return Rows(tokens, shape, torch.from_numpy(source).to(device), torch.from_numpy(place).to(device), same)


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    packed_layout: Layout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """What `transformers` calls in each layer, with queries, keys and values `(batch, heads, tokens, size)`."""
    if packed_layout is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    return _packed_attention(query, key, value, packed_layout, dropout, scaling, sliding_window), None


@torch.compiler.disable  # or each new layout of a batch would be compiled anew
def _packed_attention(
    query: Tensor, key: Tensor, value: Tensor, layout: Layout, dropout: float, scale: float | None, window: int | None
) -> Tensor:
    """A row `(1, heads, tokens, size)` → `(1, tokens, heads, size)`."""
    if key.shape[1] != query.shape[1]:  # queries in groups that share a key
        key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (key, value))
    q, k, v = (x.squeeze(0).transpose(0, 1) for x in (query, key, value))
    if not dropout and _varlen_runs_on(q, k, v):
        reach = -1 if window is None else window - 1
        ends, longest = layout.cu_seqlens, layout.longest
        output: Any = varlen_attn(q, k, v, ends, ends, longest, longest, scale=scale, window_size=(reach, reach))
    else:
        output = attend(q, k, v, layout, layout.masks(window), dropout=dropout, scale=scale)
    return output.unsqueeze(0)


def _varlen_runs_on(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Whether torch's variable-length attention takes such tensors: half precision, on Ampere or later."""
    if not q.is_cuda or not _VARLEN_HAS_SCALE_AND_WINDOW or q.shape[-1] % 8 or q.shape[-1] > 256:
        return False
    half = q.dtype in (torch.float16, torch.bfloat16) and q.dtype == k.dtype == v.dtype
    return half and torch.version.hip is None and torch.cuda.get_device_capability(q.device) >= (8, 0)


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
