"""Distances of small batches by matrix products in float64, for GPUs.

In float32, close pairs have to be found and computed again from differences (`MatrixProductSource`). Their number has
to be read from the device, and a GPU that waits for the processor in each step is slow. In float64 the product of a
batch of up to `MAX_CANDIDATES` rows takes less time than that, and all pairs are accurate to the resolution of float32.
"""

from copy import copy

import torch
from torch import Tensor

from tercet.distances import MatrixProductDistance
from tercet.losses._engine.block_gradient import LastBlock, weights_of_block, zero_accumulators
from tercet.losses._engine.label_groups import SelfColumns
from tercet.losses.miners import MinedBlock

# The types of the devices that use this source, and the largest number of candidates. GPUs for games have few units for
# float64: there a product of 2,048 rows takes a few milliseconds.
DEVICE_TYPES = {"cuda"}
MAX_CANDIDATES = 2048
# Points are equal if their squared distance is at most this fraction of the square of their distance from the centre.
# Rounding in float64 causes less, and the coordinates of different points in float32 differ by more.
EQUAL_RATIO = 1e-13


def suits(candidates: Tensor) -> bool:
    """Return whether `DoubleProductSource` is the faster source for candidates `(C, dim)`."""
    is_small = candidates.device.type in DEVICE_TYPES and len(candidates) <= MAX_CANDIDATES
    return is_small and candidates.dtype == torch.float32


class DoubleProductSource:
    """A source of distances that never waits for its device; see `DistanceSource`.

    The gradient of a point x is (Σ V) x − Σ V y, summed over the other points y of its pairs, where V is the derivative
    of the loss terms with respect to the distance, divided by it unless distances are half-squared.

    Args:
        distance: the distance. Its `points` are already applied to `candidates` and `anchors`.
        candidates: `(C, dim)`, the points of the candidates in float32.
        anchors: `(A, dim)`, the points of the anchors; None uses the candidates as anchors.
    """

    non_negative = True

    def __init__(self, distance: MatrixProductDistance, candidates: Tensor, anchors: Tensor | None = None) -> None:
        self.dtype = candidates.dtype
        self._half_squared = distance.half_squared
        exact = candidates.double()
        centre = exact.mean(0)
        self._candidates = exact - centre
        self._candidate_squares = self._candidates.square().sum(1)
        self._candidate_offsets = distance.row_offsets(candidates) if self._half_squared else None
        self._candidate_gradient = torch.zeros_like(self._candidates)
        self._anchors, self._anchor_squares = self._candidates, self._candidate_squares
        self._anchor_offsets, self._anchor_gradient = self._candidate_offsets, self._candidate_gradient
        if anchors is not None:
            self._anchors = anchors.double() - centre
            self._anchor_squares = self._anchors.square().sum(1)
            self._anchor_offsets = distance.row_offsets(anchors) if self._half_squared else None
            self._anchor_gradient = torch.zeros_like(self._anchors)
        self._last = LastBlock()

    def with_own_gradients(self) -> "DoubleProductSource":
        """Return a copy with separate gradient accumulators. It reuses the blocks that this source computes."""
        other = copy(self)
        accumulators = zero_accumulators(self._candidate_gradient, self._anchor_gradient)
        other._candidate_gradient, other._anchor_gradient = accumulators
        return other

    def distances(self, rows: slice, self_columns: SelfColumns) -> Tensor:
        """Return the block `(m, C)` of the given anchors; see `DistanceSource`."""
        squares = self._anchor_squares[rows].unsqueeze(1)
        square = torch.addmm(self._candidate_squares + squares, self._anchors[rows], self._candidates.T, alpha=-2)
        square = square.masked_fill(square <= EQUAL_RATIO * squares, 0)
        if self._anchor_offsets is not None and self._candidate_offsets is not None:
            square += self._anchor_offsets[rows].unsqueeze(1) + self._candidate_offsets
        self._last.distances = square / 2 if self._half_squared else square.sqrt()
        return self_columns.fill(self._last.distances.to(self.dtype), torch.finfo(self.dtype).max)

    def add_weights(self, rows: slice, negatives: Tensor, mined: MinedBlock) -> None:
        """Backpropagate through the last block; see `DistanceSource`."""
        distances = self._last.distances
        assert distances is not None
        weights = weights_of_block(mined, negatives).double()
        if not self._half_squared:  # At distance 0 the gradient is 0.
            weights = (weights / distances).masked_fill_(distances == 0, 0)
        anchors, candidates = self._anchors[rows], self._candidates
        anchors_are_candidates = self._anchor_gradient is self._candidate_gradient
        # Both sums at once: one product, and fewer kernels.
        if anchors_are_candidates and anchors.shape == candidates.shape:
            _add_gradient(self._candidate_gradient, weights + weights.T, candidates, candidates)
        else:
            _add_gradient(self._anchor_gradient[rows], weights, anchors, candidates)
            _add_gradient(self._candidate_gradient, weights.T, candidates, anchors)

    def gradients(self) -> tuple[Tensor | None, Tensor | None]:
        """Return the gradient of the candidates `(C, dim)`, and that of separate anchors `(A, dim)` or None."""
        to_anchors = None if self._anchor_gradient is self._candidate_gradient else self._anchor_gradient.to(self.dtype)
        return self._candidate_gradient.to(self.dtype), to_anchors


def _add_gradient(gradient: Tensor, weights: Tensor, points: Tensor, others: Tensor) -> None:
    """Add (Σ V) x − Σ V y to the gradient `(n, dim)` of n points x, where V are the weights `(n, m)` of m points y."""
    gradient.addcmul_(weights.sum(1, keepdim=True), points).addmm_(weights, others, alpha=-1)
