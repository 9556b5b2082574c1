"""The losses as `nn.Module` classes, for a trainer. The formulas are in `tercet.losses.functional`.

The names and the order of the arguments are those of sentence-transformers. The classes also run in its trainer with
its models; that trainer sets the attribute `model` to the wrapped model. In distributed training, the batch losses mine
the sentences of all processes as one batch.

base.py       distance, margin and statistics of every loss
batch.py      the base class of the batch losses
variants.py   the four batch losses
nested.py     the loss of nested labels
triplet.py    the loss of given triplets
"""

from tercet.losses.modules.base import BaseLoss, BatchHardTripletLossDistanceFunction, TripletDistanceMetric
from tercet.losses.modules.batch import BatchLoss
from tercet.losses.modules.nested import NestedTripletLoss
from tercet.losses.modules.triplet import TripletLoss
from tercet.losses.modules.variants import (
    BatchAllTripletLoss,
    BatchHardSoftMarginTripletLoss,
    BatchHardTripletLoss,
    BatchSemiHardTripletLoss,
)

__all__ = [
    "BaseLoss",
    "BatchAllTripletLoss",
    "BatchHardSoftMarginTripletLoss",
    "BatchHardTripletLoss",
    "BatchHardTripletLossDistanceFunction",
    "BatchLoss",
    "BatchSemiHardTripletLoss",
    "NestedTripletLoss",
    "TripletDistanceMetric",
    "TripletLoss",
]
