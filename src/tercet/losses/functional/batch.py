"""The losses that mine triplets in a batch: one function for each miner, and one for any."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from tercet.distances import DistanceLike, get_distance, norms_fit
from tercet.losses import miners
from tercet.losses._engine import engine
from tercet.losses._engine.stats import LossStats, PendingStats
from tercet.losses.functional.checks import anchor_rows, check_batch
from tercet.losses.functional.labels import Labels, ids_and_relation
from tercet.losses.miners import Miner
from tercet.losses.relations import Relation


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
    relation: Relation | None = None,
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
        relation: which sentences are positives, as a function of their label ids, see `tercet.losses.relations`; None
            uses equal labels, or labels in common if the labels are sets or a bool matrix.
        anchors: the rows that are used as anchors; None uses all rows, and is required with a distance function. All
            rows are candidates.
        reduce_count: maps the number of loss terms of this process to the number of all processes (an all-reduce). The
            loss is then the sum of the terms of this process, divided by the number of terms of all processes.
        with_stats: whether to compute `LossStats`.
    """
    loss, stats = loss_with_pending_stats(
        embeddings,
        labels,
        miner,
        distance,
        relation=relation,
        anchors=anchors,
        reduce_count=reduce_count,
        with_stats=with_stats,
    )
    return loss, None if stats is None else stats.read()


def loss_with_pending_stats(
    embeddings: Tensor,
    labels: Labels,
    miner: Miner,
    distance: DistanceLike = "euclidean",
    *,
    relation: Relation | None = None,
    anchors: slice | None = None,
    reduce_count: Callable[[Tensor], Tensor] | None = None,
    with_stats: bool = True,
    defer_check: bool = False,
) -> tuple[Tensor, PendingStats | None]:
    """Return the same as `loss_with_miner`, but do not wait for the statistics.

    Args:
        embeddings: as for `loss_with_miner`, and so are the other arguments.
        defer_check: whether `is_valid` of the statistics says that a value cannot be used, instead of an error. Not
            used without statistics.
    """
    metric = get_distance(distance)
    defer_check = defer_check and with_stats
    if relation is None:
        labels, relation = ids_and_relation(labels)
    embeddings, labels = check_batch(embeddings, labels, metric, check_values=not defer_check)
    loss, stats = engine.batch_loss_with_pending_stats(
        embeddings,
        labels,
        miner,
        metric,
        relation=relation,
        anchors=anchor_rows(embeddings, labels, anchors),
        reduce_count=reduce_count,
        with_stats=with_stats,
    )
    if stats is not None and defer_check:
        stats = replace(stats, is_valid=norms_fit(embeddings, metric))
    return loss, stats


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
