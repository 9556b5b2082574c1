"""Blocks of Euclidean distances or half-squared Euclidean distances by matrix products, and their gradients.

The expanded square ‖x‖² − 2xy + ‖y‖² is inaccurate for close points, because the terms cancel. So the points are
centred, and close pairs are recomputed from differences of coordinates. A pair is close if its distance is small
compared to the distance of the anchor from the centre.
"""

from collections.abc import Iterator
from copy import copy
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from tercet.distances import MatrixProductDistance, norms_of_differences
from tercet.losses._engine.block_gradient import BlockWithGraph, LastBlock, weights_of_block, zero_accumulators
from tercet.losses._engine.label_groups import SelfColumns
from tercet.losses.miners import MinedBlock

# Pairs with d² ≤ CLOSE_RATIO · ‖x‖² (x centred) are recomputed. All others have a relative error of about 1e-5 in
# float32.
CLOSE_RATIO = 0.02
# If more than this fraction of a block is close (and more than PAIRS_PER_CHUNK pairs), computing the complete block
# from differences is faster.
MAX_CLOSE_FRACTION = 1 / 8
# Up to this fraction of listed candidates, sums over lists of pairs are faster than a product with a dense matrix.
SPARSE_FRACTION = 1 / 16
# The number of pairs whose differences are held in memory at the same time.
PAIRS_PER_CHUNK = 1 << 13
# The weight of a pair (i, j) is kept until the weight of (j, i) is known, if the anchors are the candidates and a
# (C, C) matrix fits in these bytes.
MAX_WAITING_BYTES = 64 << 20
# If more pairs than this are listed, they are added to the sums of the candidates and the list is cleared.
MAX_LISTED_PAIRS = 1 << 20
# In batches up to this size, a dense product costs less than building lists of pairs.
SMALL_BATCH = 128


