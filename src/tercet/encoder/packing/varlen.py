"""Attention within each sentence of a packed row in one kernel: the variable-length attention of torch on CUDA GPUs.

A kernel takes the tokens of all sentences and their cumulative lengths, so a layer needs one call, whatever the lengths
are. A kernel is tested before its first use. If none supports the tensors and passes, the caller computes attention on
rows with a mask instead; see `tercet.encoder.packing.attention`.
"""

import logging
import threading

import torch
from torch import Tensor

from tercet._events import WarningKind, emit_warning
from tercet.encoder.packing.varlen_check import find_problem
from tercet.encoder.packing.varlen_kernels import KERNELS, Kernel, Request, Sentences

logger = logging.getLogger(__name__)

# The types of the devices that have kernels.
DEVICE_TYPES = {"cuda"}
_LOCK = threading.Lock()
_chosen: dict[Request, Kernel | None] = {}


def varlen_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    sentences: Sentences,
    *,
    dropout_p: float = 0.0,
    scale: float | None = None,
    window: int | None = None,
) -> Tensor | None:
    """Compute attention of each token to the tokens of its sentence, or return None if no kernel can do so.

    `query`, `key`, `value` and the result are each `(num_tokens, num_heads, head_dim)`. With autocast, the result has
    its dtype.

    Args:
        query: the queries.
        key: the keys.
        value: the values.
        sentences: the sentences of the row.
        dropout_p: the probability with which an attention weight is set to 0. The others are divided by 1 − p.
        scale: factor of the attention scores; by default 1 / √head_dim.
        window: if not None, two tokens also have to be less than `window` tokens apart.
    """
    if query.device.type not in DEVICE_TYPES:
        return None
    if (dtype := autocast_dtype(query.device)) is not None:
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    if window is not None and window >= sentences.max_seqlen:
        window = None  # It reaches all tokens of every sentence.
    if not query.dtype == key.dtype == value.dtype:
        return None
    _, num_heads, head_dim = query.shape
    request = Request(query.device, query.dtype, num_heads, head_dim, dropout_p > 0, window is not None)
    kernel = choose(request)
    if kernel is None:
        return None
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    return kernel.run(query, key, value, sentences, dropout_p, scale, window)


def choose(request: Request) -> Kernel | None:
    """Return the first kernel that supports a request and passes its test. The test runs once for each request."""
    if request in _chosen:
        return _chosen[request]
    with _LOCK:
        if request not in _chosen:
            _chosen[request] = _first_that_passes(request)
        return _chosen[request]


def _first_that_passes(request: Request) -> Kernel | None:
    problems: list[str] = []
    for kernel in KERNELS:
        if torch.version.hip is None and kernel.supports(request):
            problem = find_problem(kernel, request)
            if problem is None:
                instead = f", because on this GPU torch's {' and '.join(problems)}" if problems else ""
                level = logging.WARNING if problems else logging.INFO
                logger.log(level, f"attention on packed batches runs in torch's {kernel.name}{instead}")
                return kernel
            problems.append(f"{kernel.name} {problem}")
    fallback = "attention on packed batches runs on rows with a mask, which is slower"
    if problems:
        emit_warning(WarningKind.PACKING_DISABLED, f"{fallback}, because on this GPU torch's {' and '.join(problems)}")
    else:
        logger.info(f"{fallback}: torch has no variable-length kernel for {request}")
    return None


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """Return the dtype of autocast on a device, or None if autocast is off."""
    if not torch.amp.is_autocast_available(device.type) or not torch.is_autocast_enabled(device.type):
        return None
    return torch.get_autocast_dtype(device.type)
