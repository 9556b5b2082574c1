"""What a loss saw in its batch, counted block by block while the distances are at hand."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tercet.losses.miners import Block


@dataclass(frozen=True)
class LossStats:
    """What a loss saw in a batch. Means are nan where there is nothing to take the mean of.

    Attributes:
        anchors: anchors that have a positive and a negative.
        valid_triplets: all triplets of the batch.
        mined_triplets: those that the miner chose (all of them, one an anchor, or one a positive).
        active_triplets: the chosen ones that have a loss; of the soft margin, where all have, those whose negative is
            no farther than the positive.
        mean_positive_distance: the mean distance of these anchors to their positives.
        mean_negative_distance: … to their negatives.
        mean_hardest_positive_distance: the mean over anchors of the distance to the farthest positive.
        mean_hardest_negative_distance: … to the nearest negative.
        positive_pairs: pairs of an anchor and a positive, which `mean_positive_distance` is over.
        negative_pairs: pairs of an anchor and a negative.
    """

    anchors: int
    valid_triplets: int
    mined_triplets: int
    active_triplets: int
    mean_positive_distance: float
    mean_negative_distance: float
    mean_hardest_positive_distance: float
    mean_hardest_negative_distance: float
    positive_pairs: int
    negative_pairs: int

    @property
    def active_fraction(self) -> float:
        """Of the chosen triplets, the share that is active."""
        return mean(self.active_triplets, self.mined_triplets)

    def sums(self) -> list[float]:
        """Numbers that add up over batches and processes; `of_sums` is the way back."""
        counts = (self.anchors, self.valid_triplets, self.mined_triplets, self.active_triplets)
        pairs = (self.positive_pairs, self.negative_pairs)
        means = (
            self.mean_positive_distance,
            self.mean_negative_distance,
            self.mean_hardest_positive_distance,
            self.mean_hardest_negative_distance,
        )
        numbers = (*pairs, self.anchors, self.anchors)
        totals = (value * number if number else 0.0 for value, number in zip(means, numbers, strict=True))
        return [*map(float, counts + pairs), *totals]

    @classmethod
    def of_sums(cls, sums: Sequence[float]) -> "LossStats":
        """The statistics of all batches whose `sums` were added."""
        anchors, valid, chosen, active, positives, negatives = (round(number) for number in sums[:6])
        numbers = (positives, negatives, anchors, anchors)
        near, far, farthest, nearest = (mean(total, number) for total, number in zip(sums[6:], numbers, strict=True))
        return cls(anchors, valid, chosen, active, near, far, farthest, nearest, positives, negatives)

    @classmethod
    def of_nothing(cls) -> "LossStats":
        """The statistics of no batch, which change no sum."""
        return cls.of_sums([0.0] * 10)


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
