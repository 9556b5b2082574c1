"""Exact triplet losses over blocks of anchors, with the gradient formed on the way.

One block at a time: distances of some anchors to all candidates, a rule that weighs them, and the weights
turned into gradient. Nothing of size batch × batch is kept, and the result does not depend on the block
size beyond rounding. The backward pass only scales the gradient that the forward pass formed.
`docs/losses.md` derives the algorithm and its costs; `tercet.losses.reference` is its specification.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from tercet import distances
from tercet.distances import Distance, at_least_float32, check_distance
from tercet.errors import EmbeddingError
from tercet.losses.blocks import MatrixGeometry, PointGeometry
from tercet.losses.groups import Groups
from tercet.losses.rules import Block, Rule, Weighed
from tercet.losses.statistics import LossStatistics, figures, mean

# A block and what a rule makes of it take about this many times the memory of its distances.
COPIES_OF_A_BLOCK = 6
BLOCK_BYTES = 128 << 20
# More rows than this do not make the matrix products quicker, and leave the cache.
BLOCK_ROWS = 256


class Geometry(Protocol):
    """Where blocks of distances come from, and where their weights go: see `tercet.losses.blocks`."""

    signed: bool

    @property
    def dtype(self) -> torch.dtype:
        """The type of the distances."""

    def distances(self, rows: Tensor, own: Tensor) -> Tensor:
        """The block of some anchors `(m,)`, `(m, C)`, for the caller to overwrite."""

    def add_weights(self, rows: Tensor, negatives: Tensor, weighed: Weighed) -> None:
        """Take the weights of the block that was given last."""

    def gradients(self) -> tuple[Tensor, ...]:
        """What came together, for each input."""


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
    rule: Rule,
    distance: Distance = "euclidean",
    *,
    anchors: Anchors | None = None,
    with_statistics: bool = False,
    block_bytes: int = BLOCK_BYTES,
    block_rows: int = BLOCK_ROWS,
) -> tuple[Tensor, LossStatistics | None]:
    """The loss `()` of candidates `(C, dim)` with labels `(C,)`, which are the anchors too unless `anchors` says else.

    A callable `distance` takes the dense path: its square matrix, and autograd through it.

    Args:
        with_statistics: also return `LossStatistics`, from the same blocks.
        block_bytes: the memory that a block may take; with `block_rows`, this decides speed and nothing else.
        block_rows: the most anchors of a block.
    """
    check_distance(distance)
    if callable(distance):
        if anchors is not None:
            raise EmbeddingError("a distance function takes one set of embeddings; name one to mine other anchors")
        matrix = at_least_float32(distances.matrix(embeddings, embeddings, distance))
        inputs: tuple[Tensor, ...] = (matrix,)
        geometry: Geometry = MatrixGeometry(matrix.detach())
    else:
        with torch.autocast(embeddings.device.type, enabled=False):
            sides = [embeddings] if anchors is None else [embeddings, anchors.embeddings]
            inputs = tuple(distances.measured_points(side, distance) for side in sides)
        geometry = _point_geometry(distance, *(points.detach() for points in inputs))
    if anchors is None:
        groups = Groups.of(labels, labels, torch.arange(len(labels), device=labels.device))
    else:
        groups = Groups.of(anchors.labels, labels, anchors.own)
    needs_gradient = torch.is_grad_enabled() and any(points.requires_grad for points in inputs)
    rows = min(block_rows, max(1, block_bytes // (COPIES_OF_A_BLOCK * inputs[0].element_size() * len(labels))))
    with torch.no_grad(), torch.autocast(embeddings.device.type, enabled=False), full_precision():
        totals = _mine(geometry, groups, rule, rows, needs_gradient=needs_gradient, with_statistics=with_statistics)
        number = (totals.active if rule.mean_of_active else totals.chosen).clamp(min=1)
        loss = totals.terms / number
        gradients = [part.div_(number) for part in geometry.gradients()] if needs_gradient else []
    if gradients:
        loss = _LossWithGradient.apply(loss, *gradients, *inputs)
    return loss, totals.statistics(groups) if with_statistics else None


def _point_geometry(distance: str, candidates: Tensor, anchors: Tensor | None = None) -> PointGeometry:
    if distance != "cosine":
        return PointGeometry(candidates, anchors, power=1.0 if distance == "manhattan" else 2.0)
    missing = [distances.no_direction(side) for side in (candidates, anchors) if side is not None]
    return PointGeometry(candidates, anchors, half_square=True, missing=missing)


class _LossWithGradient(torch.autograd.Function):
    """Ties a loss to its inputs by their gradients, which are known already: backward only scales them."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, *gradients_and_inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*gradients_and_inputs[: len(gradients_and_inputs) // 2])
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph=True; otherwise a second derivative would silently be 0
            raise EmbeddingError(
                "the batch losses cannot be differentiated twice (create_graph=True): their gradient is formed "
                "together with the loss; for second derivatives take tercet.losses.reference"
            )
        gradients = ctx.saved_tensors
        return (None, *(None for _ in gradients), *(gradient * scale for gradient in gradients))


