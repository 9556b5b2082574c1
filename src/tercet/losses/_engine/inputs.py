"""Prepare the inputs of a loss: the tensors to differentiate, the positives of each anchor and the size of a block."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tercet.distances import Distance, DistanceLike, get_distance
from tercet.losses._engine.distance_sources import DistanceSource, differentiable_inputs, distance_source
from tercet.losses.relations import Grouping, Relation

# A block and the tensors that a miner computes from it take about this many times the memory of its distances.
_COPIES_OF_A_BLOCK = 6
# On a GPU, launching the operations of a small block takes longer than computing them.
_BLOCK_BYTES = 128 << 20
_BLOCK_BYTES_ON_GPU = 1 << 30
# On a CPU, blocks with more rows do not fit in the cache, and their matrix products are not faster.
_BLOCK_ROWS = 256


@dataclass(frozen=True)
class Anchors:
    """Anchors, if not all candidates are anchors: a part of the batch, or the batch without the cross-batch memory.

    Attributes:
        embeddings: `(A, dim)`.
        labels: `(A,)`, with the same label ids as the labels of the candidates.
        self_index: `(A,)`, the index of the anchor among the candidates; −1 if it is not a candidate. An anchor is not
            its own positive.
    """

    embeddings: Tensor
    labels: Tensor
    self_index: Tensor


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The inputs of a loss, before mining.

    Attributes:
        distance: the distance.
        tensors: the tensors whose gradients are computed; see `differentiable_inputs`.
        labels: `(C,)`, the labels of the candidates.
        anchors: the anchors; None uses the candidates.
        needs_gradient: whether a gradient is computed.
        max_rows: the maximum number of anchors per block.
    """

    distance: Distance
    tensors: Sequence[Tensor]
    labels: Tensor
    anchors: Anchors | None
    needs_gradient: bool
    max_rows: int

    def group(self, relation: Relation) -> Grouping:
        """Return the positives of each anchor, on the device of the embeddings."""
        anchors = self.anchors
        anchor_labels, self_index = (None, None) if anchors is None else (anchors.labels, anchors.self_index)
        return relation.group(self.labels, anchor_labels, self_index).to(self.tensors[0].device)

    def source(self, anchor_index: Tensor | None) -> DistanceSource:
        """Return the source of the blocks of distances; `anchor_index` is that of `distance_source`."""
        return distance_source(self.distance, [part.detach() for part in self.tensors], anchor_index)


def prepare(
    embeddings: Tensor,
    labels: Tensor,
    distance: DistanceLike,
    anchors: Anchors | None,
    block_bytes: int | None,
    block_rows: int | None,
) -> Prepared:
    """Return the inputs of a loss. The arguments and errors are those of `engine.batch_loss_with_pending_stats`."""
    metric = get_distance(distance)
    tensors = differentiable_inputs(metric, embeddings, None if anchors is None else anchors.embeddings)
    return Prepared(
        distance=metric,
        tensors=tensors,
        labels=labels,
        anchors=anchors,
        needs_gradient=torch.is_grad_enabled() and any(part.requires_grad for part in tensors),
        max_rows=_rows_per_block(tensors[0], len(labels), block_bytes, block_rows),
    )


def _rows_per_block(
    embeddings: Tensor, num_candidates: int, block_bytes: int | None = None, block_rows: int | None = None
) -> int:
    """Return the number of anchors per block; the arguments are those of `prepare`."""
    on_cpu = embeddings.device.type == "cpu"
    block_bytes = block_bytes or (_BLOCK_BYTES if on_cpu else _BLOCK_BYTES_ON_GPU)
    block_rows = block_rows or (_BLOCK_ROWS if on_cpu else num_candidates)
    bytes_per_row = _COPIES_OF_A_BLOCK * embeddings.element_size() * num_candidates
    return min(block_rows, max(1, block_bytes // bytes_per_row))
