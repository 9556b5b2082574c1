"""The triplet losses as pure functions of tensors.

Embeddings are `(batch, dim)`, labels are `(batch,)`, and the loss is a scalar. Sentences may have several labels: a
list of sets or lists of labels, or a bool matrix `(batch, num_labels)`; a positive then shares a label with the anchor,
and a negative shares none. `nested_triplet_loss` takes labels with several levels. `margin` has the unit
of the distance.
`distance` is a name in the catalogue (such as `"euclidean"`, `"cosine"` or `"manhattan"`), a
`tercet.distances.Distance`, or a function.

An anchor counts in a batch loss if the batch contains a positive (another sentence with the same label) and a negative
(a sentence with another label). If no anchor counts, the loss and its gradient are 0. If every anchor counts, the loss
and its gradient are the same as in sentence-transformers.

The losses raise `EmbeddingError` if a shape is invalid, an embedding contains NaN, infinity or a value whose square
does not fit in its dtype (see `tercet.distances.check_norms`), the labels are invalid (see `as_label_tensor`), the
margin is not a finite number of at least 0, or the distance is unknown. Embeddings may also be arrays or nested lists.
The batch losses compute the distances block by block, so memory grows linearly with the batch size. With a distance
function it grows with the square, because the complete distance matrix and its autograd graph are kept. The batch
losses cannot be differentiated twice, nor with `torch.func`. `tercet.losses.reference` has the same losses as plain
loops.
"""

from collections.abc import Callable, Collection, Sequence, Set
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.nn import functional as F

from tercet import distances
from tercet._labels import plain_labels
from tercet._numbers import check_margin
from tercet.distances import Distance, DistanceLike, as_embeddings, check_norms, get_distance, norms_fit
from tercet.errors import EmbeddingError
from tercet.losses import miners
from tercet.losses._engine import engine
from tercet.losses._engine import levels as nested
from tercet.losses._engine.levels import Level
from tercet.losses._engine.stats import LossStats, PendingStats
from tercet.losses.miners import Miner
from tercet.losses.relations import SAME_LABEL, LabelTree, Relation, SharedLabel

__all__ = [
    "anchors_with_triplet",
    "as_label_tensor",
    "batch_all_triplet_loss",
    "batch_hard_soft_margin_triplet_loss",
    "batch_hard_triplet_loss",
    "batch_loss_with_stats",
    "batch_semi_hard_triplet_loss",
    "loss_with_miner",
    "nested_triplet_loss",
    "triplet_loss",
]

Labels = Tensor | Sequence[int] | Sequence[str] | Sequence[Collection[int]] | Sequence[Collection[str]]

# The weight of a level of nested labels, relative to that of the next coarser level. With a smaller one, MAP@R of the
# labels is lower than in flat training; with a larger one, that of their parents gains less (`benchmarks/nested.py`).
WEIGHT_PER_LEVEL = 6.0

_ADVICE = " of the batch; use a lower learning rate, clip gradients, or train in float32 or bfloat16"


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
    margin, metric = check_margin(margin), get_distance(distance)
    parts = {"anchor": anchor, "positive": positive, "negative": negative}
    anchor, positive, negative = (_check_embeddings(part, metric, name) for name, part in parts.items())
    if not anchor.shape == positive.shape == negative.shape:
        shapes = ", ".join(str(tuple(part.shape)) for part in (anchor, positive, negative))
        raise EmbeddingError(f"anchor, positive and negative need the same shape (batch, dim), got {shapes}")
    return checked_triplet_loss(anchor, positive, negative, margin, metric)


def checked_triplet_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float, distance: Distance
) -> Tensor:
    """Return the same as `triplet_loss` for embeddings that are already checked, without reading their values."""
    to_positive, to_negative = (distances.checked_pairs(anchor, part, distance) for part in (positive, negative))
    return F.relu(to_positive - to_negative + margin).mean()


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
    embeddings, labels = _check_batch(embeddings, labels, metric, check_values=not defer_check)
    loss, stats = engine.batch_loss_with_pending_stats(
        embeddings,
        labels,
        miner,
        distance,
        relation=relation,
        anchors=_anchor_rows(embeddings, labels, anchors),
        reduce_count=reduce_count,
        with_stats=with_stats,
    )
    if stats is not None and defer_check:
        stats = replace(stats, is_valid=norms_fit(embeddings, metric))
    return loss, stats


