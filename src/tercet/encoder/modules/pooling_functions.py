"""Pool token embeddings to one vector per sentence, in a padded batch or a packed row."""

import numpy as np
import torch
from torch import Tensor

from tercet._transfer import to_device
from tercet.distances import at_least_float32
from tercet.encoder.packing.packing import Packing

# The device types for which torch implements `segment_reduce`.
_SEGMENT_REDUCE_DEVICES = ("cpu", "cuda")


def pool_batch(mode: str, tokens: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Pool a padded batch: `(batch, seq_len, hidden_size) → (batch, hidden_size)`. Empty sentences give zeros."""
    if mode == "weightedmean":
        mask = mask * weights
    return _pool_nonempty(mode, tokens, mask).masked_fill(~mask.any(1, keepdim=True), 0)


def _pool_nonempty(mode: str, tokens: Tensor, mask: Tensor) -> Tensor:
    if mode in ("cls", "lasttoken"):
        positions = torch.arange(mask.shape[1], device=mask.device)
        is_token = mask.bool()
        index = (
            positions.masked_fill(~is_token, mask.shape[1]).amin(1).clamp(max=mask.shape[1] - 1)
            if mode == "cls"
            else positions.masked_fill(~is_token, -1).amax(1).clamp(min=0)
        )
        return tokens[torch.arange(len(tokens), device=tokens.device), index]
    weights = mask.unsqueeze(2)
    if mode == "max":
        return tokens.masked_fill(weights == 0, -torch.inf).amax(dim=1)
    total = (at_least_float32(tokens) * weights).sum(dim=1)
    return _divide(mode, total, weights.sum(dim=1)).to(tokens.dtype)


# torch.compile would trace the NumPy code, and recompile it for each batch.
@torch.compiler.disable
def pool_row(modes: list[str], tokens: Tensor, packing: Packing, prompt_length: int) -> Tensor:
    """Pool a packed row: `(num_tokens, hidden_size) → (batch, num_modes · hidden_size)`.

    The result has the order of the caller's batch. Empty sentences give zeros.
    """
    if len(tokens) == 0:
        return tokens.new_zeros(len(packing), tokens.shape[1] * len(modes))
    device, on_device = tokens.device, packing.on(tokens.device)
    lengths, included = on_device.lengths, tokens
    if prompt_length:
        lengths = (lengths - prompt_length).clamp(min=0)
        (index,) = to_device([np.flatnonzero(packing.positions >= prompt_length)], device)
        included = tokens.index_select(0, index)
    pooled = []
    for mode in modes:
        if mode in ("cls", "lasttoken"):
            end = on_device.lengths.cumsum(0)
            index = (end - lengths if mode == "cls" else end - 1).clamp(0, len(tokens) - 1)
            pooled.append(tokens.index_select(0, index))
        elif mode == "max":
            pooled.append(_reduce_segments(included, lengths, "max"))
        else:
            values, count = at_least_float32(included), lengths.unsqueeze(1)
            if mode == "weightedmean":
                weights = packing.positions[packing.positions >= prompt_length] + 1
                weight = torch.from_numpy(weights).to(values).unsqueeze(1)
                values, count = values * weight, _reduce_segments(weight, lengths, "sum")
            total = _reduce_segments(values, lengths, "sum")
            pooled.append(_divide(mode, total, count).to(tokens.dtype))
    in_packed_order = torch.cat(pooled, dim=1).masked_fill((lengths == 0).unsqueeze(1), 0)
    return in_packed_order.index_select(0, on_device.inverse_order)


def _reduce_segments(x: Tensor, lengths: Tensor, reduction: str) -> Tensor:
    """Return the sum or maximum of each segment of consecutive rows of `x`.

    Args:
        x: rows `(n, hidden_size)`.
        lengths: number of rows of each segment `(batch,)`.
        reduction: "sum" or "max".

    Returns:
        One row per segment `(batch, hidden_size)`.
    """
    if x.device.type in _SEGMENT_REDUCE_DEVICES:
        return torch.segment_reduce(x, reduction, lengths=lengths, axis=0, unsafe=True)
    segment = torch.repeat_interleave(lengths, output_size=len(x)).unsqueeze(1).expand_as(x)
    result = x.new_zeros(len(lengths), x.shape[1])
    return result.scatter_reduce(0, segment, x, {"max": "amax"}.get(reduction, reduction), include_self=False)


def _divide(mode: str, total: Tensor, count: Tensor) -> Tensor:
    """Divide `total` `(batch, hidden_size)` by the sum of the weights `count` `(batch, 1)`, or by its square root."""
    count = count.clamp(min=1).to(total.dtype)
    return total / (count.sqrt() if mode == "mean_sqrt_len_tokens" else count)


def without_prompt(mask: Tensor, prompt_length: int) -> Tensor:
    """Set the mask `(batch, seq_len)` to 0 for the first `prompt_length` tokens of each sentence.

    Padding may be on the left or on the right.
    """
    return mask * (mask.cumsum(dim=1) > prompt_length)
