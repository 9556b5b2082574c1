"""Measure what two ideas would save that the library does not have: rounded numbers of tokens, and CUDA graphs.

Only the layers of the encoder run, forward and backward, on hidden states of the shapes of real batches. With rounding,
a last sentence without a meaning fills the row up to a multiple of 256 tokens, so the shape of many batches is equal. A
CUDA graph of each shape then launches all kernels of the layers at once. Without a GPU, no graph runs, and a product
stands in for attention.
"""

import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from gpu_steps import CUDA, DEVICE, Case, peak_mib, reset_peak, synchronize
from torch import Tensor, nn

_MULTIPLE = 256
_BATCHES = 8


class Layers(nn.Module):
    """The layers of an encoder on packed hidden states, with sentences that are an input."""

    def __init__(self, encoder: Any, longest: int) -> None:
        super().__init__()
        from tercet.encoder.packing.layers import find_layers

        self.layers, self._longest = encoder.encoder.layer, longest
        self._found: Any = find_layers(encoder)

    def forward(self, states: Tensor, cu_seqlens: Tensor) -> Tensor:
        """Return the hidden states after all layers `(num_tokens, hidden_size)`."""
        from tercet.encoder.packing.layers import run_layers
        from tercet.encoder.packing.varlen import varlen_attention
        from tercet.encoder.packing.varlen_kernels import Sentences

        sentences = Sentences(cu_seqlens, self._longest)

        def attention(q: Tensor, k: Tensor, v: Tensor, dropout_p: float) -> Tensor:
            attended = varlen_attention(q, k, v, sentences, dropout_p=dropout_p) if CUDA else q * k * v
            if attended is None:
                raise RuntimeError("no variable-length kernel for this model and precision")
            return attended

        return run_layers(self._found, states, attention)


def graphs(case: Case) -> dict[str, Any]:
    """Return milliseconds of the layers of a step: as they are, with rounded numbers of tokens, and in CUDA graphs."""
    from tercet import SentenceTransformer

    model = SentenceTransformer(case.folder, device=DEVICE).train()
    counts = [
        np.sort([len(ids) for ids in model.token_ids([case.texts[row] for row in batch])])
        for batch in case.batches[:_BATCHES]
    ]
    longest = max(_MULTIPLE, *(int(lengths[-1]) for lengths in counts))
    layers = Layers(model[0].auto_model, longest)
    exact = [_inputs(lengths, layers) for lengths in counts]
    rounded = [_inputs(np.append(lengths, -lengths.sum() % _MULTIPLE), layers) for lengths in counts]
    found: dict[str, Any] = {
        "number of shapes": {"exact": len({len(x) for x, _ in exact}), "rounded": len({len(x) for x, _ in rounded})},
        "as it is": _measure(case, exact, lambda states: layers),
        "rounded": _measure(case, rounded, lambda states: layers),
    }
    if not CUDA:
        return {**found, "in CUDA graphs": {"left_out": "needs a GPU"}}
    graphed: dict[int, Any] = {}
    with _autocast(case):
        for states, ends in rounded:
            if len(states) not in graphed:
                sample = (torch.randn_like(states).requires_grad_(), ends.clone())
                graphed[len(states)] = torch.cuda.make_graphed_callables(Layers(model[0].auto_model, longest), sample)
    found["in CUDA graphs"] = _measure(case, rounded, lambda states: graphed[len(states)])
    found["difference without dropout"] = _difference(case, layers, rounded[0])
    return found


def _inputs(lengths: np.ndarray, layers: Layers) -> tuple[Tensor, Tensor]:
    hidden = next(layers.parameters()).shape[-1]
    states = torch.randn(int(lengths.sum()), hidden, device=DEVICE).requires_grad_()
    return states, torch.from_numpy(np.append(0, np.cumsum(lengths))).to(DEVICE, torch.int32)


def _autocast(case: Case) -> AbstractContextManager[Any]:
    return torch.autocast(DEVICE, torch.bfloat16, enabled=case.dtype == "bf16", cache_enabled=False)


def _measure(case: Case, batches: list[tuple[Tensor, Tensor]], run: Callable[[Tensor], Any]) -> dict[str, Any]:
    """Return the median milliseconds of a forward and a backward pass, until launched and until computed."""
    launched, computed = [], []
    reset_peak()
    for number in range(5 * len(batches)):
        states, ends = batches[number % len(batches)]
        synchronize()
        start = time.perf_counter()
        with _autocast(case):
            output = run(states)(states, ends)
        output.float().square().mean().backward()
        launched.append(1e3 * (time.perf_counter() - start))
        synchronize()
        computed.append(1e3 * (time.perf_counter() - start))
    warm = len(batches)
    return {
        "first_ms": statistics.median(computed[:warm]),
        "launched_ms": statistics.median(launched[warm:]),
        "step_ms": statistics.median(computed[warm:]),
        "peak_mib": peak_mib(),
    }


def _difference(case: Case, layers: Layers, batch: tuple[Tensor, Tensor]) -> float:
    """Return the largest relative difference of the gradient of the input between a graph and the layers themselves."""
    states, ends = batch
    for module in layers.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    gradients = []
    with _autocast(case):
        sample = (torch.randn_like(states).requires_grad_(), ends.clone())
        for run in (layers, torch.cuda.make_graphed_callables(layers, sample)):
            states.grad = None
            run(states, ends).float().square().mean().backward()
            gradients.append(states.grad.clone())
    return float((gradients[0] - gradients[1]).abs().max() / gradients[0].abs().max())
