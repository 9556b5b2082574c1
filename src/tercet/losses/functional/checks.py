"""Check the embeddings and labels of a batch."""

from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor

from tercet.distances import Distance, as_embeddings, check_norms
from tercet.errors import EmbeddingError, counted
from tercet.losses._engine.inputs import Anchors
from tercet.losses.functional.labels import Labels, as_label_tensor

_ADVICE = " of the batch; use a lower learning rate, clip gradients, or train in float32 or bfloat16"


def anchor_rows(embeddings: Tensor, labels: Tensor, anchors: slice | None) -> Anchors | None:
    """Return the rows of a batch that are anchors; None if all are."""
    if anchors is None:
        return None
    self_index = torch.arange(len(labels), device=labels.device)[anchors]
    return Anchors(embeddings[anchors], labels[anchors], self_index)


def check_batch(
    embeddings: Any, labels: Labels, distance: Distance, *, check_values: bool = True
) -> tuple[Tensor, Tensor]:
    """Return embeddings and labels as tensors. Raise `EmbeddingError` unless they are valid and equally many."""
    embeddings = check_embeddings(embeddings, distance) if check_values else as_embeddings(embeddings)
    if is_functorch_wrapped_tensor(embeddings):
        raise EmbeddingError(
            "the batch losses do not support torch.func (grad, vmap, jacrev), because their gradient is computed "
            "together with the loss; use loss.backward() or torch.autograd.grad, or tercet.losses.reference"
        )
    labels = as_label_tensor(labels)
    if labels.device.type != "cpu":
        labels = labels.to(embeddings.device)
    if labels.shape[0] != embeddings.shape[0]:
        raise EmbeddingError(
            f"got {counted(len(embeddings), 'embedding')} and {counted(len(labels), 'label')}; pass one label per "
            "embedding"
        )
    return embeddings, labels


def check_embeddings(embeddings: Any, distance: Distance, name: str = "embeddings") -> Tensor:
    """Return embeddings as a floating-point tensor `(batch, dim)` whose distances can be computed.

    Raises:
        EmbeddingError: see `as_embeddings` and `check_norms`.
    """
    rows = as_embeddings(embeddings, name)
    if not is_functorch_wrapped_tensor(rows):  # its values cannot be read inside `torch.func.vmap`
        check_norms(rows, distance, name, advice=_ADVICE)
    return rows
