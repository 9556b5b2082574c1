"""Triplet losses: classes for a trainer, `functional` for tensors, `reference` for reading.

All of them mine triplets (anchor a, positive p of the same label, negative n of another label) and aim at
d(a,p) + margin ≤ d(a,n).

reference.py            the batch losses as plain loops: read this first
functional.py           the losses as functions of tensors
modules.py              the losses as `nn.Module`s, and their base classes
miners.py               which triplets of a batch count
cross_batch_memory.py   embeddings of past batches as candidates
_engine/                blocks of distances, and the gradient (private)
"""

from tercet.losses import functional, miners, reference
from tercet.losses.cross_batch_memory import CrossBatchMemory
from tercet.losses.modules import (
    BatchAllTripletLoss,
    BatchHardSoftMarginTripletLoss,
    BatchHardTripletLoss,
    BatchHardTripletLossDistanceFunction,
    BatchLoss,
    BatchSemiHardTripletLoss,
    TripletDistanceMetric,
    TripletLoss,
)

__all__ = [
    "BatchAllTripletLoss",
    "BatchHardSoftMarginTripletLoss",
    "BatchHardTripletLoss",
    "BatchHardTripletLossDistanceFunction",
    "BatchLoss",
    "BatchSemiHardTripletLoss",
    "CrossBatchMemory",
    "TripletDistanceMetric",
    "TripletLoss",
    "functional",
    "miners",
    "reference",
]
