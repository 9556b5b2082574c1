"""The triplet losses as pure functions of tensors.

Embeddings are `(batch, dim)`, labels are `(batch,)`, and the loss is a scalar. `margin` has the unit of the distance.
`distance` is a name in the catalogue (such as `"euclidean"`, `"cosine"` or `"manhattan"`), a
`tercet.distances.Distance`, or a function.

An anchor counts in a batch loss if the batch contains a positive (another sentence with the same label) and a negative
(a sentence with another label). If no anchor counts, the loss and its gradient are 0. If every anchor counts, the loss
and its gradient are the same as in sentence-transformers.

The losses raise `EmbeddingError` if a shape is invalid, an embedding contains NaN or infinity, the labels are invalid
(see `as_label_tensor`), or the distance is unknown. The batch losses compute the distances block by block, so memory
grows linearly with the batch size. With a distance function it grows with the square, because the complete distance
matrix and its autograd graph are kept. The batch losses cannot be differentiated twice. `tercet.losses.reference` has
the same losses as plain loops.
"""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tercet import distances
from tercet.distances import DistanceLike
from tercet.errors import EmbeddingError, listed
from tercet.losses import miners
from tercet.losses._engine import engine
from tercet.losses._engine.stats import LossStats
from tercet.losses.miners import Miner

__all__ = [
    "anchors_with_triplet",
    "as_label_tensor",
    "batch_all_triplet_loss",
    "batch_hard_soft_margin_triplet_loss",
    "batch_hard_triplet_loss",
    "batch_loss_with_stats",
    "batch_semi_hard_triplet_loss",
    "loss_with_miner",
    "triplet_loss",
]

Labels = Tensor | Sequence[int] | Sequence[str]


def triplet_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *, margin: float = 5.0, distance: DistanceLike = "euclidean"
) -> Tensor:
    """Return the mean of max(0, d(a,p) − d(a,n) + margin) over the given triplets.

    `anchor`, `positive` and `negative` are each `(batch, dim)`. Triplets with loss 0 are included in the mean. Source:
    Schroff et al. 2015 (FaceNet), section 3.1.

    Example:
        >>> import torch
        >>> from tercet.losses import functional
        >>> anchor, positive, negative = torch.tensor([[0.0]]), torch.tensor([[1.0]]), torch.tensor([[3.0]])
        >>> functional.triplet_loss(anchor, positive, negative, margin=5.0)
        tensor(3.)
    """
    if not anchor.shape == positive.shape == negative.shape:
        shapes = ", ".join(str(tuple(part.shape)) for part in (anchor, positive, negative))
        raise EmbeddingError(f"anchor, positive and negative need the same shape (batch, dim), got {shapes}")
    for name, part in (("anchor", anchor), ("positive", positive), ("negative", negative)):
        _check_embeddings(part, name)
    hinge = F.relu(distances.pairs(anchor, positive, distance) - distances.pairs(anchor, negative, distance) + margin)
    return hinge.mean()


def batch_all_triplet_loss(
    embeddings: Tensor, labels: Labels, *, margin: float = 5.0, distance: DistanceLike = "euclidean"
) -> Tensor:
    """Return the mean of d(a,p) − d(a,n) + margin over the active triplets of the batch.

    A triplet is active if this value is above 0. Source: Hermans et al. 2017, equation 6, averaged over the active
    triplets only, as their section 3.2 recommends.
    """
    return loss_with_miner(embeddings, labels, miners.all_triplets(margin), distance)[0]


def batch_hard_triplet_loss(
    embeddings: Tensor, labels: Labels, *, margin: float = 5.0, distance: DistanceLike = "euclidean"
) -> Tensor:
    """Return the mean over anchors a of max(0, d(a,p) − d(a,n) + margin).

    p is the farthest positive of a, and n is the nearest negative. Source: Hermans et al. 2017, equation 5.
    """
    return loss_with_miner(embeddings, labels, miners.hard(margin), distance)[0]


def batch_hard_soft_margin_triplet_loss(
    embeddings: Tensor, labels: Labels, *, distance: DistanceLike = "euclidean"
) -> Tensor:
    """Return the mean over anchors a of log(1 + exp(d(a,p) − d(a,n))), which has no margin.

    p is the farthest positive of a, and n is the nearest negative. Source: Hermans et al. 2017, section 3.1,
    "soft-margin".
    """
    return loss_with_miner(embeddings, labels, miners.hard_soft_margin(), distance)[0]


def batch_semi_hard_triplet_loss(
    embeddings: Tensor, labels: Labels, *, margin: float = 5.0, distance: DistanceLike = "euclidean"
) -> Tensor:
    """Return the mean over all pairs of an anchor a and a positive p of max(0, d(a,p) − d(a,n) + margin).

    n is the nearest negative with d(a,n) > d(a,p). If there is none, n is the farthest negative of a. Source: Schroff
    et al. 2015, section 3.2.

    Example:
        >>> import torch
        >>> from tercet.losses import functional
        >>> embeddings = torch.tensor([[0.0], [1.0], [1.5]])
        >>> functional.batch_semi_hard_triplet_loss(embeddings, ["a", "a", "b"], margin=1.0)
        tensor(1.)
    """
    return loss_with_miner(embeddings, labels, miners.semi_hard(margin), distance)[0]


