"""Triplet losses: classes for a trainer, `functional` for tensors, `reference` for reading.

All mine triplets (anchor a, positive p of the same label, negative n of another label) and want
d(a,p) + margin ≤ d(a,n).
"""

from tercet.losses import functional
from tercet.losses.modules import (
    BatchAllTripletLoss,
    BatchHardSoftMarginTripletLoss,
    BatchHardTripletLoss,
    BatchHardTripletLossDistanceFunction,
    BatchSemiHardTripletLoss,
    TripletDistanceMetric,
    TripletLoss,
)

__all__ = [
    "BatchAllTripletLoss",
    "BatchHardSoftMarginTripletLoss",
    "BatchHardTripletLoss",
    "BatchHardTripletLossDistanceFunction",
    "BatchSemiHardTripletLoss",
    "TripletDistanceMetric",
    "TripletLoss",
    "functional",
]
