"""Blocks of Euclidean or half-squared distances by matrix products, and their gradient.

The expanded square ‖x‖² − 2xy + ‖y‖² cancels for close points. So the points are centred, and pairs that are close
compared to their distance from the centre are computed again, from differences of coordinates.
"""

from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from tercet.distances import MatrixProductDistance, norms_of_differences
from tercet.losses._engine.block_gradient import BlockWithGraph, weights_of_block
from tercet.losses.miners import MinedBlock

# Pairs with d² ≤ CLOSE_RATIO · ‖x‖² (x centred) are computed again; the others are right to about 1e-5 in float32.
CLOSE_RATIO = 0.02
# If more than this fraction of a block is close, differences of coordinates for the complete block are faster.
MAX_CLOSE_FRACTION = 1 / 8
# Up to this fraction of non-zero weights, sums over lists of pairs are faster than a product with a dense matrix.
SPARSE_FRACTION = 1 / 16
# The number of pairs whose differences are in memory at a time.
PAIRS_PER_CHUNK = 1 << 13
# Weights wait for those of the pair in the other direction if all of them fit in this.
MAX_WAITING_BYTES = 64 << 20
# The number of listed pairs that are summed at a time.
MAX_LISTED_PAIRS = 1 << 20
# In batches up to this size, a product costs less than the preparation of lists.
SMALL_BATCH = 128


