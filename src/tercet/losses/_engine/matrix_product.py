"""Blocks of distances, and the way back from weights of distances to the gradient of embeddings.

Both geometries answer the same calls: `distances` gives the block of some anchors, for the caller to
overwrite; `add_weights` takes the derivative by the distances of that block; `gradients` gives the sum.

`PointGeometry` computes distances from embeddings. Euclidean and cosine distances take one matrix
product a block; what ‖x‖² − 2xy + ‖y‖² loses to cancellation is avoided by centring the points, and by
computing anew the few pairs that are close compared to their distance from the centre.
`MatrixGeometry` reads distances from a matrix, for a distance that is the user's own function.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from tercet.losses.miners import MinedBlock

# Pairs with d² ≤ CLOSE · ‖x‖² (x centred) are computed anew; the others are right to about 1e-5 in float32.
CLOSE = 0.02
# Where more than this share of a block is close, differences of coordinates for all of it are quicker.
MOSTLY_CLOSE = 1 / 8
# Products with a mostly empty matrix of weights are quicker as sums of listed rows, up to this share of cells.
SPARSE = 1 / 16
PAIRS_OF_DIFFERENCES = 1 << 13
# Weights are kept until those of the pair in the other direction are there, where all of them fit in this.
MIRROR_BYTES = 64 << 20
PAIRS_KEPT = 1 << 20
# … but not in batches so small that a product costs no more than setting it up.
FEW_CANDIDATES = 128


class PointGeometry:
    """Distances between anchors `(A, dim)` and candidates `(C, dim)`, and the gradient of both.

    Centred points are kept with two more columns, `[x, ‖x‖², 1]`, so a product with weights V gives the sums
    of these too. The gradient of x is (Σ V) x − Σ V y with V = weight / d (V = weight for half the square),
    so the accumulators hold `−[Σ V y, ·, Σ V]`.

    Args:
        candidates: the rows that the anchors are compared with.
        anchors: the anchors, or None where they are the candidates.
        power: 2.0 for the Euclidean norm of differences, 1.0 for the Manhattan norm.
        half_square: take half the squared Euclidean norm, which is 1 − cos for rows of length 1 …
        missing: … once 1 is added for each row without direction: 1 for those and 0 for the others,
            of candidates `(C,)` and of anchors `(A,)` where they are others.
    """

    signed = False

    def __init__(
        self,
        candidates: Tensor,
        anchors: Tensor | None = None,
        *,
        power: float = 2.0,
        half_square: bool = False,
        missing: Sequence[Tensor] = (),
    ) -> None:
        self.dtype = candidates.dtype
        self._power, self._half_square, self._missing = power, half_square, missing
        self.candidates, self.anchors = candidates, candidates if anchors is None else anchors
        centre = candidates.mean(0)
        self._right = _with_square_and_one(candidates - centre, missing[:1])
        self._cells: Tensor | None = None
        self._mirror: Tensor | None = None
        self._to_right = torch.zeros_like(self._right)
        self._left, self._to_left = self._right, self._to_right
        if anchors is not None:
            self._left = _with_square_and_one(anchors - centre, missing[1:])
            self._to_left = torch.zeros_like(self._left)
        self._listed: list[tuple[Tensor, Tensor, Tensor]] = []
        self._close: tuple[Tensor, Tensor] | None = None
        self._graph: tuple[Tensor, Tensor, Tensor] | None = None

    @cached_property
    def copies(self) -> tuple[Tensor, Tensor] | None:
        """Candidates that repeat an earlier one, and those they repeat; None where all differ."""
        return _copies(self._right)

    def distances(self, rows: slice, own: Tensor) -> Tensor:
        """The distances of the anchors `rows` to all candidates, `(m, C)`.

        Those to their `own` candidates `(m, 1)`, themselves, hold the largest float.
        """
        self._close = self._graph = None
        far = torch.finfo(self.dtype).max
        if self._power != 2.0:
            return self._by_differences(rows).scatter_(1, own, far)
        left = self._left[rows]
        square_of_row = left[:, -2:-1]
        limit = CLOSE * square_of_row
        number = left.shape[0]
        if self._cells is None:
            self._cells = left.new_empty(number, self._right.shape[0])
        # The same memory for every block.
        square = torch.addmm(
            self._right[:, -2], left[:, :-2], self._right[:, :-2].T, alpha=-2, out=self._cells[:number]
        )
        square.add_(square_of_row).scatter_(1, own, far)
        some_close = bool((square.amin(1, keepdim=True) <= limit).any())
        # Where the block is the whole batch, copies would have shown as close pairs.
        if (some_close or not self._holds_all(rows)) and self.copies is not None:
            square.scatter_(1, own, 0)  # what a copy of the anchor itself takes over
            square[:, self.copies[0]] = square[:, self.copies[1]]
            square.scatter_(1, own, far)
        if some_close:
            close = (square <= limit).nonzero(as_tuple=True)
            if len(close[0]) > max(MOSTLY_CLOSE * square.numel(), PAIRS_OF_DIFFERENCES):
                return self._by_differences(rows).scatter_(1, own, far)
            norms = [difference.square().sum(1) for _, difference in self._differences(close[0] + rows.start, close[1])]
            square[close] = torch.cat(norms)
            self._close = close[0], close[1]
        square = square.mul_(0.5) if self._half_square else square.sqrt_()
        return square.scatter_(1, own, far)

    def add_weights(self, rows: slice, negatives: Tensor, mined: MinedBlock) -> None:
        """Add what a miner says of the block of `rows`; the block itself, `negatives` `(m, C)`, is used up."""
        if self._graph is not None:
            self._add_by_differences(rows, negatives, mined)
            if self._mirror is not None:  # blocks before this one left weights for it
                self._add_products(rows, negatives.zero_())
            return
        listed = self._take_close_ones(rows, mined)
        few = negatives.shape[1] > FEW_CANDIDATES and listed.shape[1] <= SPARSE * negatives.shape[1]
        if mined.negative_weights is None and few:
            self._add_listed(rows, mined.columns, listed)
            return
        if mined.negative_weights is None:
            dense = negatives.zero_()
        else:
            dense = mined.negative_weights if self._half_square else mined.negative_weights.div_(negatives)
            if self._close is not None:
                self._add_differences(self._close[0] + rows.start, self._close[1], -dense[self._close])
                dense[self._close] = 0
        self._add_products(rows, dense.scatter_add_(1, mined.columns, -listed))

    def _add_products(self, rows: slice, dense: Tensor) -> None:
        """Add −V `(m, C)` of a block, which is used up."""
        if self._holds_all(rows):  # every pair is here in both roles
            self._to_right.addmm_(dense + dense.T, self._right)
            return
        if self._left is self._right and self._to_right.shape[0] ** 2 * dense.element_size() <= MIRROR_BYTES:
            # Each pair of anchors comes twice. What comes first waits for the other: one product for both.
            if self._mirror is None:
                # Zeros, as a block that came from differences leaves none here.
                self._mirror = dense.new_zeros(dense.shape[1], dense.shape[1])
            dense[:, : rows.start] += self._mirror[: rows.start, rows].T
            self._mirror[rows, rows.stop :] = dense[:, rows.stop :]
            dense = dense[:, : rows.stop]
        seen = slice(dense.shape[1])
        self._to_left[rows].addmm_(dense, self._right[seen])
        self._to_right[seen].addmm_(dense.T, self._left[rows])

    def gradients(self) -> tuple[Tensor, Tensor | None]:
        """The gradient of the candidates, and of the anchors where they are others."""
        self._sum_listed()
        to_anchors = None if self._to_left is self._to_right else _gradient(self._to_left, self._left)
        return _gradient(self._to_right, self._right), to_anchors

    def _holds_all(self, rows: slice) -> bool:
        """Whether the block is the whole batch: all candidates are its anchors."""
        return self._left is self._right and rows.stop - rows.start == self._right.shape[0]

    def _take_close_ones(self, rows: slice, mined: MinedBlock) -> Tensor:
        """V for the listed distances `(m, S)`; those of close pairs are added from their differences, and 0 here."""
        d = mined.distances
        v = mined.weights if self._half_square else mined.weights / d
        if self._close is None:
            return v
        close = (2 * d if self._half_square else d.square()) <= CLOSE * self._left[rows, -2:-1]
        if close.any():
            i, j = close.nonzero(as_tuple=True)
            self._add_differences(i + rows.start, mined.columns[i, j], v[i, j])
            v = v.masked_fill(close, 0)
        return v

    def _add_differences(self, rows: Tensor, columns: Tensor, v: Tensor) -> None:
        """Add V (x − y) of pairs `(n,)`, exactly where (Σ V) x − Σ V y would cancel; 0 at distance 0."""
        v = torch.where(v.isfinite(), v, 0)
        for part, difference in self._differences(rows, columns):
            pull = difference * v[part].unsqueeze(1)
            self._to_left[:, :-2].index_add_(0, rows[part], pull)
            self._to_right[:, :-2].index_add_(0, columns[part], pull, alpha=-1)

    def _differences(self, rows: Tensor, columns: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """x − y for pairs `(n,)`, some pairs at a time."""
        for start in range(0, len(rows), PAIRS_OF_DIFFERENCES):
            part = slice(start, start + PAIRS_OF_DIFFERENCES)
            yield part, self.anchors[rows[part]] - self.candidates[columns[part]]

    def _add_listed(self, rows: slice, columns: Tensor, v: Tensor) -> None:
        """Add V `(m, S)` at `columns`: for the anchors now, for the candidates when many have come together."""
        sums = F.embedding_bag(columns, self._right, per_sample_weights=v, mode="sum")
        self._to_left[rows] -= sums
        of_rows = torch.arange(rows.start, rows.start + len(v), device=v.device).unsqueeze(1).expand_as(columns)
        self._listed.append((columns.flatten(), of_rows.flatten(), v.flatten()))
        if sum(len(part[0]) for part in self._listed) > PAIRS_KEPT:
            self._sum_listed()

    def _sum_listed(self) -> None:
        if not self._listed:
            return
        columns, rows, v = (
            self._listed[0] if len(self._listed) == 1 else map(torch.cat, zip(*self._listed, strict=True))
        )
        self._listed = []
        columns, order = columns.sort(stable=True)
        first = torch.searchsorted(columns, torch.arange(len(self._right), device=columns.device))
        self._to_right -= F.embedding_bag(rows[order], self._left, first, per_sample_weights=v[order], mode="sum")

    def _by_differences(self, rows: slice) -> Tensor:
        """A block from differences of coordinates, with the graph that leads back from it."""
        with torch.enable_grad():
            leaves = self.anchors[rows].detach().requires_grad_(), self.candidates.detach().requires_grad_()
            norms = torch.cdist(*leaves, p=self._power, compute_mode="donot_use_mm_for_euclid_dist")
            if self._half_square:
                norms = norms.square() / 2
        self._graph = (norms, *leaves)
        block = norms.detach().clone()
        if self._missing:
            block += (self._missing[-1][rows].unsqueeze(1) + self._missing[0]) / 2
        return block

    def _add_by_differences(self, rows: slice, negatives: Tensor, mined: MinedBlock) -> None:
        assert self._graph is not None
        norms, *leaves = self._graph
        of_anchors, of_candidates = torch.autograd.grad(norms, leaves, _dense(mined, negatives))
        self._to_left[rows, :-2] += of_anchors
        self._to_right[:, :-2] += of_candidates


class MatrixGeometry:
    """Distances from a matrix `(A, C)`, and the gradient of that matrix."""

    signed = True

    def __init__(self, matrix: Tensor) -> None:
        self.dtype = matrix.dtype
        self._matrix, self._weights = matrix, torch.zeros_like(matrix)

    def distances(self, rows: slice, own: Tensor) -> Tensor:
        """Some rows of the matrix, `(m, C)`."""
        return self._matrix[rows].scatter(1, own, torch.finfo(self.dtype).max)

    def add_weights(self, rows: slice, negatives: Tensor, mined: MinedBlock) -> None:
        """Add what a miner says of the block of `rows`."""
        self._weights[rows] = _dense(mined, negatives)

    def gradients(self) -> tuple[Tensor, Tensor | None]:
        """The gradient of the matrix."""
        return self._weights, None


def _dense(mined: MinedBlock, negatives: Tensor) -> Tensor:
    """The derivative by each distance of a block `(m, C)`, in the memory of what is used up."""
    weights = negatives.zero_() if mined.negative_weights is None else mined.negative_weights.neg_()
    return weights.scatter_add_(1, mined.columns, mined.weights)


def _with_square_and_one(x: Tensor, missing: Sequence[Tensor]) -> Tensor:
    square = x.square().sum(1, keepdim=True)
    if missing:
        square += missing[0].unsqueeze(1)
    return torch.cat([x, square, torch.ones_like(square)], 1)


def _copies(points: Tensor) -> tuple[Tensor, Tensor] | None:
    """Rows that repeat an earlier one, and the rows they repeat; None where all differ.

    A matrix product may round equal columns differently, and then a tie would not be one. Equal rows have
    equal squares, so they are neighbours once sorted by these.
    """
    square, order = points[:, -2].sort(stable=True)
    suspects = (square[1:] == square[:-1]).nonzero().flatten() + 1
    if len(suspects) == 0:
        return None
    suspects = suspects[(points[order[suspects]] == points[order[suspects - 1]]).all(1)]
    start = torch.arange(len(order), device=order.device)
    start[suspects] = 0
    start = start.cummax(0).values
    return order[suspects], order[start[suspects]]


def _gradient(sums: Tensor, points: Tensor) -> Tensor:
    """(Σ V) x − Σ V y of the accumulators `−[Σ V y, ·, Σ V]` and the points `[x, ‖x‖², 1]`."""
    return torch.addcmul(sums[:, :-2], sums[:, -1:], points[:, :-2], value=-1)
