"""Run a training step on a batch that is larger than memory (gradient caching).

A batch loss needs the embeddings of the whole batch at once, but not their autograd graphs. So the step has three
phases:

1. Encode the batch in chunks, without autograd. Store the state of the random number generators before each chunk.
2. Compute the loss of the whole batch and its gradient with respect to the embeddings.
3. Run a second forward pass of each chunk, with autograd, and backpropagate the gradient of its embeddings. The stored
   random state makes dropout draw the same masks as in phase 1.

Phase 3 skips chunks whose embeddings all have gradient 0, but it runs at least one chunk. The result is exactly the
same. Late in training, when few triplets are active, this saves much time.

Source: Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited setup" (GradCache).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tercet.encoder.features import Features
from tercet.encoder.packing.packing import split
from tercet.trainer.steps.sharding import without_reduction


@dataclass(frozen=True, kw_only=True)
class CachedStep:
    """The result of a cached step.

    Attributes:
        loss: the loss of the batch, a detached scalar.
        chunks: the number of chunks.
        chunks_with_gradient: the number of chunks that had a second forward pass with autograd.
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
    loss_parameters: Sequence[nn.Parameter] = (),
) -> CachedStep:
    """Add the gradient of a batch to the parameters. Only the autograd graph of one chunk is in memory at a time.

    Args:
        model: the model; its output contains `sentence_embedding`. With several processes, gradients are reduced once,
            during the last chunk that runs, because the processes may have different numbers of chunks.
        features: a packed batch, see `tercet.encoder.packing.packing`.
        compute_loss: a function from the embeddings `(batch, dim)`, in the order of the batch, to the scalar loss.
        backward: a function that backpropagates from a scalar, such as `accelerator.backward`.
        max_tokens: maximum number of tokens per chunk. A longer sentence is a chunk by itself.
        scale: a factor for the gradient. The returned loss is not scaled.
        autocast: a function that returns the context manager in which the model and the loss run.
        word_embeddings: the word embedding layer of the model. On a CPU, all chunks but the last add its gradient only
            to the rows of their tokens, which saves time. None turns this off.
        loss_parameters: the parameters of the loss itself, which get their gradients in phase 2.
    """
    chunks = list(split(features, max_tokens))
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
    gradient, *of_loss = torch.autograd.grad(loss, [embeddings, *loss_parameters], allow_unused=True)
    used = [(value, rows) for value, rows in zip(loss_parameters, of_loss, strict=True) if rows is not None]
    if used:  # `backward` scales the gradients, as those of the model.
        backward(sum(((value * (rows * scale)).sum() for value, rows in used), start=torch.zeros_like(loss)))
    if gradient is None:  # The loss of this batch does not depend on the embeddings.
        gradient = torch.zeros_like(embeddings)

    gradients = [rows * scale for rows in gradient[batch_index].split([len(index) for _, index in chunks])]
    # Distributed training all-reduces the gradients during the last chunk, so at least one chunk must run.
    has_gradient = torch.stack([rows.any() for rows in gradients]).tolist()  # One read from the device.
    chunks_with_gradient = [number for number, found in enumerate(has_gradient) if found] or [len(chunks) - 1]
    for number in chunks_with_gradient:
        random_states[number].restore()
        is_last = number == chunks_with_gradient[-1]
        with (
            nullcontext() if is_last else without_reduction(model),
            nullcontext() if is_last else _sparse_gradient(word_embeddings),
        ):
            with autocast():
                with_graph = model(chunks[number][0])["sentence_embedding"]
            backward((with_graph * gradients[number]).sum())
    final_random_state.restore()
    return CachedStep(loss=loss.detach(), chunks=len(chunks), chunks_with_gradient=len(chunks_with_gradient))


@contextmanager
def _sparse_gradient(word_embeddings: nn.Module | None) -> Iterator[None]:
    """Inside the `with` block, add the gradient of word embeddings only to the rows of the tokens in a chunk.

    Autograd would allocate a gradient for the whole vocabulary in every chunk. On a CPU, filling it with zeros took a
    tenth of a training step. For None, a layer on a GPU, a subclass of `nn.Embedding`, `scale_grad_by_freq` or
    `sparse`, do nothing.
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
    """The states of the random number generators of the CPU and, if the batch is on a CUDA GPU, of that GPU."""

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
