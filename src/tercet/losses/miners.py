"""Miners, which select the triplets of a batch that count in the loss.

A miner processes one block at a time: the distances of m anchors to all C candidates. For each anchor, it returns the
sum of the loss terms and the derivatives of this sum with respect to the distances. The engine computes the distances,
and backpropagates the derivatives to the embeddings.

Sources: Schroff et al. 2015 (semi-hard), Hermans et al. 2017 (all, hard, soft margin).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from tercet._numbers import check_margin
from tercet.losses._engine import kernels

__all__ = ["DistanceBlock", "MinedBlock", "Miner", "all_triplets", "hard", "hard_soft_margin", "semi_hard"]


class DistanceBlock(NamedTuple):
    """The input of a miner: the distances of m anchors to C candidates. An anchor has at most P positives.

    Attributes:
        negatives: `(m, C)`, the distances to the negatives. The entries of the positives and of the anchor itself are
            set to `masked_value`.
        positives: `(m, P)`, the distances to the positives. Padding entries hold an arbitrary finite value.
        candidate_index: `(m, P)`, the index of each positive among the candidates.
        padding_mask: bool `(m, P)`, True for padding entries; None if every anchor has P positives.
        non_negative: whether the distance is known to be at least 0 for every pair.
        positive_weights: `(m, P)`, the factor of each positive in the loss terms, such as the overlap of its labels
            with those of the anchor; None if all are 1. Padding entries hold an arbitrary finite value.
    """

    negatives: Tensor
    positives: Tensor
    candidate_index: Tensor
    padding_mask: Tensor | None
    non_negative: bool = False
    positive_weights: Tensor | None = None

    @property
    def masked_value(self) -> float:
        """The value of masked entries in `negatives`: the largest finite float of the dtype."""
        return torch.finfo(self.negatives.dtype).max

    def positives_or(self, value: float) -> Tensor:
        """Return `positives` `(m, P)` with padding entries replaced by `value` (for example −inf before a max)."""
        return self.positives if self.padding_mask is None else self.positives.masked_fill(self.padding_mask, value)


class MinedBlock(NamedTuple):
    """The output of a miner: the loss terms of a block and their derivatives.

    Attributes:
        terms: `(m,)`, the sum of the loss terms of each anchor.
        candidate_index: `(m, S)`, the candidates that the miner lists for each anchor: positives and, if the miner
            selects single negatives, these negatives.
        distances: `(m, S)`, the distances of the anchor to the listed candidates.
        weights: `(m, S)`, the derivatives of `terms` with respect to `distances`. They are at most 0 for negatives.
        num_active: `(m, T)`, the numbers of active triplets. T is arbitrary, because only the total is used.
        negative_weights: `(m, C)`, minus the derivatives of `terms` with respect to `DistanceBlock.negatives`, 0 for
            masked entries. None if only the listed candidates have a derivative. The engine may overwrite this tensor.
        gaps: `(m, T)`, d(a,p) − d(a,n) of each selected triplet. Padding entries hold an arbitrary value. Only
            `tercet inspect` uses them, so they may be None.
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
    """A rule that selects triplets, and the terms over which the loss is averaged.

    Attributes:
        mine: the function that mines one block. It must not modify the block.
        mean_over: the number by which the sum of the terms is divided: the number of active triplets (`"active"`), of
            pairs of an anchor and a positive (`"positives"`), or of anchors with a triplet (`"anchors"`).
        uses_weights: whether `mine` multiplies the terms by `DistanceBlock.positive_weights`. If not, a relation with
            weights is an error.
    """

    mine: Callable[[DistanceBlock], MinedBlock]
    mean_over: Literal["active", "positives", "anchors"]
    uses_weights: bool = False


def all_triplets(margin: float) -> Miner:
    """Return a miner that selects every triplet. The loss is the mean over those with d(a,p) − d(a,n) + margin > 0."""
    return Miner(partial(_mine_all, margin=check_margin(margin)), mean_over="active", uses_weights=True)


def semi_hard(margin: float) -> Miner:
    """Return a miner that selects one negative n for each positive p: the nearest one with d(a,n) > d(a,p).

    If there is none, it selects the farthest negative.
    """
    return Miner(partial(_mine_semi_hard, margin=check_margin(margin)), mean_over="positives", uses_weights=True)


