"""Exact triplet losses over blocks of anchors, with the gradient formed on the way.

One block at a time: distances of some anchors to all candidates, a miner that weighs them, and the weights
turned into gradient. Nothing of size batch × batch is kept, and the result does not depend on the block
size beyond rounding. The backward pass only scales the gradient that the forward pass formed.
`docs/losses.md` derives the algorithm and its costs; `tercet.losses.reference` is its specification.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from tercet.distances import (
    CosineDistance,
    Distance,
    DistanceLike,
    FunctionDistance,
    ManhattanDistance,
    at_least_float32,
    get_distance,
    zero_rows,
)
from tercet.errors import EmbeddingError
from tercet.losses._engine.blocks import MatrixGeometry, PointGeometry
from tercet.losses._engine.groups import Groups
from tercet.losses._engine.stats import LossStats, figures, mean
from tercet.losses.miners import Block, MinedBlock, Miner

# A block and what a miner makes of it take about this many times the memory of its distances.
COPIES_OF_A_BLOCK = 6
BLOCK_BYTES = 128 << 20
# More rows than this do not make the matrix products quicker, and leave the cache.
BLOCK_ROWS = 256


class Geometry(Protocol):
    """Where blocks of distances come from, and where their weights go: see `tercet.losses._engine.blocks`."""

    signed: bool
    dtype: torch.dtype

    def distances(self, rows: slice, own: Tensor) -> Tensor:
        """The block of some anchors `(m, C)`, for the caller to overwrite."""

    def add_weights(self, rows: slice, negatives: Tensor, mined: MinedBlock) -> None:
        """Take the weights of the block that was given last."""

    def gradients(self) -> tuple[Tensor, Tensor | None]:
        """What came together for the candidates, and for the anchors where they are others."""


@dataclass(frozen=True)
class Anchors:
    """Rows to mine for that need not be rows of the batch: a share of it, or against a memory of past ones.

    Attributes:
        embeddings: `(A, dim)`.
        labels: `(A,)`, numbered as the candidates' are.
        own: the candidate that is the anchor itself, which is no positive, or −1 where none is: `(A,)`.
    """

    embeddings: Tensor
    labels: Tensor
    own: Tensor


def batch_loss(
    embeddings: Tensor,
    labels: Tensor,
    miner: Miner,
    distance: DistanceLike = "euclidean",
    *,
    anchors: Anchors | None = None,
    reduce_count: Callable[[Tensor], Tensor] | None = None,
    with_stats: bool = False,
    block_bytes: int = BLOCK_BYTES,
    block_rows: int = BLOCK_ROWS,
) -> tuple[Tensor, LossStats | None]:
    """The loss `()` of candidates `(C, dim)` with labels `(C,)`, which are the anchors too unless `anchors` says else.

    A callable `distance` takes the dense path: its square matrix, and autograd through it.

    Args:
        reduce_count: makes of the number of terms of these anchors that of all anchors, where others are mined
            elsewhere; the loss is then the share of these anchors in the loss of all.
        with_stats: also return `LossStats`, from the same blocks.
        block_bytes: the memory that a block may take; with `block_rows`, this decides speed and nothing else.
        block_rows: the most anchors of a block.
    """
    metric = get_distance(distance)
    kind = embeddings.device.type
    if isinstance(metric, FunctionDistance):
        if anchors is not None:
            raise EmbeddingError("a distance function takes one set of embeddings; name one to mine other anchors")
        inputs = [at_least_float32(metric.matrix(embeddings, embeddings))]
    else:
        sides = [embeddings] if anchors is None else [embeddings, anchors.embeddings]
        with no_autocast(kind):
            inputs = [metric.points(side) for side in sides]
    needs_gradient = torch.is_grad_enabled() and any(part.requires_grad for part in inputs)
    rows = min(block_rows, max(1, block_bytes // (COPIES_OF_A_BLOCK * inputs[0].element_size() * labels.shape[0])))
    with torch.no_grad(), no_autocast(kind), full_precision(kind):
        groups = Groups.of(labels) if anchors is None else Groups.of(labels, anchors.labels, anchors.own)
        geometry = _geometry(metric, groups, *(part.detach() for part in inputs))
        sums = _mine(geometry, groups, miner, rows, needs_gradient=needs_gradient, with_stats=with_stats)
        number = _number_of_terms(miner, groups, sums)
        if reduce_count is not None:
            number = reduce_count(torch.as_tensor(number, device=labels.device))
        number = number.clamp(min=1) if isinstance(number, Tensor) else max(1, number)
        gradients = _gradients(geometry, groups, inputs) if needs_gradient else []
    loss = _LossWithGradient.apply(sums.terms, number, *gradients, *inputs) if needs_gradient else sums.terms / number
    return loss, _statistics(miner, groups, sums) if with_stats else None


def _geometry(distance: Distance, groups: Groups, candidates: Tensor, anchors: Tensor | None = None) -> Geometry:
    """The anchors that count against the candidates; a matrix for a distance function."""
    if groups.anchors is not None:
        anchors = (candidates if anchors is None else anchors)[groups.anchors]
    if isinstance(distance, FunctionDistance):
        return MatrixGeometry(candidates if anchors is None else anchors)
    if not isinstance(distance, CosineDistance):
        return PointGeometry(candidates, anchors, power=1.0 if isinstance(distance, ManhattanDistance) else 2.0)
    missing = [zero_rows(side) for side in (candidates, anchors) if side is not None]
    return PointGeometry(candidates, anchors, half_square=True, missing=missing)


def _gradients(geometry: Geometry, groups: Groups, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The gradient of the sum of the terms by each input."""
    to_candidates, to_anchors = geometry.gradients()
    if isinstance(geometry, MatrixGeometry):
        to_candidates, to_anchors = torch.zeros_like(inputs[0]), to_candidates
    gradients = [to_candidates] if len(inputs) == 1 else [to_candidates, torch.zeros_like(inputs[1])]
    if to_anchors is not None:
        where = slice(None) if groups.anchors is None else groups.anchors
        gradients[-1][where] += to_anchors  # an anchor comes once
    return gradients


