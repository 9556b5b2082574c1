"""Statistics of a loss and its batch, counted block by block while the distances are in memory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tercet.losses.miners import DistanceBlock


@dataclass(frozen=True, kw_only=True)
class LossStats:
    """Statistics of the triplets of a batch. A mean over nothing is nan.

    Attributes:
        anchors: number of anchors that have a positive and a negative.
        valid_triplets: number of all triplets of the batch.
        mined_triplets: number of triplets that the miner chose: all, one per positive, or one per anchor.
        active_triplets: number of chosen triplets with a loss above 0. With the soft margin, where all have one: number
            of those whose negative is no farther than the positive.
        mean_positive_distance: mean distance of these anchors to their positives.
        mean_negative_distance: mean distance of these anchors to their negatives.
        mean_hardest_positive_distance: mean over anchors of the distance to the farthest positive.
        mean_hardest_negative_distance: mean over anchors of the distance to the nearest negative.
        positive_pairs: number of pairs of an anchor and a positive, the denominator of `mean_positive_distance`.
        negative_pairs: number of pairs of an anchor and a negative, the denominator of `mean_negative_distance`.
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
        """The fraction of the chosen triplets that is active."""
        return mean(self.active_triplets, self.mined_triplets)

    def sums(self) -> list[float]:
        """Return numbers that add up over batches and processes, for `from_sums`."""
        counts = (self.anchors, self.valid_triplets, self.mined_triplets, self.active_triplets)
        pairs = (self.positive_pairs, self.negative_pairs)
        means = (
            self.mean_positive_distance,
            self.mean_negative_distance,
            self.mean_hardest_positive_distance,
            self.mean_hardest_negative_distance,
        )
        denominators = (*pairs, self.anchors, self.anchors)
        totals = (value * number if number else 0.0 for value, number in zip(means, denominators, strict=True))
        return [*map(float, counts + pairs), *totals]

    @classmethod
    def from_sums(cls, sums: Sequence[float]) -> "LossStats":
        """Return the statistics of all batches whose `sums` were added."""
        anchors, valid, mined, active, positive_pairs, negative_pairs = (round(number) for number in sums[:6])
        positive, negative, hardest_positive, hardest_negative = sums[6:]
        return cls(
            anchors=anchors,
            valid_triplets=valid,
            mined_triplets=mined,
            active_triplets=active,
            mean_positive_distance=mean(positive, positive_pairs),
            mean_negative_distance=mean(negative, negative_pairs),
            mean_hardest_positive_distance=mean(hardest_positive, anchors),
            mean_hardest_negative_distance=mean(hardest_negative, anchors),
            positive_pairs=positive_pairs,
            negative_pairs=negative_pairs,
        )

    @classmethod
    def empty(cls) -> "LossStats":
        """Return the statistics of no batch, which change no sum."""
        return cls.from_sums([0.0] * 10)


def sum_distances(block: DistanceBlock) -> Tensor:
    """Return sums over the anchors of a block `(4,)`: distances to positives, to negatives, to the hardest of each."""
    is_negative = block.negatives != block.masked_value
    parts = (
        block.positives_or(0),
        block.negatives.where(is_negative, 0).sum(1),
        block.positives_or(-torch.inf).amax(1),
        block.negatives.amin(1),
    )
    return torch.stack([part.sum() for part in parts])


def mean(total: float, number: int) -> float:
    """Return the mean, or nan of nothing."""
    return total / number if number else math.nan
