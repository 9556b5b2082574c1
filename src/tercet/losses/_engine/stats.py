"""Statistics of the triplets of a batch. The engine computes them from the same blocks as the loss."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tercet.losses.miners import DistanceBlock

_WITHOUT_FLOAT64 = ("mps", "xpu")


@dataclass(frozen=True, kw_only=True)
class LossStats:
    """Statistics of the triplets of a batch. A mean is NaN if there are no values.

    For `TripletLoss`, each given triplet counts as an anchor with one positive and one negative, and as mined.

    Attributes:
        anchors: number of anchors that have a positive and a negative. All other statistics include only these anchors.
        valid_triplets: number of all triplets of the batch.
        mined_triplets: number of triplets that the miner selects: all, or one per pair of an anchor and a positive, or
            one per anchor.
        active_triplets: number of selected triplets with a loss above 0. The soft-margin loss is always above 0, so
            there it is the number of selected triplets with d(a,n) ≤ d(a,p).
        mean_positive_distance: mean of d(a,p) over all pairs of an anchor and a positive.
        mean_negative_distance: mean of d(a,n) over all pairs of an anchor and a negative.
        mean_hardest_positive_distance: mean over anchors of the distance to the farthest positive.
        mean_hardest_negative_distance: mean over anchors of the distance to the nearest negative.
        positive_pairs: number of pairs of an anchor and a positive.
        negative_pairs: number of pairs of an anchor and a negative.
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
        """The number of active triplets divided by the number of mined triplets."""
        return mean(self.active_triplets, self.mined_triplets)

    def sums(self) -> list[float]:
        """Return the statistics as ten numbers that can be added over batches and processes, for `from_sums`."""
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
        """Return the statistics of several batches, given the sum of their `sums()`."""
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
        """Return the statistics of an empty batch. All its `sums()` are 0."""
        return cls.from_sums([0.0] * 10)


@dataclass(frozen=True, eq=False, kw_only=True)
class PendingStats:
    """Statistics of a batch whose sums may still be on a GPU, so that nobody waits for it before they are read.

    Attributes:
        counts: the numbers of anchors, valid triplets, mined triplets, positive pairs and negative pairs.
        sums: `(5,)`, the number of active triplets and the four sums of `sum_distances`, on the device of the batch.
        is_valid: a bool tensor, False if the loss should have raised an error for the embeddings; None if the
            embeddings were checked.
    """

    counts: tuple[int, int, int, int, int]
    sums: Tensor
    is_valid: Tensor | None = None

    def read(self, values: Sequence[float] | None = None) -> LossStats:
        """Return the statistics. `values` are the numbers of `sums`, if the caller has read them before."""
        active, *totals = self.sums.tolist() if values is None else values
        anchors, valid, mined, positive_pairs, negative_pairs = self.counts
        return LossStats.from_sums([anchors, valid, mined, active, positive_pairs, negative_pairs, *totals])

    @classmethod
    def empty(cls) -> "PendingStats":
        """Return the statistics of an empty batch."""
        return cls(counts=(0, 0, 0, 0, 0), sums=torch.zeros(5, dtype=torch.float64))


def exact_dtype(device: torch.device) -> torch.dtype:
    """Return the dtype of sums on a device: float64, if the device has it."""
    return torch.float32 if device.type in _WITHOUT_FLOAT64 else torch.float64


def sum_distances(block: DistanceBlock) -> Tensor:
    """Return four sums over the anchors of a block, as a tensor `(4,)`.

    These are the sums of the distances to all positives, to all negatives, to the farthest positive, and to the nearest
    negative.
    """
    is_negative = block.negatives != block.masked_value
    of_each_anchor = (
        block.positives_or(0).sum(1),
        block.negatives.where(is_negative, 0).sum(1),
        block.positives_or(-torch.inf).amax(1),
        block.negatives.amin(1),
    )
    return torch.stack(of_each_anchor).sum(1)


def mean(total: float, number: int) -> float:
    """Return `total / number`, or NaN if `number` is 0."""
    return total / number if number else math.nan
