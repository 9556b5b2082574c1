"""The loss of nested labels: the weighted sum of a batch loss over the levels."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tercet.distances import DistanceLike, get_distance
from tercet.errors import EmbeddingError
from tercet.losses._engine import levels as nested
from tercet.losses._engine.levels import Level
from tercet.losses._engine.stats import PendingStats
from tercet.losses.functional.checks import anchor_rows, check_batch
from tercet.losses.functional.labels import Labels
from tercet.losses.miners import Miner
from tercet.losses.relations import LabelTree

# The weight of a level of nested labels, relative to that of the next coarser level. With a smaller one, MAP@R of the
# labels is lower than in flat training; with a larger one, that of their parents gains less (`benchmarks/nested.py`).
WEIGHT_PER_LEVEL = 6.0
# The same for a linear head, and for an encoder that starts from one (`dev/LOG.md`).
WEIGHT_PER_LEVEL_WITH_HEAD = 12.0


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
    embeddings, labels = check_batch(embeddings, labels, get_distance(distance))
    return nested.loss_of_levels(
        embeddings,
        labels,
        levels,
        distance,
        anchors=anchor_rows(embeddings, labels, anchors),
        reduce_count=reduce_count,
        with_stats=with_stats,
    )


def levels_of(tree: LabelTree, miners: Sequence[Miner], weights: Sequence[float] | None = None) -> list[Level]:
    """Return the terms of the loss of nested labels, the coarsest level first; see `nested_triplet_loss`.

    Raises:
        EmbeddingError: the number of miners or weights is not the number of levels.
    """
    weights = weights_of_levels(len(tree)) if weights is None else weights
    for number, what in ((len(miners), "miners"), (len(weights), "weights")):
        if number != len(tree):
            raise EmbeddingError(f"got {number} {what} for {len(tree)} levels of labels; pass one for each level")
    return [
        Level(relation=relation, miner=miner, weight=weight)
        for relation, miner, weight in zip(tree.levels(), miners, weights, strict=True)
    ]


def weights_of_levels(levels: int, per_level: float = WEIGHT_PER_LEVEL) -> list[float]:
    """Return the weight of each level, the coarsest first: each is `per_level` times the one before; the sum is 1."""
    relative = [per_level**level for level in range(levels)]
    return [one / sum(relative) for one in relative]