class _LossWithGradient(torch.autograd.Function):
    """Ties a mean of terms to its inputs by the gradients of their sum, which are known: backward only scales them."""

    @staticmethod
    def forward(ctx: Any, total: Tensor, number: Tensor | int, *gradients_and_inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*gradients_and_inputs[: len(gradients_and_inputs) // 2])
        ctx.number = number
        return total / number

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph=True; otherwise a second derivative would silently be 0
            raise EmbeddingError(
                "the batch losses cannot be differentiated twice (create_graph=True): their gradient is formed "
                "together with the loss; for second derivatives take tercet.losses.reference"
            )
        gradients, scale = ctx.saved_tensors, scale / ctx.number
        return (None, None, *(None for _ in gradients), *(gradient * scale for gradient in gradients))


class _Sums(NamedTuple):
    """Sums over all anchors: of terms, of active triplets, and of the figures of the statistics.

    Active triplets and figures are counted where they are asked for, and are 0 otherwise.
    """

    terms: Tensor
    active: Tensor | int = 0
    figures: Tensor | int = 0


def _mine(
    geometry: Geometry, groups: Groups, miner: Miner, most_rows: int, *, needs_gradient: bool, with_stats: bool
) -> _Sums:
    """Go over the anchors block by block; the gradient comes together in `geometry`."""
    terms: list[Tensor] = []
    active: Tensor | int = 0
    seen: Tensor | int = 0
    for start in range(0, len(groups), most_rows):
        rows = slice(start, min(start + most_rows, len(groups)))
        block = _block(geometry, groups, rows)
        mined = miner.mine(block)
        terms.append(mined.terms.sum())
        if miner.mean_over == "active":  # positives mine as many triplets as they are in
            active = active + mined.weights.sum(dtype=torch.int64)
        elif with_stats:
            # A hinge weighs 0 or 1, the soft margin 0.5 where positive and negative are equally far.
            active = active + (mined.weights >= 0.5).sum()
        if with_stats:
            seen = seen + figures(block)
        if needs_gradient:
            geometry.add_weights(rows, block.negatives, mined)
    if not terms:
        terms = [groups.order.new_zeros((), dtype=geometry.dtype)]
    return _Sums(terms[0] if len(terms) == 1 else torch.stack(terms).sum(), active, seen)


def _number_of_terms(miner: Miner, groups: Groups, sums: _Sums) -> Tensor | int:
    """What the loss is a mean over."""
    if miner.mean_over == "active":
        return sums.active
    return groups.pairs if miner.mean_over == "positives" else len(groups)


def _statistics(miner: Miner, groups: Groups, sums: _Sums) -> LossStats:
    anchors, pairs, others = len(groups), groups.pairs, groups.others
    triplets = int((groups.counts * others).sum())
    negative_pairs = int(others.sum())
    numbers = (pairs, negative_pairs, anchors, anchors)
    totals = sums.figures.tolist() if isinstance(sums.figures, Tensor) else [0.0] * 4
    chosen = {"active": triplets, "positives": pairs, "anchors": anchors}[miner.mean_over]
    near, far, farthest, nearest = (mean(total, number) for total, number in zip(totals, numbers, strict=True))
    return LossStats(anchors, triplets, chosen, int(sums.active), near, far, farthest, nearest, pairs, negative_pairs)


def _block(geometry: Geometry, groups: Groups, rows: slice) -> Block:
    own = groups.own[rows, None]
    columns, empty = groups.positives(rows)
    d = geometry.distances(rows, own)
    positives = d.gather(1, columns)
    far = torch.finfo(d.dtype).max
    d.scatter_(1, columns, far)
    return Block(d, positives, columns, empty, geometry.signed)


def no_autocast(kind: str) -> AbstractContextManager[object]:
    """Autocast off on a kind of device; nothing to enter where it is off already, as that takes its time."""
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


@contextmanager
def full_precision(kind: str) -> Iterator[None]:
    """Matrix products of float32 in float32 on a kind of device, whatever the user chose for the model.

    Squared distances are differences of products: with the 10 bits of TF32 they would be noise.
    """
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):  # torch 2.9 and later
        backend: Any = torch.backends.mkldnn if kind == "cpu" else torch.backends.cuda
        before = backend.matmul.fp32_precision
        try:
            backend.matmul.fp32_precision = "ieee"
            yield
        finally:
            backend.matmul.fp32_precision = before
    else:
        chosen = torch.get_float32_matmul_precision()
        try:
            torch.set_float32_matmul_precision("highest")
            yield
        finally:
            torch.set_float32_matmul_precision(chosen)
