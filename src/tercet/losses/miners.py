"""Miners: which triplets of a batch count. Each is a function of one block of distances.

A block holds the distances of m anchors to all C candidates. A miner returns the sum of the loss terms of each anchor,
and the derivative of that sum by the distances. It sees no embeddings; the engine turns derivatives by distances into
the gradient of the embeddings. Every miner depends on differences of distances only.

Sources: Schroff et al. 2015 (semi-hard), Hermans et al. 2017 (all, hard, soft margin).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from tercet.losses._engine import kernels

__all__ = ["DistanceBlock", "MinedBlock", "Miner", "all_triplets", "hard", "hard_soft_margin", "semi_hard"]


class DistanceBlock(NamedTuple):
    """The distances that a miner sees: m anchors, at most P positives each, and C candidates.

    Attributes:
        negatives: distances `(m, C)`; the entries of positives and of the anchor itself hold `masked_value`.
        positives: distances `(m, P)`, with any finite value in padding.
        candidate_index: the candidates that the positives are, `(m, P)`.
        padding_mask: True `(m, P)` where there is no positive, or None if every anchor has P positives.
        non_negative: whether no distance is below 0.
    """

    negatives: Tensor
    positives: Tensor
    candidate_index: Tensor
    padding_mask: Tensor | None
    non_negative: bool = False

    @property
    def masked_value(self) -> float:
        """The value that stands for "no negative": larger than any distance, but finite."""
        return torch.finfo(self.negatives.dtype).max

    def positives_or(self, value: float) -> Tensor:
        """Return the distances of the positives `(m, P)` with a value in padding, such as −inf for a maximum."""
        return self.positives if self.padding_mask is None else self.positives.masked_fill(self.padding_mask, value)


class MinedBlock(NamedTuple):
    """The loss terms of a block and their derivatives.

    Attributes:
        terms: the sum of the loss terms of each anchor `(m,)`.
        candidate_index: candidates `(m, S)` with a derivative of their own: positives and chosen negatives.
        distances: the distances of those candidates `(m, S)`.
        weights: the derivative of `terms` by those distances `(m, S)`, below 0 for negatives.
        num_active: the number of active triplets, `(m, T)`: one column for each triplet or group of triplets of an
            anchor, in any order. Their sum is counted.
        negative_weights: minus the derivative by all `negatives`, `(m, C)`, or None if no other distances count.
        gaps: d(a,p) − d(a,n) of each chosen triplet `(m, T)`, with any value in padding; None if all are chosen.
    """

    terms: Tensor
    candidate_index: Tensor
    distances: Tensor
    weights: Tensor
    num_active: Tensor
    negative_weights: Tensor | None = None
    gaps: Tensor | None = None


@dataclass(frozen=True)
class Miner:
    """A way to choose triplets.

    Attributes:
        mine: the function of a block, which it must not overwrite.
        mean_over: what the loss is a mean over: active triplets, positives (pairs of anchor and positive) or anchors.
    """

    mine: Callable[[DistanceBlock], MinedBlock]
    mean_over: Literal["active", "positives", "anchors"]


def all_triplets(margin: float) -> Miner:
    """Return a miner of every triplet; the loss is the mean over the active ones, whose hinge is above 0."""
    return Miner(partial(_mine_all, margin=margin), mean_over="active")


def semi_hard(margin: float) -> Miner:
    """Return a miner that takes, for every positive, the nearest negative strictly farther than the positive.

    If no negative is farther, it takes the farthest negative.
    """
    return Miner(partial(_mine_semi_hard, margin=margin), mean_over="positives")


def hard(margin: float) -> Miner:
    """Return a miner that takes the farthest positive and the nearest negative of every anchor."""

    def hinge(gap: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        value = F.relu(gap + margin)
        return value, value.sign(), value.sign()

    return Miner(partial(_mine_hardest, penalty=hinge), mean_over="anchors")


def hard_soft_margin() -> Miner:
    """Return the miner of `hard` with log(1 + exp(·)) instead of the hinge.

    Every triplet has a loss then; those whose negative is no farther than the positive count as active.
    """

    def softplus(gap: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return F.softplus(gap), torch.sigmoid(gap), gap >= 0

    return Miner(partial(_mine_hardest, penalty=softplus), mean_over="anchors")


def _mine_all(block: DistanceBlock, margin: float) -> MinedBlock:
    """Sum all hinges by counting: Σ hinge = Σₖ bₖ tₖ − Σₙ aₙ dₙ, with the thresholds tₖ = d(a, pₖ) + margin.

    bₖ is the number of negatives below tₖ, and aₙ the number of thresholds above dₙ. Both sums are taken relative to
    the largest threshold of the row, so that small hinges do not drown in large distances.
    """
    thresholds = block.positives_or(-torch.inf) + margin
    num_below, num_above = kernels.count_below(block.negatives, thresholds)
    top = thresholds.amax(1, keepdim=True)
    below_top = (top - thresholds).clamp(max=block.masked_value)  # Padding counts 0 times its finite distance.
    return MinedBlock(
        terms=kernels.row_dot(num_above, top - block.negatives) - kernels.row_dot(num_below, below_top),
        candidate_index=block.candidate_index,
        distances=block.positives,
        weights=num_below,
        num_active=num_below,
        negative_weights=num_above,
    )


def _mine_semi_hard(block: DistanceBlock, margin: float) -> MinedBlock:
    column = kernels.next_farther(block.negatives, block.positives, non_negative=block.non_negative)
    distance = block.negatives.gather(1, column)
    none_farther = (distance <= block.positives) | (distance == block.masked_value)
    rows = none_farther.any(1).nonzero().flatten()
    if len(rows):
        negatives = block.negatives[rows]
        negatives = negatives.masked_fill(negatives == block.masked_value, -torch.inf)
        farthest, farthest_column = negatives.max(1, keepdim=True)
        column[rows] = torch.where(none_farther[rows], farthest_column, column[rows])
        distance[rows] = torch.where(none_farther[rows], farthest, distance[rows])
    gaps = block.positives - distance
    hinge = F.relu(gaps + margin)
    if block.padding_mask is not None:
        hinge = hinge.masked_fill(block.padding_mask, 0)
    active = hinge.sign()
    return MinedBlock(
        terms=hinge.sum(1),
        candidate_index=torch.cat([block.candidate_index, column], 1),
        distances=torch.cat([block.positives, distance], 1),
        weights=torch.cat([active, -active], 1),
        num_active=active,
        gaps=gaps,
    )


def _mine_hardest(block: DistanceBlock, penalty: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]) -> MinedBlock:
    """Mine one triplet per anchor; `penalty` returns the term, its derivative and the activity of each gap `(m, 1)`."""
    farthest, position = block.positives_or(-torch.inf).max(1, keepdim=True)
    column = kernels.nearest(block.negatives)
    nearest = block.negatives.gather(1, column)
    gap = farthest - nearest
    terms, slope, active = penalty(gap)
    return MinedBlock(
        terms=terms.squeeze(1),
        candidate_index=torch.cat([block.candidate_index.gather(1, position), column], 1),
        distances=torch.cat([farthest, nearest], 1),
        weights=torch.cat([slope, -slope], 1),
        num_active=active,
        gaps=gap,
    )