def hard(margin: float) -> Miner:
    """Return a miner that selects the farthest positive and the nearest negative of each anchor."""
    margin = check_margin(margin)

    def hinge(gap: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        value = F.relu(gap + margin)
        active = value.sign()
        return value, active, active

    return Miner(partial(_mine_hardest, penalty=hinge), mean_over="anchors", uses_weights=True)


def hard_soft_margin() -> Miner:
    """Return a miner that selects the same triplets as `hard`. The loss term is log(1 + exp(d(a,p) − d(a,n))).

    This term is above 0 for every triplet. Only triplets with d(a,n) ≤ d(a,p) are counted as active.
    """

    def softplus(gap: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return F.softplus(gap), torch.sigmoid(gap), gap >= 0

    return Miner(partial(_mine_hardest, penalty=softplus), mean_over="anchors", uses_weights=True)


def _mine_all(block: DistanceBlock, margin: float) -> MinedBlock:
    """Mine all triplets. Compute the sum of the hinges by counting: Σ hinge = Σₖ bₖ tₖ − Σₙ aₙ dₙ.

    tₖ = d(a, pₖ) + margin are the thresholds, and dₙ are the distances to the negatives. bₖ is the number of negatives
    below tₖ, and aₙ is the number of thresholds above dₙ. The largest threshold of the row is subtracted from all tₖ
    and dₙ. This does not change the result, and it reduces the rounding error if the distances are large compared to
    the hinges. With weights of the positives, bₖ is multiplied by the weight of pₖ, and aₙ is a sum of weights.
    """
    thresholds = block.positives_or(-torch.inf) + margin
    num_below, num_above = kernels.count_below(block.negatives, thresholds, block.positive_weights)
    weights = num_below if block.positive_weights is None else num_below * block.positive_weights
    top = thresholds.amax(1, keepdim=True)
    # In padding entries, the difference is infinite and its factor `num_below` is 0. Clamp it, because inf · 0 is NaN.
    below_top = (top - thresholds).clamp(max=block.masked_value)
    return MinedBlock(
        terms=kernels.row_dot(num_above, top - block.negatives) - kernels.row_dot(weights, below_top),
        candidate_index=block.candidate_index,
        distances=block.positives,
        weights=weights,
        num_active=num_below,
        negative_weights=num_above,
    )


def _mine_semi_hard(block: DistanceBlock, margin: float) -> MinedBlock:
    column, distance = kernels.next_farther(block.negatives, block.positives, non_negative=block.non_negative)
    none_farther = (distance <= block.positives) | (distance == block.masked_value)
    # On a CPU, few rows are searched again. Other devices search all of them, because reading their number would wait.
    on_cpu = distance.device.type == "cpu"
    rows = none_farther.any(1).nonzero().flatten() if on_cpu else None
    if rows is None:
        farthest, farthest_column = _farthest(block.negatives, block.masked_value)
        column = torch.where(none_farther, farthest_column, column)
        distance = torch.where(none_farther, farthest, distance)
    elif len(rows):
        farthest, farthest_column = _farthest(block.negatives[rows], block.masked_value)
        column[rows] = torch.where(none_farther[rows], farthest_column, column[rows])
        distance[rows] = torch.where(none_farther[rows], farthest, distance[rows])
    gaps = block.positives - distance
    hinge = F.relu(gaps + margin)
    if block.padding_mask is not None:
        hinge = hinge.masked_fill(block.padding_mask, 0)
    active = slope = hinge.sign()
    if block.positive_weights is not None:
        hinge, slope = hinge * block.positive_weights, slope * block.positive_weights
    return MinedBlock(
        terms=hinge.sum(1),
        candidate_index=torch.cat([block.candidate_index, column], 1),
        distances=torch.cat([block.positives, distance], 1),
        weights=torch.cat([slope, -slope], 1),
        num_active=active,
        gaps=gaps,
    )


def _farthest(negatives: Tensor, masked_value: float) -> tuple[Tensor, Tensor]:
    """Return the distance and the column of the farthest negative of each row, each `(m, 1)`."""
    distance, column = negatives.masked_fill(negatives == masked_value, -torch.inf).max(1, keepdim=True)
    return distance, column


def _mine_hardest(block: DistanceBlock, penalty: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]) -> MinedBlock:
    """Mine one triplet per anchor, with the farthest positive and the nearest negative.

    `penalty` takes the gaps d(a,p) − d(a,n) `(m, 1)`. It returns the loss terms, their derivatives, and whether each
    triplet is active, each `(m, 1)`.
    """
    farthest, position = block.positives_or(-torch.inf).max(1, keepdim=True)
    column = kernels.nearest(block.negatives)
    nearest = block.negatives.gather(1, column)
    gap = farthest - nearest
    terms, slope, active = penalty(gap)
    if block.positive_weights is not None:
        weight = block.positive_weights.gather(1, position)
        terms, slope = terms * weight, slope * weight
    return MinedBlock(
        terms=terms.squeeze(1),
        candidate_index=torch.cat([block.candidate_index.gather(1, position), column], 1),
        distances=torch.cat([farthest, nearest], 1),
        weights=torch.cat([slope, -slope], 1),
        num_active=active,
        gaps=gap,
    )
