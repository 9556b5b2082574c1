"""Exact triplet losses, computed block by block, with the gradient already in the forward pass.

The engine repeats three steps for each block of anchors:

1. Compute the distances of the anchors to all candidates.
2. Call the miner. It returns the loss terms and their derivatives with respect to the distances.
3. Add the contribution of these derivatives to the gradient.

The backward pass only scales this gradient. Memory grows linearly with the batch size, except with a distance function.
The block size affects the result only by rounding. `docs/concepts/loss-computation.md` derives the algorithm and its
costs. `tercet.losses.reference` is its specification.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tercet.distances import DistanceLike
from tercet.errors import EmbeddingError
from tercet.losses._engine.distance_sources import DistanceSource
from tercet.losses._engine.inputs import Anchors, prepare
from tercet.losses._engine.precision import full_precision, no_autocast
from tercet.losses._engine.stats import PendingStats, exact_dtype, sum_distances
from tercet.losses.miners import DistanceBlock, Miner
from tercet.losses.relations import SAME_LABEL, Grouping, Relation


def batch_loss_with_pending_stats(
    embeddings: Tensor,
    labels: Tensor,
    miner: Miner,
    distance: DistanceLike,
    *,
    relation: Relation = SAME_LABEL,
    anchors: Anchors | None = None,
    reduce_count: Callable[[Tensor], Tensor] | None = None,
    with_stats: bool = True,
    block_bytes: int | None = None,
    block_rows: int | None = None,
) -> tuple[Tensor, PendingStats | None]:
    """Return the scalar loss of a batch, and its statistics if `with_stats` is True, else None.

    The statistics stay on the device, so that the engine does not wait for them.

    Args:
        embeddings: `(C, dim)`, the embeddings of the candidates.
        labels: `(C,)`, the labels of the candidates, on the device of the embeddings or on the CPU. Labels on the CPU
            are faster, because the engine reads numbers of positives and would wait for the device.
        miner: the rule that selects triplets.
        distance: a name, a `Distance`, or a function. The complete matrix of a function and its autograd graph are kept
            in memory.
        relation: which candidates are the positives of an anchor, as a function of their labels.
        anchors: the anchors; None uses the candidates as anchors.
        reduce_count: maps the number of loss terms of this process to the number of all processes (an all-reduce). The
            loss is then the sum of the terms of this process, divided by the number of terms of all processes.
        with_stats: whether to compute statistics.
        block_bytes: the maximum memory of a block, in bytes, unless one row needs more; by default 128 MiB on a
            CPU and 1 GiB on other devices.
        block_rows: the maximum number of anchors per block; by default 256 on a CPU, and no limit on other
            devices. `block_bytes` and `block_rows` affect speed and memory, and the result only by rounding.

    Raises:
        EmbeddingError: the distance is unknown; or it is a function and `anchors` is given, or a function or `matrix`
            returns the wrong shape; or the relation has weights, which the miner does not use.
    """
    inputs = prepare(embeddings, labels, distance, anchors, block_bytes, block_rows)
    needs_gradient, device_type = inputs.needs_gradient, embeddings.device.type
    with torch.no_grad(), no_autocast(device_type), full_precision(device_type):
        groups = inputs.group(relation)
        source = inputs.source(groups.anchor_index)
        sums = _mine(source, groups, miner, inputs.max_rows, needs_gradient=needs_gradient, with_stats=with_stats)
        count = num_terms(miner, groups, sums, reduce_count)
        gradients = gradients_of(source, groups.anchor_index, inputs.tensors) if needs_gradient else []
    loss = with_gradients(sums.terms, count, gradients, inputs.tensors) if needs_gradient else sums.terms / count
    return loss, stats_of(miner, groups, sums) if with_stats else None


def with_gradients(total: Tensor, count: Tensor | int, gradients: Sequence[Tensor], inputs: Sequence[Tensor]) -> Tensor:
    """Return `total / count`, as a scalar whose gradients with respect to `inputs` are `gradients / count`."""
    loss: Tensor = _LossWithGradient.apply(total, count, *gradients, *inputs)
    return loss


class _LossWithGradient(torch.autograd.Function):
    """The mean of the loss terms. Its gradients are computed before, and the backward pass only scales them."""

    @staticmethod
    def forward(ctx: Any, total: Tensor, count: Tensor | int, *gradients_and_inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*gradients_and_inputs[: len(gradients_and_inputs) // 2])
        ctx.count = count
        return total / count

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # This is the case with create_graph=True. A second derivative would be 0.
            raise EmbeddingError(
                "the batch losses cannot be differentiated twice (create_graph=True): their gradient is computed "
                "together with the loss. For second derivatives use tercet.losses.reference"
            )
        gradients, scale = ctx.saved_tensors, scale / ctx.count
        return (None, None, *(None for _ in gradients), *(gradient * scale for gradient in gradients))


class Sums(NamedTuple):
    """Sums over all anchors.

    Attributes:
        terms: a scalar, the sum of the loss terms.
        num_active: the number of active triplets; 0 if neither the loss nor the statistics need it.
        distances: `(4,)`, the sum of `sum_distances` over the blocks; 0 if statistics are not computed.
    """

    terms: Tensor
    num_active: Tensor | int = 0
    distances: Tensor | int = 0


def _mine(
    source: DistanceSource,
    groups: Grouping,
    miner: Miner,
    max_rows: int,
    *,
    needs_gradient: bool,
    with_stats: bool,
) -> Sums:
    """Mine the anchors block by block and return the sums. The gradient is accumulated in `source`."""
    terms: list[Tensor] = []
    num_active: Tensor | int = 0
    distances: Tensor | int = 0
    for start in range(0, len(groups), max_rows):
        rows = slice(start, min(start + max_rows, len(groups)))
        block = block_of(source.distances(rows, groups.self_columns(rows)), groups, rows, source)
        check_uses_weights(miner, block)
        mined = miner.mine(block)
        terms.append(mined.terms.sum())
        if miner.mean_over == "active" or with_stats:
            num_active = num_active + mined.num_active.sum(dtype=torch.int64)
        if with_stats:
            distances = distances + sum_distances(block)
        if needs_gradient:
            source.add_weights(rows, block.negatives, mined)
    if not terms:
        terms = [groups.num_positives.new_zeros((), dtype=source.dtype)]
    return Sums(terms[0] if len(terms) == 1 else torch.stack(terms).sum(), num_active, distances)


def block_of(distances: Tensor, groups: Grouping, rows: slice, source: DistanceSource) -> DistanceBlock:
    """Return the block of the given anchors. `distances` `(m, C)` become its negatives, and are overwritten."""
    candidate_index, padding_mask = groups.positives(rows)
    positives = distances.gather(1, candidate_index)
    distances.scatter_(1, candidate_index, torch.finfo(distances.dtype).max)
    weights = groups.positive_weights(rows, candidate_index)
    weights = weights if weights is None else weights.to(distances.dtype)
    return DistanceBlock(distances, positives, candidate_index, padding_mask, source.non_negative, weights)


def check_uses_weights(miner: Miner, block: DistanceBlock) -> None:
    """Raise `EmbeddingError` if the block has weights, which the miner would ignore."""
    if block.positive_weights is not None and not miner.uses_weights:
        raise EmbeddingError(
            "the relation weighs the positives, but the miner of this loss does not use weights; multiply its terms by "
            "DistanceBlock.positive_weights and set uses_weights=True, or pass weighted=False to the relation"
        )


def gradients_of(source: DistanceSource, anchor_index: Tensor | None, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradient of the sum of the loss terms with respect to each input."""
    to_candidates, to_anchors = source.gradients()
    gradients = [torch.zeros_like(inputs[0]) if to_candidates is None else to_candidates]
    if len(inputs) > 1:
        gradients.append(torch.zeros_like(inputs[1]))
    if to_anchors is not None:
        rows = slice(None) if anchor_index is None else anchor_index
        gradients[-1][rows] += to_anchors  # Indexed addition is correct, because no row occurs twice.
    return gradients


