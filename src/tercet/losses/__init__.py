"""Triplet losses, as `nn.Module` classes and as functions of tensors.

A triplet consists of an anchor a, a positive p with the same label, and a negative n with another label. The batch
losses mine triplets in a batch of labelled sentences; `TripletLoss` takes given triplets. The aim of the training is
d(a,p) + margin ≤ d(a,n).

reference.py            the batch losses as plain loops: read this first
functional/             the losses as functions of tensors
modules/                the losses as `nn.Module` classes, and their base classes
matryoshka.py           a loss on the leading dimensions of the embeddings
adaptive_layer.py       a loss on several layers of the encoder
margins.py              a margin compared with the distances of embeddings
relations.py            the positives of an anchor: its label, its ancestor at a level, or a label in common
miners.py               the selection of triplets in a batch
cross_batch_memory.py   embeddings of past batches as additional candidates
_peer_names.py          further names of sentence-transformers
_engine/                distances and gradients, computed block by block (private)
"""

from tercet._lazy import peer_names
from tercet.losses import functional, miners, reference, relations
from tercet.losses.adaptive_layer import AdaptiveLayerLoss, Matryoshka2dLoss
from tercet.losses.cross_batch_memory import CrossBatchMemory
from tercet.losses.matryoshka import MatryoshkaLoss
from tercet.losses.modules import (
    BatchAllTripletLoss,
    BatchHardSoftMarginTripletLoss,
    BatchHardTripletLoss,
    BatchHardTripletLossDistanceFunction,
    BatchLoss,
    BatchSemiHardTripletLoss,
    NestedTripletLoss,
    TripletDistanceMetric,
    TripletLoss,
)

__all__ = [
    "AdaptiveLayerLoss",
    "BatchAllTripletLoss",
    "BatchHardSoftMarginTripletLoss",
    "BatchHardTripletLoss",
    "BatchHardTripletLossDistanceFunction",
    "BatchLoss",
    "BatchSemiHardTripletLoss",
    "CrossBatchMemory",
    "Matryoshka2dLoss",
    "MatryoshkaLoss",
    "NestedTripletLoss",
    "TripletDistanceMetric",
    "TripletLoss",
    "functional",
    "miners",
    "reference",
    "relations",
]

__getattr__ = peer_names(__name__)  # names that sentence-transformers has here
