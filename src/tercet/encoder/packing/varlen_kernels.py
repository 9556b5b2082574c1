"""The variable-length attention kernels of torch on CUDA GPUs, as functions of one form.

Most of them are not public, so `tercet.encoder.packing.varlen_check` tests each one before its first use.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Sentences:
    """The sentences of a packed row, without those that have no token.

    Attributes:
        cu_seqlens: int32 `(num_sentences + 1,)`, the cumulative lengths, starting with 0, on the device of the row.
        max_seqlen: the number of tokens of the longest sentence.
    """

    cu_seqlens: Tensor
    max_seqlen: int


@dataclass(frozen=True)
class Request:
    """The requirements of a call: device, dtype and shape of the tensors, dropout and window."""

    device: torch.device
    dtype: torch.dtype
    num_heads: int
    head_dim: int
    has_dropout: bool
    has_window: bool


@dataclass(frozen=True, eq=False)
class Kernel:
    """A function that computes attention, and a function that returns whether it supports a request.

    The arguments of `run` are `(query, key, value, sentences, dropout_p, scale, window)`. The first three and the
    result are `(num_tokens, num_heads, head_dim)`.
    """

    name: str
    run: Callable[[Tensor, Tensor, Tensor, Sentences, float, float, int | None], Tensor]
    supports: Callable[[Request], bool]


def _run_flash(
    q: Tensor, k: Tensor, v: Tensor, sentences: Sentences, dropout_p: float, scale: float, window: int | None
) -> Tensor:
    ends, longest = sentences.cu_seqlens, sentences.max_seqlen
    reach = {} if window is None else {"window_size_left": window - 1, "window_size_right": window - 1}
    output: Tensor = torch.ops.aten._flash_attention_forward(
        q, k, v, ends, ends, longest, longest, dropout_p, False, False, scale=scale, **reach
    )[0]
    return output


def _run_efficient(
    q: Tensor, k: Tensor, v: Tensor, sentences: Sentences, dropout_p: float, scale: float, window: int | None
) -> Tensor:
    ends, longest = sentences.cu_seqlens, sentences.max_seqlen
    rows = (x.unsqueeze(0) for x in (q, k, v))
    for_backward = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)
    output: Tensor = torch.ops.aten._efficient_attention_forward(
        *rows, None, ends, ends, longest, longest, dropout_p, 0, for_backward, scale=scale
    )[0]
    return output.squeeze(0)


def _run_public(
    q: Tensor, k: Tensor, v: Tensor, sentences: Sentences, dropout_p: float, scale: float, window: int | None
) -> Tensor:
    from torch.nn.attention import varlen

    ends, longest, reach = sentences.cu_seqlens, sentences.max_seqlen, -1 if window is None else window - 1
    run: Any = varlen.varlen_attn
    output: Tensor = run(q, k, v, ends, ends, longest, longest, scale=scale, window_size=(reach, reach))
    return output


def _flash_supports(request: Request) -> bool:
    """FlashAttention needs half precision, a GPU of the Ampere generation, and a head dimension of 8, 16, … 256."""
    half = request.dtype in (torch.float16, torch.bfloat16)
    return half and request.head_dim % 8 == 0 and request.head_dim <= 256 and _capability(request.device) >= (8, 0)


def _efficient_supports(request: Request) -> bool:
    """The memory-efficient kernel has no window that looks to both sides. bfloat16 needs the Ampere generation."""
    needed = {torch.float32: (5, 0), torch.float16: (5, 0), torch.bfloat16: (8, 0)}.get(request.dtype)
    return needed is not None and _capability(request.device) >= needed and not request.has_window


# In the order of their speed. The last one is FlashAttention again, by the public function of torch 2.13, which has no
# dropout and costs more time of the processor.
KERNELS = (
    Kernel("_flash_attention_forward", _run_flash, _flash_supports),
    Kernel("_efficient_attention_forward", _run_efficient, _efficient_supports),
    Kernel("varlen_attn", _run_public, lambda request: _flash_supports(request) and not request.has_dropout),
)


def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)
