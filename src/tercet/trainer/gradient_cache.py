"""A training step on a batch that is larger than memory: gradient caching.

A batch loss needs the embeddings of the whole batch at once, but it does not need their graphs. So the step has
three phases:

1. Embed the batch chunk by chunk without a graph. Store the random state before each chunk.
2. Compute the loss of all embeddings, and its gradient with respect to the embeddings.
3. Embed each chunk again, now with a graph, and backpropagate the gradient of its embeddings. The stored random state
   makes dropout draw the same masks as in phase 1.

Chunks whose embeddings all have gradient 0 are skipped in phase 3. This is exact, and it saves much of the step late in
training, when few triplets are active.

Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited setup" (GradCache).
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tercet.encoder.packing.packing import Features, cut


@dataclass(frozen=True, kw_only=True)
class CachedStep:
    """The result of a cached step.

    Attributes:
        loss: the loss of the batch, detached `()`.
        chunks: the number of chunks.
        chunks_with_gradient: the number of chunks that were embedded again with a graph.
    """

    loss: Tensor
    chunks: int
    chunks_with_gradient: int


def cached_step(
    model: nn.Module,
    features: Features,
    compute_loss: Callable[[Tensor], Tensor],
    backward: Callable[[Tensor], None],
    *,
    max_tokens: int,
    scale: float = 1.0,
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    word_embeddings: nn.Module | None = None,
) -> CachedStep:
    """Add the gradient of a batch to the parameters, with the graph of one chunk at a time in memory.

    Args:
        model: returns `sentence_embedding`. If it is wrapped for several processes, gradients are reduced once, with
            the last chunk.
        features: a packed batch, see `tercet.encoder.packing.packing`.
        compute_loss: returns the loss `()` of embeddings `(batch, dim)` in the order of the batch.
        backward: backpropagates from a scalar, such as `accelerator.backward`.
        max_tokens: maximum number of tokens of a chunk. A longer sentence is a chunk by itself.
        scale: a factor for the gradient. The returned loss is not scaled.
        autocast: returns the context in which the model and the loss run.
        word_embeddings: the word embedding table of the model. If given, its gradient is added row by row.
    """
    chunks = list(cut(features, max_tokens))
    random_states: list[_RandomState] = []
    chunk_embeddings: list[Tensor] = []
    with torch.no_grad(), autocast():
        for chunk, _ in chunks:
            random_states.append(_RandomState.current(chunk["input_ids"].device))
            chunk_embeddings.append(model(chunk)["sentence_embedding"])
    final_random_state = _RandomState.current(features["input_ids"].device)

    sorted_embeddings = torch.cat(chunk_embeddings)
    batch_index = torch.cat([index for _, index in chunks]).to(sorted_embeddings.device)
    embeddings = torch.empty_like(sorted_embeddings).index_copy_(0, batch_index, sorted_embeddings).requires_grad_()
    with autocast():
        loss = compute_loss(embeddings)
    (gradient,) = torch.autograd.grad(loss, embeddings)

    gradients = [rows * scale for rows in gradient[batch_index].split([len(index) for _, index in chunks])]
    # Several processes reduce their gradients with the last chunk, so at least one chunk must run.
    chunks_with_gradient = [number for number, rows in enumerate(gradients) if rows.any()] or [len(chunks) - 1]
    for number in chunks_with_gradient:
        random_states[number].restore()
        is_last = number == chunks_with_gradient[-1]
        with (
            nullcontext() if is_last else _without_reduction(model),
            nullcontext() if is_last else _sparse_gradient(word_embeddings),
        ):
            with autocast():
                with_graph = model(chunks[number][0])["sentence_embedding"]
            backward((with_graph * gradients[number]).sum())
    final_random_state.restore()
    return CachedStep(loss=loss.detach(), chunks=len(chunks), chunks_with_gradient=len(chunks_with_gradient))


def _without_reduction(model: nn.Module) -> AbstractContextManager[Any]:
    """Return a context in which a wrapped model does not reduce its gradients over the processes."""
    wrapped: Any = model
    return wrapped.no_sync() if hasattr(model, "no_sync") else nullcontext()


@contextmanager
def _sparse_gradient(word_embeddings: nn.Module | None) -> Iterator[None]:
    """Add the gradient of word embeddings only to the rows of the words that occur in a chunk.

    Autograd creates a table for the whole vocabulary in every chunk. Filling it took a tenth of a step on a CPU.
    """
    if (
        type(word_embeddings) is not nn.Embedding
        or word_embeddings.weight.device.type != "cpu"
        or word_embeddings.scale_grad_by_freq
        or word_embeddings.sparse
    ):
        yield
        return
    weight, padding = word_embeddings.weight, word_embeddings.padding_idx

    def add_gradient(ids: Tensor, gradient: Tensor) -> None:
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
        leaf.register_hook(lambda gradient: add_gradient(inputs[0], gradient))
        return leaf

    handle = word_embeddings.register_forward_hook(detach)
    try:
        yield
    finally:
        handle.remove()


@dataclass(frozen=True)
class _RandomState:
    """The states of the random number generators of the CPU and of a GPU."""

    cpu: Tensor
    gpu: tuple[torch.device, Tensor] | None

    @classmethod
    def current(cls, device: torch.device) -> "_RandomState":
        gpu = (device, torch.cuda.get_rng_state(device)) if device.type == "cuda" else None
        return cls(torch.get_rng_state(), gpu)

    def restore(self) -> None:
        torch.set_rng_state(self.cpu)
        if self.gpu is not None:
            torch.cuda.set_rng_state(self.gpu[1], self.gpu[0])
