"""A step on a batch larger than memory: embed it in parts without a graph, then once more, part by part, with one.

A batch loss needs all embeddings of the batch at once, but not the graphs behind them. So

1. embed every part without a graph, and remember the random state before each;
2. compute the loss and its gradient by the embeddings;
3. embed each part again with a graph, from its random state, so that dropout draws the same masks, and go
   back from its embeddings' gradient. Parts whose gradient is zero throughout are left out: exact, and late in
   training, when few triplets are active, much of the batch.

Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited setup" (GradCache).
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tercet.encoder.features import Features
from tercet.encoder.packing.packing import split


class CachedStep(NamedTuple):
    """What a step gave: its loss, and how many of its parts were embedded for the second time."""

    loss: Tensor
    parts: int
    parts_with_gradient: int


def cached_step(
    model: nn.Module,
    features: Features,
    loss_of: Callable[[Tensor], Tensor],
    backward: Callable[[Tensor], None],
    *,
    tokens: int,
    scale: float = 1.0,
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    words: nn.Module | None = None,
) -> CachedStep:
    """Add the gradient of a batch to the parameters, with the graph of one part at a time in memory.

    Args:
        model: gives `sentence_embedding`; where it is wrapped for several processes, only the last part of the
            step communicates.
        features: a packed batch, see `tercet.encoder.packing.packing`.
        loss_of: the loss `()` of embeddings `(batch, dim)` in the order of the batch.
        backward: goes back from a scalar, as `accelerator.backward`.
        tokens: the most tokens of a part; a longer sentence is a part of its own.
        scale: a factor for the gradient, but not for the loss that is returned.
        words: the model's table of word vectors, whose gradient then comes together row by row.
    """
    parts = list(split(features, tokens))
    states = []
    embedded: list[Tensor] = []
    with torch.no_grad(), autocast():
        for part, _ in parts:
            states.append(_RandomState.now(part["input_ids"].device))
            embedded.append(model(part)["sentence_embedding"])
    after = _RandomState.now(features["input_ids"].device)
    packed = torch.cat(embedded)
    places = torch.cat([places for _, places in parts]).to(packed.device)
    embeddings = torch.empty_like(packed).index_copy_(0, places, packed).requires_grad_()
    with autocast():
        loss = loss_of(embeddings)
    (gradient,) = torch.autograd.grad(loss, embeddings)
    gradients = [part * scale for part in gradient[places].split([len(places) for _, places in parts])]
    due = [number for number, part in enumerate(gradients) if part.any()] or [len(parts) - 1]
    for number in due:
        states[number].restore()
        last = number == due[-1]
        with nullcontext() if last else _without_communication(model), nullcontext() if last else _by_rows(words):
            with autocast():
                again = model(parts[number][0])["sentence_embedding"]
            backward((again * gradients[number]).sum())
    after.restore()
    return CachedStep(loss.detach(), len(parts), len(due))


def _without_communication(model: nn.Module) -> AbstractContextManager[Any]:
    wrapped: Any = model
    return wrapped.no_sync() if hasattr(model, "no_sync") else nullcontext()


@contextmanager
def _by_rows(words: nn.Module | None) -> Iterator[None]:
    """Add the gradient of word vectors to the rows of the words that a part holds.

    Autograd makes a table of the whole vocabulary for each part: on a CPU a tenth of a step went into filling it.
    """
    if type(words) is not nn.Embedding or words.weight.device.type != "cpu" or words.scale_grad_by_freq or words.sparse:
        yield
        return
    weight, padding = words.weight, words.padding_idx

    def add(ids: Tensor, gradient: Tensor) -> None:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        rows = gradient.flatten(0, -2).to(weight.dtype)
        if padding is not None:
            rows = rows.masked_fill((ids == padding).view(-1, 1), 0)
        weight.grad.index_add_(0, ids.flatten(), rows)

    def detach(_: nn.Module, inputs: tuple[Tensor], vectors: Tensor) -> Tensor | None:
        if not vectors.requires_grad:
            return None
        leaf = vectors.detach().requires_grad_()
        leaf.register_hook(lambda gradient: add(inputs[0], gradient))
        return leaf

    handle = words.register_forward_hook(detach)
    try:
        yield
    finally:
        handle.remove()


@dataclass(frozen=True)
class _RandomState:
    """Where the random numbers of the CPU and of a GPU stand."""

    cpu: Tensor
    gpu: tuple[torch.device, Tensor] | None

    @classmethod
    def now(cls, device: torch.device) -> "_RandomState":
        gpu = (device, torch.cuda.get_rng_state(device)) if device.type == "cuda" else None
        return cls(torch.get_rng_state(), gpu)

    def restore(self) -> None:
        torch.set_rng_state(self.cpu)
        if self.gpu is not None:
            torch.cuda.set_rng_state(self.gpu[1], self.gpu[0])