class MatrixProductSource:
    """A source of distances between anchors and candidates that uses matrix products; see `DistanceSource`.

    A weight is the derivative of the loss terms with respect to a distance d. Let V = weight / d, or V = weight for
    half-squared distances. The gradient of x is then (Σ V) x − Σ V y, summed over the other points y of its pairs. Each
    centred point is stored as the row `[x, ‖x‖² plus its offset, 1]`, so that one product with the matrix of V computes
    Σ V y and, in the last column, Σ V. The accumulators hold `−[Σ V y, unused, Σ V]`.

    Args:
        distance: the distance. Its `points` are already applied to `candidates` and `anchors`.
        candidates: `(C, dim)`, the points of the candidates.
        anchors: `(A, dim)`, the points of the anchors; None uses the candidates as anchors.
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
        # All blocks write their distances into this buffer.
        self._buffer: Tensor | None = None
        # (C, C), the values −V of pairs (i, j) that are kept until the value of (j, i) is known.
        self._waiting: Tensor | None = None
        # Pairs (candidate index, anchor index, V) that are not yet added to the sums of the candidates.
        self._listed: list[tuple[Tensor, Tensor, Tensor]] = []
        # Its close pairs, or its autograd graph if the complete block was computed from differences.
        self._last, self._keeps_graph = LastBlock(), False

    def with_own_gradients(self) -> "MatrixProductSource":
        """Return a copy with separate gradient accumulators. It reuses the blocks that this source computes."""
        self._keeps_graph = True
        other = copy(self)
        other._candidate_sums, other._anchor_sums = zero_accumulators(self._candidate_sums, self._anchor_sums)
        other._waiting, other._listed = None, []
        return other

    @cached_property
    def duplicates(self) -> tuple[Tensor, Tensor] | None:
        """Two index tensors: candidates equal to an earlier one, and the first candidate that each of them equals.

        If there are no duplicates, the value is None, or both tensors are empty.
        """
        return _find_duplicates(self._candidate_points)

    def distances(self, rows: slice, self_columns: SelfColumns) -> Tensor:
        """Return the block `(m, C)` of the given anchors; see `DistanceSource`."""
        self._last.close_pairs = self._last.graph = None
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
        self_columns.fill(square.add_(square_of_row), masked_value)
        some_close = bool((square.amin(1, keepdim=True) <= limit).any())
        # If the block is the complete batch, every duplicate is a close pair. So without a close pair there are none.
        if (some_close or not self._is_complete_batch(rows)) and self.duplicates is not None:
            # The second line copies the square of the anchor's distance to its duplicates: 0, plus both offsets.
            self_columns.fill(square, 0.0 if self._anchor_offsets is None else 2 * self._anchor_offsets[rows, None])
            square[:, self.duplicates[0]] = square[:, self.duplicates[1]]
            self_columns.fill(square, masked_value)
        if some_close:
            close = (square <= limit).nonzero(as_tuple=True)
            if len(close[0]) > max(MAX_CLOSE_FRACTION * square.numel(), PAIRS_PER_CHUNK):
                return self_columns.fill(self._from_differences(rows), masked_value)
            chunks = self._differences(close[0] + rows.start, close[1])
            recomputed = torch.cat([difference.square().sum(1) for _, difference in chunks])
            if self._anchor_offsets is not None and self._candidate_offsets is not None:
                recomputed += self._anchor_offsets[rows][close[0]] + self._candidate_offsets[close[1]]
            square[close] = recomputed
            self._last.close_pairs = close[0], close[1]
        distances = square.mul_(0.5) if self._half_squared else square.sqrt_()
        return self_columns.fill(distances, masked_value)

    def add_weights(self, rows: slice, negatives: Tensor, mined: MinedBlock) -> None:
        """Backpropagate through the last block; see `DistanceSource`."""
        if self._last.graph is not None:
            to_anchors, to_candidates = self._last.graph.gradients(
                weights_of_block(mined, negatives), keep_graph=self._keeps_graph
            )
            self._anchor_sums[rows, :-2] += to_anchors
            self._candidate_sums[:, :-2] += to_candidates
            if self._waiting is not None:  # Add the weights that earlier blocks kept for pairs of this block.
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
            if self._last.close_pairs is not None:
                close_rows, close_columns = self._last.close_pairs
                self._add_pairs(close_rows + rows.start, close_columns, -dense[self._last.close_pairs])
                dense[self._last.close_pairs] = 0
        self._add_dense(rows, dense.scatter_add_(1, mined.candidate_index, -weights))

    def gradients(self) -> tuple[Tensor | None, Tensor | None]:
        """Return the gradient of the candidates `(C, dim)`, and that of separate anchors `(A, dim)` or None."""
        self._sum_listed()
        anchors_are_candidates = self._anchor_sums is self._candidate_sums
        to_anchors = None if anchors_are_candidates else _gradient(self._anchor_sums, self._anchor_points)
        return _gradient(self._candidate_sums, self._candidate_points), to_anchors

    def _is_complete_batch(self, rows: slice) -> bool:
        """Return whether all candidates are anchors of this block."""
        return self._anchor_points is self._candidate_points and rows.stop - rows.start == len(self._candidate_points)

    def _add_dense(self, rows: slice, dense: Tensor) -> None:
        """Add a matrix of −V `(m, C)` to the accumulators. The matrix may be overwritten."""
        if self._is_complete_batch(rows):  # The block contains every pair in both directions.
            self._candidate_sums.addmm_(dense + dense.T, self._candidate_points)
            return
        anchors_are_candidates = self._anchor_points is self._candidate_points
        num_candidates = self._candidate_sums.shape[0]
        if anchors_are_candidates and num_candidates**2 * dense.element_size() <= MAX_WAITING_BYTES:
            # Each pair of anchors occurs twice, as (i, j) and (j, i). Keep the first value until the second is known;
            # then one product adds both.
            if self._waiting is None:
                # Start with zeros, because a block that was computed from differences keeps no values.
                self._waiting = dense.new_zeros(dense.shape[1], dense.shape[1])
            dense[:, : rows.start] += self._waiting[: rows.start, rows].T
            self._waiting[rows, rows.stop :] = dense[:, rows.stop :]
            dense = dense[:, : rows.stop]
        columns = slice(dense.shape[1])
        self._anchor_sums[rows].addmm_(dense, self._candidate_points[columns])
        self._candidate_sums[columns].addmm_(dense.T, self._anchor_points[rows])

    def _add_listed(self, rows: slice, candidate_index: Tensor, weights: Tensor) -> None:
        """Add V `(m, S)` of the listed candidates.

        The sums of the anchors are updated at once. Those of the candidates are updated when many pairs are listed,
        and by `gradients`.
        """
        sums = F.embedding_bag(candidate_index, self._candidate_points, per_sample_weights=weights, mode="sum")
        self._anchor_sums[rows] -= sums
        anchor_index = torch.arange(rows.start, rows.start + len(weights), device=weights.device)
        anchor_index = anchor_index.unsqueeze(1).expand_as(candidate_index)
        self._listed.append((candidate_index.flatten(), anchor_index.flatten(), weights.flatten()))
        if sum(len(part[0]) for part in self._listed) > MAX_LISTED_PAIRS:
            self._sum_listed()

    def _sum_listed(self) -> None:
        """Add all listed pairs to the sums of the candidates, and clear the list."""
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
        """Add those of the listed candidates that are close, from differences of coordinates.

        Returns:
            V `(m, S)` of all listed candidates, with 0 for the close ones.
        """
        distances = mined.distances
        weights = mined.weights if self._half_squared else mined.weights / distances
        if self._last.close_pairs is None:
            return weights
        square = 2 * distances if self._half_squared else distances.square()
        close = square <= CLOSE_RATIO * self._anchor_points[rows, -2:-1]
        if close.any():
            row, column = close.nonzero(as_tuple=True)
            self._add_pairs(row + rows.start, mined.candidate_index[row, column], weights[row, column])
            weights = weights.masked_fill(close, 0)
        return weights

    def _add_pairs(self, anchor_index: Tensor, candidate_index: Tensor, weights: Tensor) -> None:
        """Add V (x − y) of close pairs to the accumulators, where (Σ V) x − Σ V y would be inaccurate.

        `anchor_index`, `candidate_index` and `weights` (the values V) are each `(n,)`. At distance 0 the gradient is 0.
        """
        weights = torch.where(weights.isfinite(), weights, 0)
        for chunk, difference in self._differences(anchor_index, candidate_index):
            pull = difference * weights[chunk].unsqueeze(1)
            self._anchor_sums[:, :-2].index_add_(0, anchor_index[chunk], pull)
            self._candidate_sums[:, :-2].index_add_(0, candidate_index[chunk], pull, alpha=-1)

    def _differences(self, anchor_index: Tensor, candidate_index: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Yield x − y for n pairs, chunk by chunk: a slice of the pairs, and their differences."""
        for start in range(0, len(anchor_index), PAIRS_PER_CHUNK):
            chunk = slice(start, start + PAIRS_PER_CHUNK)
            yield chunk, self._anchors[anchor_index[chunk]] - self._candidates[candidate_index[chunk]]

    def _from_differences(self, rows: slice) -> Tensor:
        """Return the block `(m, C)`, computed from differences of coordinates, and keep its autograd graph."""
        self._last.graph = BlockWithGraph.compute(self._distance_of_points, self._anchors[rows], self._candidates)
        block = self._last.graph.distances.detach().clone()
        if self._anchor_offsets is not None and self._candidate_offsets is not None:
            block += (self._anchor_offsets[rows].unsqueeze(1) + self._candidate_offsets) / 2
        return block

    def _distance_of_points(self, x: Tensor, y: Tensor) -> Tensor:
        norms = norms_of_differences(x, y)
        return norms.square() / 2 if self._half_squared else norms


def _with_square_and_one(x: Tensor, offsets: Tensor | None) -> Tensor:
    """Append two columns to points `(n, dim)`: ‖x‖² plus the offset of the row, and 1."""
    square = x.square().sum(1, keepdim=True)
    if offsets is not None:
        square += offsets.unsqueeze(1)
    return torch.cat([x, square, torch.ones_like(square)], 1)


def _find_duplicates(points: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return two index tensors: rows equal to an earlier row, and the first row that each of them equals.

    If there are no duplicates, return None or two empty tensors.

    A matrix product may round equal columns differently, so equal distances would become unequal. Equal rows have equal
    squares, so they are neighbours after sorting by square, unless a different row has exactly the same square.
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
    """Return the gradient of each point x: (Σ V) x − Σ V y, summed over the other points y of its pairs.

    For V, see `MatrixProductSource`. `sums` holds `−[Σ V y, unused, Σ V]`, and `points` holds `[x, ‖x‖², 1]`.
    """
    return torch.addcmul(sums[:, :-2], sums[:, -1:], points[:, :-2], value=-1)