def nested_triplet_loss(
    embeddings: Tensor,
    paths: Sequence[Sequence[Any]] | Tensor,
    miners: Sequence[Miner],
    distance: DistanceLike = "euclidean",
    *,
    weights: Sequence[float] | None = None,
) -> Tensor:
    """Return the weighted sum, over the levels of nested labels, of the batch loss of the labels of that level.

    The distances are computed once for all levels.

    Args:
        embeddings: `(batch, dim)`.
        paths: the label of each row from the coarsest level to the finest, such as `("billing", "refund")`, or an
            integer tensor `(batch, levels)`. Paths may have different lengths, see `tercet.losses.relations.LabelTree`.
        miners: the miner of each level, the coarsest first. A finer level needs a smaller margin.
        distance: as in the other losses.
        weights: the factor of each level; None gives each finer level six times the weight of the next coarser one,
            with the sum 1.

    Raises:
        EmbeddingError: the number of miners or weights is not the number of levels.

    Example:
        >>> import torch
        >>> from tercet.losses import functional, miners
        >>> embeddings = torch.tensor([[0.0], [1.0], [1.5], [6.0]])
        >>> paths = [("billing", "refund"), ("billing", "refund"), ("billing", "card"), ("account",)]
        >>> functional.nested_triplet_loss(embeddings, paths, [miners.hard(2.0), miners.hard(1.0)])
        tensor(0.8571)
    """
    rows = paths.tolist() if isinstance(paths, Tensor) else [tuple(path) for path in paths]
    tree = LabelTree(rows)
    labels = torch.arange(len(rows))
    return loss_of_levels(embeddings, labels, levels_of(tree, miners, weights), distance)[0]


def loss_of_levels(
    embeddings: Tensor,
    labels: Labels,
    levels: Sequence[Level],
    distance: DistanceLike = "euclidean",
    *,
    anchors: slice | None = None,
    reduce_count: Callable[[Tensor], Tensor] | None = None,
    with_stats: bool = False,
) -> tuple[Tensor, list[PendingStats]]:
    """Return the loss of nested labels, and the statistics of each level if `with_stats` is True.

    `labels` are label ids, `levels` are those of `levels_of`, and the other arguments are those of `loss_with_miner`.
    """
    embeddings, labels = _check_batch(embeddings, labels, get_distance(distance))
    return nested.loss_of_levels(
        embeddings,
        labels,
        levels,
        distance,
        anchors=_anchor_rows(embeddings, labels, anchors),
        reduce_count=reduce_count,
        with_stats=with_stats,
    )


def levels_of(tree: LabelTree, miners: Sequence[Miner], weights: Sequence[float] | None = None) -> list[Level]:
    """Return the terms of the loss of nested labels, the coarsest level first; see `nested_triplet_loss`.

    Raises:
        EmbeddingError: the number of miners or weights is not the number of levels.
    """
    if weights is None:
        relative = [WEIGHT_PER_LEVEL**level for level in range(len(tree))]
        weights = [one / sum(relative) for one in relative]
    for number, what in ((len(miners), "miners"), (len(weights), "weights")):
        if number != len(tree):
            raise EmbeddingError(f"got {number} {what} for {len(tree)} levels of labels; pass one for each level")
    return [
        Level(relation=relation, miner=miner, weight=weight)
        for relation, miner, weight in zip(tree.levels(), miners, weights, strict=True)
    ]


def ids_and_relation(labels: Any, *, weighted: bool = False) -> tuple[Any, Relation]:
    """Return labels that are sets or a bool matrix as set ids `(batch,)`, and the relation between these ids.

    `weighted` is that of `tercet.losses.relations.SharedLabel`. Labels of any other form are returned unchanged, with
    the relation of equal labels.
    """
    matrix = labels if isinstance(labels, Tensor) else getattr(labels, "__array__", None) and torch.as_tensor(labels)
    if isinstance(matrix, Tensor):
        if matrix.dtype != torch.bool or matrix.dim() != 2 or matrix.shape[1] < 2:
            return labels, SAME_LABEL
        sets: list[Any] = [row.nonzero().flatten().tolist() for row in matrix]
    else:
        sets = list(labels)
        if not all(isinstance(one, (Set, list, tuple)) for one in sets) or not sets:
            return labels, SAME_LABEL
    names = list(dict.fromkeys(label for one in sets for label in one))
    plain_labels(names)  # Raises an error for labels that are neither integers nor strings.
    numbers = {label: number for number, label in enumerate(names)}
    ids = {key: at for at, key in enumerate(dict.fromkeys(map(frozenset, sets)))}
    device = matrix.device if isinstance(matrix, Tensor) else "cpu"
    set_ids = torch.tensor([ids[frozenset(one)] for one in sets], device=device)
    return set_ids, SharedLabel([[numbers[label] for label in key] for key in ids], weighted=weighted)


