"""What a loss saw in its batch, counted block by block while the distances are at hand."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tercet.losses.rules import Block


@dataclass(frozen=True)
class LossStatistics:
    """What a loss saw in a batch. Means are nan where there is nothing to take the mean of.

    Attributes:
        anchors: anchors that have a positive and a negative.
        valid_triplets: all triplets of the batch.
        chosen_triplets: those that the rule chose (all of them, one an anchor, or one a positive).
        active_triplets: the chosen ones that have a gradient.
        mean_positive: the mean distance of these anchors to their positives.
        mean_negative: … to their negatives.
        mean_hardest_positive: the mean over anchors of the distance to the farthest positive.
        mean_hardest_negative: … to the nearest negative.
    """

    anchors: int
    valid_triplets: int
    chosen_triplets: int
    active_triplets: int
    mean_positive: float
    mean_negative: float
    mean_hardest_positive: float
    mean_hardest_negative: float


def figures(block: Block) -> Tensor:
    """Sums over the anchors of a block, `(4,)`: distances to positives, to negatives, to the hardest of each."""
    real = block.negatives != block.far
    positives, farthest = block.positives, block.positives
    if block.empty is not None:
        positives, farthest = positives.masked_fill(block.empty, 0), farthest.masked_fill(block.empty, -torch.inf)
    parts = (positives, block.negatives.where(real, 0).sum(1), farthest.amax(1), block.negatives.amin(1))
    return torch.stack([part.sum() for part in parts])


def mean(total: float, number: int) -> float:
    """The mean, nan of nothing."""
    return total / number if number else math.nan