def num_terms(
    miner: Miner, groups: Grouping, sums: Sums, reduce_count: Callable[[Tensor], Tensor] | None
) -> Tensor | int:
    """Return the number by which the sum of the loss terms is divided, at least 1; see `Miner.mean_over`."""
    if miner.mean_over == "active":
        count = sums.num_active
    else:
        count = groups.num_positive_pairs if miner.mean_over == "positives" else len(groups)
    if reduce_count is not None:
        count = reduce_count(torch.as_tensor(count, device=groups.num_positives.device))
    return count.clamp(min=1) if isinstance(count, Tensor) else max(1, count)


def stats_of(miner: Miner, groups: Grouping, sums: Sums) -> PendingStats:
    """Return the statistics of the batch."""
    num_anchors, num_pairs, num_triplets = len(groups), groups.num_positive_pairs, groups.num_triplets
    num_mined = {"active": num_triplets, "positives": num_pairs, "anchors": num_anchors}[miner.mean_over]
    if not isinstance(sums.num_active, Tensor) or not isinstance(sums.distances, Tensor):  # There was no block.
        return PendingStats.empty()
    dtype = exact_dtype(sums.terms.device)
    return PendingStats(
        counts=(num_anchors, num_triplets, num_mined, num_pairs, groups.num_negative_pairs),
        sums=torch.cat([sums.num_active.to(dtype).view(1), sums.distances.to(dtype)]),
    )