def _anchor_rows(embeddings: Tensor, labels: Tensor, anchors: slice | None) -> engine.Anchors | None:
    if anchors is None:
        return None
    self_index = torch.arange(len(labels), device=labels.device)[anchors]
    return engine.Anchors(embeddings[anchors], labels[anchors], self_index)


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


def _check_batch(
    embeddings: Any, labels: Labels, distance: Distance, *, check_values: bool = True
) -> tuple[Tensor, Tensor]:
    """Return embeddings and labels as tensors. Raise `EmbeddingError` unless they are valid and equally many."""
    embeddings = _check_embeddings(embeddings, distance) if check_values else as_embeddings(embeddings)
    if is_functorch_wrapped_tensor(embeddings):
        raise EmbeddingError(
            "the batch losses do not support torch.func (grad, vmap, jacrev), because their gradient is computed "
            "together with the loss; use loss.backward() or torch.autograd.grad, or tercet.losses.reference"
        )
    labels = as_label_tensor(labels)
    if labels.device.type != "cpu":
        labels = labels.to(embeddings.device)
    if labels.shape[0] != embeddings.shape[0]:
        raise EmbeddingError(f"got {len(embeddings)} embeddings and {len(labels)} labels; pass one label per embedding")
    return embeddings, labels


def as_label_tensor(labels: Any, device: torch.device | str | None = None) -> Tensor:
    """Return labels as an int64 tensor `(batch,)`.

    Integers keep their values; booleans become 0 and 1. Floating-point numbers must be whole. Strings are numbered from
    0 in the order of their first occurrence.

    Args:
        labels: one label per row, in a list, a tensor, an array or a pandas `Series`.
        device: the device of the result. None keeps that of a tensor, and is the CPU for other labels.

    Raises:
        EmbeddingError: the labels are neither all whole numbers nor all strings, one is missing, or one does not fit
            in int64. The message names the row.
    """
    if isinstance(labels, Tensor):
        if labels.dtype.is_complex:
            raise EmbeddingError(f"labels must be integers or strings, got a tensor with dtype {labels.dtype}")
        if labels.dtype.is_floating_point and not bool((labels == labels.round()).all() & labels.isfinite().all()):
            plain_labels(labels)  # Raises an error that names the row.
        if labels.dim() > 1 and labels.numel() != len(labels):
            raise EmbeddingError(f"labels must have the shape (batch,), got {tuple(labels.shape)}")
        return labels.reshape(-1).to(device=device, dtype=torch.int64)
    values = plain_labels(labels)
    if values and isinstance(values[0], str):
        label_ids = {label: number for number, label in enumerate(dict.fromkeys(values))}
        values = [label_ids[label] for label in values]
    return torch.tensor(values, dtype=torch.int64, device=device)


def anchors_with_triplet(labels: Tensor) -> Tensor:
    """Return a bool mask `(batch,)`, given labels `(batch,)`: True for rows with a positive and a negative."""
    _, label_ids, counts = labels.unique(return_inverse=True, return_counts=True)
    group_size: Tensor = counts[label_ids]
    return (group_size > 1) & (group_size < len(labels))


def _check_embeddings(embeddings: Any, distance: Distance, name: str = "embeddings") -> Tensor:
    """Return embeddings as a floating-point tensor `(batch, dim)` whose distances can be computed.

    Raises:
        EmbeddingError: see `as_embeddings` and `check_norms`.
    """
    rows = as_embeddings(embeddings, name)
    if not is_functorch_wrapped_tensor(rows):  # its values cannot be read inside `torch.func.vmap`
        check_norms(rows, distance, name, advice=_ADVICE)
    return rows
