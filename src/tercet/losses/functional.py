"""The triplet losses as pure functions of tensors, exact at any batch size.

Shapes: embeddings `(batch, dim)`, labels `(batch,)`, the loss a scalar. `margin` is in units of the
distance, which is `"euclidean"`, `"cosine"`, `"manhattan"` or a function (see `tercet.distances`).

An anchor counts when the batch holds a positive (another sentence of its label) and a negative
(a sentence of another label) for it; a batch with no such anchor has loss 0 and gradient 0. On
batches in which every anchor counts, values and gradients are those of sentence-transformers.

Every function raises `EmbeddingError` for wrong shapes and for NaN or infinite embeddings.
The batch losses run in `tercet.losses._engine.engine`, in blocks of anchors: the memory grows with the batch, not
with its square, except under a distance of your own, which needs its square matrix and autograd through it.
Their gradient cannot be differentiated again. `tercet.losses.reference` has the same in plain loops.
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
from tercet.losses import miners as miners
from tercet.losses._engine import engine
from tercet.losses._engine.stats import LossStats
from tercet.losses.miners import Miner

Labels = Tensor | Sequence[int] | Sequence[str]


def triplet_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *, margin: float = 5.0, distance: DistanceLike = "euclidean"
) -> Tensor:
    """The mean of max(0, d(a,p) − d(a,n) + margin) over given triplets, `(batch, dim)` each.

    Schroff et al. 2015 (FaceNet), section 3.1. Zeros count in the mean.
    """
    if not anchor.shape == positive.shape == negative.shape:
        shapes = ", ".join(str(tuple(part.shape)) for part in (anchor, positive, negative))
        raise EmbeddingError(f"anchor, positive and negative need the same shape (batch, dim), got {shapes}")
    for name, part in (("anchor", anchor), ("positive", positive), ("negative", negative)):
        check_embeddings(part, name)
    hinge = F.relu(distances.pairs(anchor, positive, distance) - distances.pairs(anchor, negative, distance) + margin)
    return hinge.mean()


def batch_all_triplet_loss(
    embeddings: Tensor, labels: Labels, *, margin: float = 5.0, distance: DistanceLike = "euclidean"
) -> Tensor:
    """The mean hinge over all triplets of the batch whose hinge is above 0 (the active ones).

    Hermans et al. 2017, equation 6, averaged over the active triplets only, as their section 3.2 advises.
    """
    return loss_with_miner(embeddings, labels, miners.all_triplets(margin), distance)[0]


def batch_hard_triplet_loss(
    embeddings: Tensor, labels: Labels, *, margin: float = 5.0, distance: DistanceLike = "euclidean"
) -> Tensor:
    """The mean over anchors of the hinge of the farthest positive and the nearest negative.

    Hermans et al. 2017, equation 5.
    """
    return loss_with_miner(embeddings, labels, miners.hard(margin), distance)[0]


def batch_hard_soft_margin_triplet_loss(
    embeddings: Tensor, labels: Labels, *, distance: DistanceLike = "euclidean"
) -> Tensor:
    """As `batch_hard_triplet_loss` with log(1 + exp(·)) in place of the hinge, so without a margin.

    Hermans et al. 2017, section 3.1, "soft-margin".
    """
    return loss_with_miner(embeddings, labels, miners.hard_soft_margin(), distance)[0]


def batch_semi_hard_triplet_loss(
    embeddings: Tensor, labels: Labels, *, margin: float = 5.0, distance: DistanceLike = "euclidean"
) -> Tensor:
    """The mean over (anchor, positive) of the hinge with the nearest negative strictly farther than the positive.

    Where no negative is farther, the farthest one is taken. Schroff et al. 2015, section 3.2.
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
    """The loss of a batch under a miner of `tercet.losses.miners`; the functions above each name one.

    Args:
        anchors: which rows are anchors, by default all; the others are candidates only.
        reduce_count, with_stats: see `engine.batch_loss`.
    """
    labels = checked_labels(embeddings, labels)
    some = None
    if anchors is not None:
        own = torch.arange(len(labels), device=labels.device)[anchors]
        some = engine.Anchors(embeddings[anchors], labels[anchors], own)
    return engine.batch_loss(
        embeddings, labels, miner, distance, anchors=some, reduce_count=reduce_count, with_stats=with_stats
    )


def batch_loss_with_stats(
    embeddings: Tensor, labels: Labels, miner: Miner, distance: DistanceLike = "euclidean"
) -> tuple[Tensor, LossStats]:
    """The loss of a batch, and what it saw: `batch_loss_with_stats(x, y, miners.semi_hard(margin=0.3))`."""
    loss, statistics = loss_with_miner(embeddings, labels, miner, distance, with_stats=True)
    assert statistics is not None
    return loss, statistics


def checked_labels(embeddings: Tensor, labels: Labels) -> Tensor:
    """Labels as a tensor, once the embeddings are sound and there is one label for each."""
    check_embeddings(embeddings)
    labels = as_label_tensor(labels, embeddings.device)
    if labels.shape[0] != embeddings.shape[0]:
        raise EmbeddingError(f"{len(embeddings)} embeddings came with {len(labels)} labels; give one label a sentence")
    return labels


def as_label_tensor(labels: Labels, device: torch.device | str = "cpu") -> Tensor:
    """Labels as an int64 tensor `(batch,)`; integers keep their value, strings are numbered by first appearance."""
    if not isinstance(labels, Tensor):
        values = list(labels)
        if values and all(isinstance(label, str) for label in values):
            numbers = {label: code for code, label in enumerate(dict.fromkeys(values))}
            values = [numbers[label] for label in values]
        try:
            labels = torch.as_tensor(
                np.asarray([int(operator.index(cast(Any, label))) for label in values], dtype=np.int64)
            )
        except (TypeError, ValueError, OverflowError):
            kinds = listed(sorted({type(label).__name__ for label in values}))
            raise EmbeddingError(f"labels must be integers or strings, one a sentence; got {kinds}") from None
    if labels.dtype.is_floating_point or labels.dtype.is_complex:
        raise EmbeddingError(f"labels must be integers or strings, got a tensor of {labels.dtype}")
    return labels.reshape(-1).to(device=device, dtype=torch.int64)


def anchors_with_triplet(labels: Tensor) -> Tensor:
    """Which rows have both a positive and a negative in the batch: labels `(batch,)` → bool `(batch,)`."""
    _, group, counts = labels.unique(return_inverse=True, return_counts=True)
    size = counts[group]
    return (size > 1) & (size < len(labels))


def check_embeddings(embeddings: Tensor, name: str = "embeddings") -> None:
    """Raise `EmbeddingError` unless `embeddings` is a non-empty, finite floating-point `(batch, dim)`."""
    if embeddings.dim() != 2 or not embeddings.is_floating_point():
        raise EmbeddingError(
            f"{name} must be a floating-point tensor (batch, dim), "
            f"got {embeddings.dtype} of shape {tuple(embeddings.shape)}"
        )
    if embeddings.shape[0] == 0:
        raise EmbeddingError(f"{name} has no rows; a triplet loss needs a batch with at least one sentence")
    # One sum tells in most cases, at a tenth of the cost; it may also overflow, so the rows decide.
    if math.isfinite(embeddings.detach().sum()):
        return
    finite = embeddings.detach().isfinite().all(dim=1)
    if not finite.all():
        rows = listed((~finite).nonzero().flatten().tolist())
        raise EmbeddingError(
            f"{name} holds NaN or infinite values in row(s) {rows} of the batch; "
            "lower the learning rate, clip gradients, or train in float32 or bfloat16"
        )
