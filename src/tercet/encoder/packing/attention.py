"""Compute attention within each sentence of a packed row.

The sentences are grouped into buckets by length. A bucket is a batch of rows of equal width. Several short sentences
share a row, and a mask prevents attention between them. Attention runs once per bucket. The masked pairs are computed
and discarded. This costs little: attention over short rows needs a few percent of the time of the linear layers.
If many sentences have the same length, each of them fills a row, and no mask is needed.

On other devices than a CPU, launching a kernel takes longer than computing masked pairs, so there is one bucket. On a
CUDA GPU, one of torch's variable-length kernels runs on the packed row instead, see `tercet.encoder.packing.varlen`.
Rows with a mask remain for MPNet, whose attention has a bias, and for what the kernels do not support.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tercet.encoder.packing.buckets import LengthBucket, fill_bucket, fill_buckets
from tercet.encoder.packing.dropout import dropout
from tercet.encoder.packing.packing import Packing
from tercet.encoder.packing.varlen import varlen_attention
from tercet.encoder.packing.varlen_kernels import Sentences

# The name of this attention in `config._attn_implementation`. On a padded batch it is the same as "sdpa".
ATTENTION_NAME = "tercet_packed"
# If all sentences of one length have in total at least this many tokens, they get a bucket without a mask.
MIN_TOKENS_UNMASKED = 256
# On a CPU and up to this row width, two matrix products and a softmax are faster than torch's fused attention.
MAX_UNFUSED_WIDTH = 64
# The types of the devices on which several buckets are faster than one.
SEVERAL_BUCKETS = {"cpu"}
# On other devices, row widths are multiples of this number: the kernels need aligned masks, and shapes repeat.
WIDTH_MULTIPLE = 16


class PackedLayout:
    """The sentences of a packed row and their buckets, which every layer of the batch uses."""

    def __init__(self, packing: Packing, device: torch.device) -> None:
        self.device = device
        self._packing = packing
        self._masks: dict[int | None, list[Tensor | None]] = {}

    @property
    def sentences(self) -> Sentences:
        """The sentences that have tokens, for the variable-length kernels."""
        return self._packing.on(self.device).sentences

    @cached_property
    def buckets(self) -> list[LengthBucket]:
        """The buckets of all sentences that have tokens, in the order of the packed row."""
        lengths = self._packing.lengths[self._packing.lengths > 0]
        if self.device.type not in SEVERAL_BUCKETS:
            width = -(-int(lengths[-1]) // WIDTH_MULTIPLE) * WIDTH_MULTIPLE
            return [fill_bucket(lengths, width, self.device, multiple=WIDTH_MULTIPLE)]
        buckets: list[LengthBucket] = []
        values, counts = np.unique(lengths, return_counts=True)
        unmasked = values * counts >= MIN_TOKENS_UNMASKED
        for first, last in pairwise([0, *(np.flatnonzero(unmasked[1:] != unmasked[:-1]) + 1), len(unmasked)]):
            if unmasked[first]:
                runs = zip(counts[first:last].tolist(), values[first:last].tolist(), strict=True)
                buckets += [LengthBucket(num_tokens=rows * width, shape=(rows, width)) for rows, width in runs]
            else:
                buckets += fill_buckets(np.repeat(values[first:last], counts[first:last]), self.device)
        return buckets

    def masks(self, window: int | None = None) -> list[Tensor | None]:
        """Return one boolean mask per bucket.

        True allows attention between two cells of a row. None instead of a mask allows it between all cells of a row.

        Args:
            window: if not None, two cells also have to be less than `window` cells apart (sliding-window attention).
        """
        if window not in self._masks:
            self._masks[window] = [self._mask(bucket, window) for bucket in self.buckets]
        return self._masks[window]

    def _mask(self, bucket: LengthBucket, window: int | None) -> Tensor | None:
        width = bucket.shape[1]
        if window is None or window >= width:
            return bucket.segment_mask
        cell = torch.arange(width, device=self.device)
        in_window = (cell - cell.unsqueeze(1)).abs() < window
        return in_window if bucket.segment_mask is None else bucket.segment_mask & in_window


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: PackedLayout,
    masks: Sequence[Tensor | None],
    *,
    dropout_p: float = 0.0,
    scale: float | None = None,
) -> Tensor:
    """Compute attention of each token to the tokens of its sentence.

    `query`, `key`, `value` and the result are each `(num_tokens, num_heads, head_dim)`.

    Args:
        masks: one `attn_mask` of `scaled_dot_product_attention` per bucket; see `PackedLayout.masks`.
        scale: factor of the attention scores; by default 1 / √head_dim.
    """
    sizes = [bucket.num_tokens for bucket in layout.buckets]
    outputs = []
    for bucket, mask, *inputs in zip(
        layout.buckets, masks, query.split(sizes), key.split(sizes), value.split(sizes), strict=True
    ):
        q, k, v = map(bucket.to_rows, inputs)
        unfused = q.device.type == "cpu" and (dropout_p or bucket.shape[1] <= MAX_UNFUSED_WIDTH)
        run = _unfused_attention if unfused else F.scaled_dot_product_attention
        outputs.append(bucket.to_tokens(run(q, k, v, mask, dropout_p, scale=scale)))
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def _unfused_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout_p: float, *, scale: float | None
) -> Tensor:
    """Compute the formula of `scaled_dot_product_attention`, with `tercet.encoder.packing.dropout`."""
    scores = (q * (q.shape[-1] ** -0.5 if scale is None else scale)) @ k.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    weights = scores.softmax(-1)
    return (dropout(weights, dropout_p) if dropout_p else weights) @ v


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    packed_layout: PackedLayout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Compute attention with the signature of the attention interface of `transformers`.

    `query` is `(batch, num_heads, seq_len, head_dim)`; `key` and `value` may have fewer heads. Without a packed layout,
    the result is that of "sdpa".
    """
    if packed_layout is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    if key.shape[1] != query.shape[1]:  # Grouped-query attention: several query heads use one key head.
        key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (key, value))
    q, k, v = (x.squeeze(0).transpose(0, 1) for x in (query, key, value))
    attended = packed_attention(q, k, v, packed_layout, dropout_p=dropout, scale=scaling, window=sliding_window)
    return attended.unsqueeze(0), None