def loss_with_miner(
    embeddings: Tensor,
    labels: Labels,
    miner: Miner,
    distance: DistanceLike = "euclidean",
    *,
    anchors: slice | None = None,
    reduce_count: Callable[[Tensor], Tensor] | None = None,
    with_stats: bool = False,
) -> tuple[Tensor, LossStats | None]:
    """Return the scalar loss of a batch for any miner, and its `LossStats` if `with_stats` is True, else None.

    Args:
        embeddings: `(batch, dim)`.
        labels: `(batch,)`.
        miner: the rule that selects triplets, see `tercet.losses.miners`.
        distance: the name of a distance, a `Distance`, or a function.
        anchors: the rows that are used as anchors; None uses all rows, and is required with a distance function. All
            rows are candidates.
        reduce_count: maps the number of loss terms of this process to the number of all processes (an all-reduce). The
            loss is then the sum of the terms of this process, divided by the number of terms of all processes.
        with_stats: whether to compute `LossStats`.
    """
    labels = _check_batch(embeddings, labels)
    anchor_rows = None
    if anchors is not None:
        self_index = torch.arange(len(labels), device=labels.device)[anchors]
        anchor_rows = engine.Anchors(embeddings[anchors], labels[anchors], self_index)
    return engine.batch_loss(
        embeddings, labels, miner, distance, anchors=anchor_rows, reduce_count=reduce_count, with_stats=with_stats
    )


def batch_loss_with_stats(
    embeddings: Tensor, labels: Labels, miner: Miner, distance: DistanceLike = "euclidean"
) -> tuple[Tensor, LossStats]:
    """Return the scalar loss of a batch and its `LossStats`. For the arguments, see `loss_with_miner`.

    Example:
        >>> import torch
        >>> from tercet.losses import functional, miners
        >>> embeddings = torch.tensor([[0.0], [1.0], [1.5]])
        >>> loss, stats = functional.batch_loss_with_stats(embeddings, [0, 0, 1], miners.semi_hard(margin=1.0))
        >>> stats.active_triplets, stats.mean_positive_distance
        (2, 1.0)
    """
    loss, stats = loss_with_miner(embeddings, labels, miner, distance, with_stats=True)
    assert stats is not None
    return loss, stats


def _check_batch(embeddings: Tensor, labels: Labels) -> Tensor:
    """Return the labels as a tensor. Raise `EmbeddingError` unless embeddings and labels are valid and equally many."""
    _check_embeddings(embeddings)
    labels = as_label_tensor(labels, embeddings.device)
    if labels.shape[0] != embeddings.shape[0]:
        raise EmbeddingError(f"got {len(embeddings)} embeddings and {len(labels)} labels; pass one label per embedding")
    return labels


def as_label_tensor(labels: Labels, device: torch.device | str = "cpu") -> Tensor:
    """Return labels as an int64 tensor `(batch,)`.

    Integers keep their values; booleans become 0 and 1. Strings are numbered from 0 in the order of their first
    occurrence. A tensor is flattened.

    Raises:
        EmbeddingError: the labels are neither all integers nor all strings, or an integer in a sequence does not fit in
            int64.
    """
    if not isinstance(labels, Tensor):
        values = list(labels)
        if values and all(isinstance(label, str) for label in values):
            numbers = {label: number for number, label in enumerate(dict.fromkeys(values))}
            values = [numbers[label] for label in values]
        try:
            labels = torch.as_tensor(
                np.asarray([int(operator.index(cast(Any, label))) for label in values], dtype=np.int64)
            )
        except (TypeError, ValueError, OverflowError):
            kinds = listed(sorted({type(label).__name__ for label in values}))
            raise EmbeddingError(
                f"labels must be all integers (int64) or all strings, one per sentence; got labels of type {kinds}"
            ) from None
    if labels.dtype.is_floating_point or labels.dtype.is_complex:
        raise EmbeddingError(f"labels must be integers or strings, got a tensor with dtype {labels.dtype}")
    return labels.reshape(-1).to(device=device, dtype=torch.int64)


def anchors_with_triplet(labels: Tensor) -> Tensor:
    """Return a bool mask `(batch,)`, given labels `(batch,)`: True for rows with a positive and a negative."""
    _, label_ids, counts = labels.unique(return_inverse=True, return_counts=True)
    group_size: Tensor = counts[label_ids]
    return (group_size > 1) & (group_size < len(labels))


def _check_embeddings(embeddings: Tensor, name: str = "embeddings") -> None:
    """Raise `EmbeddingError` unless `embeddings` is a non-empty, finite floating-point tensor `(batch, dim)`."""
    if embeddings.dim() != 2 or not embeddings.is_floating_point():
        raise EmbeddingError(
            f"{name} must be a floating-point tensor (batch, dim), "
            f"got {embeddings.dtype} of shape {tuple(embeddings.shape)}"
        )
    if embeddings.shape[0] == 0:
        raise EmbeddingError(f"{name} must have at least one row, got shape {tuple(embeddings.shape)}")
    # If the sum is finite, all values are finite; this check takes a tenth of the time of `isfinite`. The sum of finite
    # values may overflow, so if it is not finite, check every row.
    if math.isfinite(embeddings.detach().sum()):
        return
    finite = embeddings.detach().isfinite().all(dim=1)
    if not finite.all():
        rows = listed((~finite).nonzero().flatten().tolist())
        raise EmbeddingError(
            f"{name}: NaN or infinite values in row(s) {rows} of the batch; "
            "use a lower learning rate, clip gradients, or train in float32 or bfloat16"
        )