class _Totals(NamedTuple):
    """Sums over all anchors: of terms, of chosen and active triplets, and of the figures of the statistics."""

    terms: Tensor
    chosen: Tensor
    active: Tensor
    figures: Tensor

    def statistics(self, groups: Groups) -> LossStatistics:
        anchors = len(groups.anchors)
        sums = torch.stack([groups.counts.sum(), groups.others.sum(), (groups.counts * groups.others).sum()])
        positives, negatives, triplets, chosen, active = *sums.tolist(), int(self.chosen), int(self.active)
        numbers = (positives, negatives, anchors, anchors)
        means = [mean(total, number) for total, number in zip(self.figures.tolist(), numbers, strict=True)]
        return LossStatistics(anchors, triplets, chosen, active, *means)


def _mine(
    geometry: Geometry, groups: Groups, rule: Rule, most_rows: int, *, needs_gradient: bool, with_statistics: bool
) -> _Totals:
    """Go over the anchors block by block; the gradient comes together in `geometry`."""
    number = len(groups.anchors)
    terms = torch.zeros(number, dtype=geometry.dtype, device=groups.order.device)
    chosen, active = torch.zeros_like(groups.counts), torch.zeros_like(groups.counts)
    seen = terms.new_zeros(4)
    for start in range(0, number, most_rows):
        rows = slice(start, min(start + most_rows, number))
        block = _block(geometry, groups, rows)
        weighed = rule.weigh(block)
        terms[rows], chosen[rows], active[rows] = weighed.terms, weighed.chosen, weighed.active
        if with_statistics:
            seen += figures(block)
        if needs_gradient:
            geometry.add_weights(groups.anchors[rows], block.negatives, weighed)
    return _Totals(terms.sum(), chosen.sum(), active.sum(), seen)


def _block(geometry: Geometry, groups: Groups, rows: slice) -> Block:
    own = groups.own[rows].unsqueeze(1)
    columns, empty = groups.positives(rows)
    d = geometry.distances(groups.anchors[rows], own)
    positives = d.gather(1, columns)
    far = torch.finfo(d.dtype).max
    d.scatter_(1, columns, far).scatter_(1, own, far)
    return Block(d, positives, columns, empty, groups.counts[rows], groups.others[rows], geometry.signed)


@contextmanager
def full_precision() -> Iterator[None]:
    """Matrix products of float32 in float32, whatever the user chose for the model.

    Squared distances are differences of products: with the 10 bits of TF32 they would be noise.
    """
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):  # torch 2.9 and later
        settings = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
        before = [setting.fp32_precision for setting in settings]
        try:
            for setting in settings:
                setting.fp32_precision = "ieee"
            yield
        finally:
            for setting, value in zip(settings, before, strict=True):
                setting.fp32_precision = value
    else:
        chosen = torch.get_float32_matmul_precision()
        try:
            torch.set_float32_matmul_precision("highest")
            yield
        finally:
            torch.set_float32_matmul_precision(chosen)