class MatrixProductDistances:
    """Distances between anchors `(A, dim)` and candidates `(C, dim)`, and the gradient of both.

    Centred points are stored with two more columns, `[x, ‖x‖², 1]`, so a product with weights V also returns the sums
    of these columns. The gradient of x is (Σ V) x − Σ V y with V = weight / d (V = weight for half-squared distances).
    The accumulators therefore hold `−[Σ V y, ·, Σ V]`.

    Args:
        distance: the distance; its `points` have been taken already.
        candidates: the points that the anchors are compared with.
        anchors: the points of the anchors, or None if the candidates are the anchors.
    """

    non_negative = True

    def __init__(self, distance: MatrixProductDistance, candidates: Tensor, anchors: Tensor | None = None) -> None:
        self.dtype = candidates.dtype
        self._half_squared = distance.half_squared
        self._candidates, self._anchors = candidates, candidates if anchors is None else anchors
        self._candidate_offsets = distance.row_offsets(candidates) if self._half_squared else None
        self._anchor_offsets = self._candidate_offsets
        centre = candidates.mean(0)
        self._candidate_points = _with_square_and_one(candidates - centre, self._candidate_offsets)
        self._candidate_sums = torch.zeros_like(self._candidate_points)
        self._anchor_points, self._anchor_sums = self._candidate_points, self._candidate_sums
        if anchors is not None:
            self._anchor_offsets = distance.row_offsets(anchors) if self._half_squared else None
            self._anchor_points = _with_square_and_one(anchors - centre, self._anchor_offsets)
            self._anchor_sums = torch.zeros_like(self._anchor_points)
        # The memory of the distances, which all blocks use in turn.
        self._buffer: Tensor | None = None
        # Weights of pairs of anchors that wait for the weights of the pair in the other direction, (C, C).
        self._waiting: Tensor | None = None
        # Lists of pairs and weights whose sums for the candidates are still to be added.
        self._listed: list[tuple[Tensor, Tensor, Tensor]] = []
        # Of the last block: the close pairs, or the graph if all of it was computed from differences.
        self._close_pairs: tuple[Tensor, Tensor] | None = None
        self._block: BlockWithGraph | None = None

    @cached_property
    def duplicates(self) -> tuple[Tensor, Tensor] | None:
        """The candidates that repeat an earlier one, and the ones that they repeat; None if all differ."""
        return _find_duplicates(self._candidate_points)

    def distances(self, rows: slice, self_index: Tensor) -> Tensor:
        """Return the distances of some anchors to all candidates `(m, C)`; see `DistanceSource`."""
        self._close_pairs = self._block = None
        masked_value = torch.finfo(self.dtype).max
        points = self._anchor_points[rows]
        num_rows, square_of_row = points.shape[0], points[:, -2:-1]
        limit = CLOSE_RATIO * square_of_row
        if self._buffer is None:
            self._buffer = points.new_empty(num_rows, self._candidate_points.shape[0])
        square = torch.addmm(
            self._candidate_points[:, -2],
            points[:, :-2],
            self._candidate_points[:, :-2].T,
            alpha=-2,
            out=self._buffer[:num_rows],
        )
        square.add_(square_of_row).scatter_(1, self_index, masked_value)
        some_close = bool((square.amin(1, keepdim=True) <= limit).any())
        # If the block is the complete batch, duplicates have already shown as close pairs.
        if (some_close or not self._is_complete_batch(rows)) and self.duplicates is not None:
            square.scatter_(1, self_index, 0)  # A duplicate of the anchor gets this value.
            square[:, self.duplicates[0]] = square[:, self.duplicates[1]]
            square.scatter_(1, self_index, masked_value)
        if some_close:
            close = (square <= limit).nonzero(as_tuple=True)
            if len(close[0]) > max(MAX_CLOSE_FRACTION * square.numel(), PAIRS_PER_CHUNK):
                return self._from_differences(rows).scatter_(1, self_index, masked_value)
            chunks = self._differences(close[0] + rows.start, close[1])
            square[close] = torch.cat([difference.square().sum(1) for _, difference in chunks])
            self._close_pairs = close[0], close[1]
        distances = square.mul_(0.5) if self._half_squared else square.sqrt_()
        return distances.scatter_(1, self_index, masked_value)

    def add_weights(self, rows: slice, negatives: Tensor, mined: MinedBlock) -> None:
        """Add the derivatives by the distances of the block that was returned last; see `DistanceSource`."""
        if self._block is not None:
            to_anchors, to_candidates = self._block.gradients(weights_of_block(mined, negatives))
            self._anchor_sums[rows, :-2] += to_anchors
            self._candidate_sums[:, :-2] += to_candidates
            if self._waiting is not None:  # Earlier blocks left weights for this one.
                self._add_dense(rows, negatives.zero_())
            return
        weights = self._add_close_candidates(rows, mined)
        is_large = negatives.shape[1] > SMALL_BATCH
        if mined.negative_weights is None and is_large and weights.shape[1] <= SPARSE_FRACTION * negatives.shape[1]:
            self._add_listed(rows, mined.candidate_index, weights)
            return
        if mined.negative_weights is None:
            dense = negatives.zero_()
        else:
            dense = mined.negative_weights if self._half_squared else mined.negative_weights.div_(negatives)
            if self._close_pairs is not None:
                close_rows, close_columns = self._close_pairs
                self._add_pairs(close_rows + rows.start, close_columns, -dense[self._close_pairs])
                dense[self._close_pairs] = 0
        self._add_dense(rows, dense.scatter_add_(1, mined.candidate_index, -weights))

    def gradients(self) -> tuple[Tensor | None, Tensor | None]:
        """Return the gradient of the candidates `(C, dim)`, and that of the anchors `(A, dim)` if they are others."""
        self._sum_listed()
        is_shared = self._anchor_sums is self._candidate_sums
        to_anchors = None if is_shared else _gradient(self._anchor_sums, self._anchor_points)
        return _gradient(self._candidate_sums, self._candidate_points), to_anchors

    def _is_complete_batch(self, rows: slice) -> bool:
        """Return whether the anchors of the block are all candidates."""
        return self._anchor_points is self._candidate_points and rows.stop - rows.start == len(self._candidate_points)

    def _add_dense(self, rows: slice, dense: Tensor) -> None:
        """Add −V `(m, C)` of a block, whose memory is overwritten."""
        if self._is_complete_batch(rows):  # Every pair is there in both directions.
            self._candidate_sums.addmm_(dense + dense.T, self._candidate_points)
            return
        is_shared, num_candidates = self._anchor_points is self._candidate_points, self._candidate_sums.shape[0]
        if is_shared and num_candidates**2 * dense.element_size() <= MAX_WAITING_BYTES:
            # Each pair of anchors occurs twice. The weight that comes first waits for the other: one product for both.
            if self._waiting is None:
                # Zeros, because a block that was computed from differences writes nothing here.
                self._waiting = dense.new_zeros(dense.shape[1], dense.shape[1])
            dense[:, : rows.start] += self._waiting[: rows.start, rows].T
            self._waiting[rows, rows.stop :] = dense[:, rows.stop :]
            dense = dense[:, : rows.stop]
        columns = slice(dense.shape[1])
        self._anchor_sums[rows].addmm_(dense, self._candidate_points[columns])
        self._candidate_sums[columns].addmm_(dense.T, self._anchor_points[rows])

    def _add_listed(self, rows: slice, candidate_index: Tensor, weights: Tensor) -> None:
        """Add V `(m, S)` of listed candidates: to the anchors at once, to the candidates when many pairs are listed."""
        sums = F.embedding_bag(candidate_index, self._candidate_points, per_sample_weights=weights, mode="sum")
        self._anchor_sums[rows] -= sums
        anchor_index = torch.arange(rows.start, rows.start + len(weights), device=weights.device)
        anchor_index = anchor_index.unsqueeze(1).expand_as(candidate_index)
        self._listed.append((candidate_index.flatten(), anchor_index.flatten(), weights.flatten()))
        if sum(len(part[0]) for part in self._listed) > MAX_LISTED_PAIRS:
            self._sum_listed()

    def _sum_listed(self) -> None:
        """Add the listed weights to the sums of the candidates."""
        if not self._listed:
            return
        candidate_index, anchor_index, weights = (
            self._listed[0] if len(self._listed) == 1 else map(torch.cat, zip(*self._listed, strict=True))
        )
        self._listed = []
        candidate_index, order = candidate_index.sort(stable=True)
        all_candidates = torch.arange(len(self._candidate_points), device=candidate_index.device)
        start = torch.searchsorted(candidate_index, all_candidates)
        self._candidate_sums -= F.embedding_bag(
            anchor_index[order], self._anchor_points, start, per_sample_weights=weights[order], mode="sum"
        )

    def _add_close_candidates(self, rows: slice, mined: MinedBlock) -> Tensor:
        """Add the listed candidates that are close; return V of all listed ones `(m, S)`, which is 0 for those."""
        distances = mined.distances
        weights = mined.weights if self._half_squared else mined.weights / distances
        if self._close_pairs is None:
            return weights
        square = 2 * distances if self._half_squared else distances.square()
        close = square <= CLOSE_RATIO * self._anchor_points[rows, -2:-1]
        if close.any():
            row, column = close.nonzero(as_tuple=True)
            self._add_pairs(row + rows.start, mined.candidate_index[row, column], weights[row, column])
            weights = weights.masked_fill(close, 0)
        return weights

    def _add_pairs(self, anchor_index: Tensor, candidate_index: Tensor, weights: Tensor) -> None:
        """Add V (x − y) of pairs `(n,)`, where (Σ V) x − Σ V y would cancel. At distance 0 it is 0."""
        weights = torch.where(weights.isfinite(), weights, 0)
        for chunk, difference in self._differences(anchor_index, candidate_index):
            pull = difference * weights[chunk].unsqueeze(1)
            self._anchor_sums[:, :-2].index_add_(0, anchor_index[chunk], pull)
            self._candidate_sums[:, :-2].index_add_(0, candidate_index[chunk], pull, alpha=-1)

    def _differences(self, anchor_index: Tensor, candidate_index: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Yield x − y for pairs `(n,)`, chunk by chunk."""
        for start in range(0, len(anchor_index), PAIRS_PER_CHUNK):
            chunk = slice(start, start + PAIRS_PER_CHUNK)
            yield chunk, self._anchors[anchor_index[chunk]] - self._candidates[candidate_index[chunk]]

    def _from_differences(self, rows: slice) -> Tensor:
        """Return a block computed from differences of coordinates, and keep its graph."""
        self._block = BlockWithGraph.compute(self._distance_of_points, self._anchors[rows], self._candidates)
        block = self._block.distances.detach().clone()
        if self._anchor_offsets is not None and self._candidate_offsets is not None:
            block += (self._anchor_offsets[rows].unsqueeze(1) + self._candidate_offsets) / 2
        return block

    def _distance_of_points(self, x: Tensor, y: Tensor) -> Tensor:
        norms = norms_of_differences(x, y)
        return norms.square() / 2 if self._half_squared else norms


def _with_square_and_one(x: Tensor, offsets: Tensor | None) -> Tensor:
    """Append the columns ‖x‖² (plus the offset of the row) and 1 to points `(n, dim)`."""
    square = x.square().sum(1, keepdim=True)
    if offsets is not None:
        square += offsets.unsqueeze(1)
    return torch.cat([x, square, torch.ones_like(square)], 1)


def _find_duplicates(points: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the rows that repeat an earlier one, and the rows that they repeat; None if all differ.

    A matrix product may round equal columns differently, and a tie would then not be a tie. Equal rows have equal
    squares, so they are neighbours after sorting by square.
    """
    square, order = points[:, -2].sort(stable=True)
    repeats = (square[1:] == square[:-1]).nonzero().flatten() + 1
    if len(repeats) == 0:
        return None
    repeats = repeats[(points[order[repeats]] == points[order[repeats - 1]]).all(1)]
    start = torch.arange(len(order), device=order.device)
    start[repeats] = 0
    start = start.cummax(0).values
    return order[repeats], order[start[repeats]]


def _gradient(sums: Tensor, points: Tensor) -> Tensor:
    """Return (Σ V) x − Σ V y from the accumulators `−[Σ V y, ·, Σ V]` and the points `[x, ‖x‖², 1]`."""
    return torch.addcmul(sums[:, :-2], sums[:, -1:], points[:, :-2], value=-1)