# torch.compile would recompile this function for each batch, because every batch has another layout.
@torch.compiler.disable
def packed_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: PackedLayout,
    *,
    dropout_p: float = 0.0,
    scale: float | None = None,
    window: int | None = None,
) -> Tensor:
    """Compute attention on a packed row, with a variable-length kernel if there is one, else on rows with a mask.

    `query`, `key`, `value` and the result are each `(num_tokens, num_heads, head_dim)`. `window` is that of
    `PackedLayout.masks`.
    """
    attended = varlen_attention(query, key, value, layout.sentences, dropout_p=dropout_p, scale=scale, window=window)
    if attended is not None:
        return attended
    return attend(query, key, value, layout, layout.masks(window), dropout_p=dropout_p, scale=scale)


@contextmanager
def without_cudnn(device: torch.device) -> Iterator[None]:
    """Exclude cuDNN from `scaled_dot_product_attention` inside the block: it makes a plan for each new shape.

    The setting belongs to the process. If blocks of several threads overlap, the last one restores it.
    """
    if device.type != "cuda":
        yield
        return
    with _CUDNN.lock:
        if _CUDNN.blocks == 0:
            _CUDNN.enabled = torch.backends.cuda.cudnn_sdp_enabled()
            torch.backends.cuda.enable_cudnn_sdp(False)
        _CUDNN.blocks += 1
    try:
        yield
    finally:
        with _CUDNN.lock:
            _CUDNN.blocks -= 1
            if _CUDNN.blocks == 0:
                torch.backends.cuda.enable_cudnn_sdp(_CUDNN.enabled)


class _Cudnn:
    """The number of blocks that exclude cuDNN, and whether it was enabled before them."""

    lock, blocks, enabled = threading.Lock(), 0, True


_CUDNN = _Cudnn()
AttentionInterface.register(ATTENTION_NAME, _attention)
AttentionMaskInterface.register(ATTENTION_NAME, sdpa_mask)
