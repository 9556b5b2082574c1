"""The loss of nested labels: a weighted sum of batch losses, one for each level, from the same blocks of distances.

Each level has its own relation, miner and number of terms. A block is computed once, and each level mines its own copy.
If the numbers of terms are known before mining, the weights are divided by them and added up before they become
gradients. If a miner divides by the number of active triplets, which is known only after the last block, the gradients
of the levels are accumulated separately.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tercet.distances import DistanceLike
from tercet.losses._engine.distance_sources import DistanceSource
from tercet.losses._engine.engine import (
    Sums,
    block_of,
    check_uses_weights,
    gradients_of,
    num_terms,
    stats_of,
    with_gradients,
)
from tercet.losses._engine.inputs import Anchors, prepare
from tercet.losses._engine.label_groups import SelfColumns
from tercet.losses._engine.precision import full_precision, no_autocast
from tercet.losses._engine.stats import PendingStats, sum_distances
from tercet.losses.miners import MinedBlock, Miner
from tercet.losses.relations import Grouping, Relation


@dataclass(frozen=True, kw_only=True)
class Level:
    """One term of the loss.

    Attributes:
        relation: which candidates are the positives of an anchor.
        miner: the rule that selects triplets.
        weight: the factor of the mean of the terms.
    """

    relation: Relation
    miner: Miner
    weight: float = 1.0


def loss_of_levels(
    embeddings: Tensor,
    labels: Tensor,
    levels: Sequence[Level],
    distance: DistanceLike = "euclidean",
    *,
    anchors: Anchors | None = None,
    reduce_count: Callable[[Tensor], Tensor] | None = None,
    with_stats: bool = False,
    block_bytes: int | None = None,
    block_rows: int | None = None,
) -> tuple[Tensor, list[PendingStats]]:
    """Return the weighted sum of the losses of the levels, and the statistics of each level if `with_stats` is True.

    The other arguments and the errors are those of `engine.batch_loss_with_pending_stats`.
    """
    inputs = prepare(embeddings, labels, distance, anchors, block_bytes, block_rows)
    needs_gradient, device_type = inputs.needs_gradient, embeddings.device.type
    with torch.no_grad(), no_autocast(device_type), full_precision(device_type):
        groups = [inputs.group(level.relation) for level in levels]
        index = torch.arange(len(labels)) if anchors is None else anchors.self_index
        union = _Union.of(groups, index.to(embeddings.device), all_candidates=anchors is None)
        source = inputs.source(union.anchor_index)
        counts = [
            None if level.miner.mean_over == "active"
            else num_terms(level.miner, part, Sums(torch.zeros(())), reduce_count)
            for level, part in zip(levels, groups, strict=True)
        ]  # fmt: skip
        factors = [level.weight / count for level, count in zip(levels, counts, strict=True) if count is not None]
        joined = len(factors) == len(levels)
        sources = [source, *([] if joined else (source.with_own_gradients() for _ in levels[1:]))]
        all_sums = _mine(
            sources, union, levels, inputs.max_rows, factors if joined else None, needs_gradient=needs_gradient,
            with_stats=with_stats,
        )  # fmt: skip
        total = torch.zeros((), dtype=source.dtype, device=embeddings.device)
        gradients: list[Tensor] = []
        for number, (level, part, sums) in enumerate(zip(levels, groups, all_sums, strict=True)):
            count = counts[number]
            count = num_terms(level.miner, part, sums, reduce_count) if count is None else count
            total += sums.terms * level.weight / count
            if needs_gradient and not joined:
                found = gradients_of(sources[number], union.anchor_index, inputs.tensors)
                scaled = [gradient * level.weight / count for gradient in found]
                gradients = [a + b for a, b in zip(gradients, scaled, strict=True)] if gradients else scaled
        if needs_gradient and joined:
            gradients = gradients_of(source, union.anchor_index, inputs.tensors)
    loss = with_gradients(total, 1, gradients, inputs.tensors) if needs_gradient else total
    if not with_stats:
        return loss, []
    per_level = zip(levels, groups, all_sums, strict=True)
    return loss, [stats_of(level.miner, part, sums) for level, part, sums in per_level]


@dataclass(frozen=True, kw_only=True)
class _Union:
    """The anchors that have a triplet at one level at least.

    Attributes:
        groups: the grouping of each level.
        anchor_index: `(A,)`, the indices of the anchors, in ascending order of their number of positives at all levels;
            None if these are all candidates in their order.
        self_index: `(A,)`, the index of each anchor among the candidates; −1 if it is not a candidate.
        position: `(levels, A)`, the position of each anchor in the grouping of each level; −1 if it has no triplet
            there.
    """

    groups: Sequence[Grouping]
    anchor_index: Tensor | None
    self_index: Tensor
    position: Tensor

    @classmethod
    def of(cls, groups: Sequence[Grouping], self_index: Tensor, *, all_candidates: bool) -> "_Union":
        """Return the union.

        Args:
            groups: the grouping of each level.
            self_index: `(num_anchors,)`, that of all anchors, with and without a triplet.
            all_candidates: whether the anchors are the candidates, in their order.
        """
        position = torch.full((len(groups), len(self_index)), -1, device=self_index.device)
        num_positives = torch.zeros_like(self_index)
        for row, part in zip(position, groups, strict=True):
            index = slice(None) if part.anchor_index is None else part.anchor_index
            row[index] = torch.arange(len(part), device=row.device)
            num_positives[index] += part.num_positives
        kept = (position >= 0).any(0).nonzero().flatten()
        if all_candidates and len(kept) == len(self_index) and int(num_positives.min()) == int(num_positives.max()):
            # In their own order, the anchors are the candidates, which saves a product of the gradient.
            return cls(groups=groups, anchor_index=None, self_index=self_index, position=position)
        kept = kept[num_positives[kept].argsort(stable=True)]
        return cls(groups=groups, anchor_index=kept, self_index=self_index[kept], position=position[:, kept])

    def self_columns(self, rows: slice) -> SelfColumns:
        index = self.self_index[rows, None]
        return SelfColumns(index) if int(index.min()) >= 0 else SelfColumns(index.clamp(min=0), index < 0)


def _mine(
    sources: Sequence[DistanceSource],
    union: _Union,
    levels: Sequence[Level],
    max_rows: int,
    factors: Sequence[Tensor | float] | None,
    *,
    needs_gradient: bool,
    with_stats: bool,
) -> list[Sums]:
    """Mine every level block by block, and return the sums of each level.

    Args:
        sources: the source of the distances, and with separate gradients one for each level.
        union: the anchors.
        levels: the levels.
        max_rows: the number of anchors per block.
        factors: the factor of the terms of each level, to add up the weights of a block; None for separate gradients.
        needs_gradient: whether to accumulate gradients.
        with_stats: whether to sum distances.
    """
    all_sums = [Sums(torch.zeros((), dtype=sources[0].dtype, device=union.self_index.device)) for _ in levels]
    for start in range(0, len(union.self_index), max_rows):
        rows = slice(start, min(start + max_rows, len(union.self_index)))
        distances = sources[0].distances(rows, union.self_columns(rows))
        to_join: list[tuple[MinedBlock, Tensor, Tensor | float]] = []
        for number, level in enumerate(levels):
            source = sources[0] if factors is not None else sources[number]
            position = union.position[number, rows]
            counted = (position >= 0).nonzero().flatten()
            if not len(counted):
                continue
            groups, is_complete = union.groups[number].take(position[counted]), len(counted) == len(position)
            # The block overwrites its distances. Selected rows are a copy; the last level needs none.
            own = distances if is_complete else distances[counted]
            own = own.clone() if is_complete and number < len(levels) - 1 else own
            block = block_of(own, groups, slice(0, len(counted)), source)
            check_uses_weights(level.miner, block)
            mined = level.miner.mine(block)
            terms, num_active, sum_of_distances = all_sums[number]
            all_sums[number] = Sums(
                terms + mined.terms.sum(),
                num_active + mined.num_active.sum(dtype=torch.int64),
                sum_of_distances + sum_distances(block) if with_stats else 0,
            )
            if not needs_gradient:
                continue
            mined = mined if is_complete else _spread_block(mined, counted, len(position))
            negatives = block.negatives
            if not is_complete and (factors is None or mined.negative_weights is not None):
                negatives = _spread(negatives, counted, len(position), block.masked_value)
            if factors is None:
                source.add_weights(rows, negatives, mined)
            else:
                to_join.append((mined, negatives, factors[number]))
        if to_join:
            sources[0].add_weights(rows, *_joined(to_join, distances))
    return all_sums


def _joined(parts: Sequence[tuple[MinedBlock, Tensor, Tensor | float]], scratch: Tensor) -> tuple[Tensor, MinedBlock]:
    """Add up the weights of the levels of a block.

    Args:
        parts: of each level its output, its negatives `(m, C)`, and the factor of its terms.
        scratch: `(m, C)`, a tensor that may be overwritten.

    Returns:
        The negatives, and the output of all levels together. A candidate that several levels list is there as often.
    """
    mined = parts[0][0]._replace(
        candidate_index=torch.cat([block.candidate_index for block, _, _ in parts], 1),
        distances=torch.cat([block.distances for block, _, _ in parts], 1),
        weights=torch.cat([block.weights * factor for block, _, factor in parts], 1),
        negative_weights=None,
    )
    negatives = scratch
    for block, own, factor in parts:
        if block.negative_weights is None:
            continue
        weights = block.negative_weights * factor
        if mined.negative_weights is not None:
            # A masked entry of a level has the largest value, and its weight is 0.
            own, weights = torch.minimum(negatives, own), mined.negative_weights + weights
        negatives, mined = own, mined._replace(negative_weights=weights)
    return negatives, mined


def _spread_block(mined: MinedBlock, index: Tensor, num_rows: int) -> MinedBlock:
    """Return the output of a miner for `num_rows` anchors, of which it mined those with the given index."""
    return MinedBlock(
        terms=_spread(mined.terms, index, num_rows),
        candidate_index=_spread(mined.candidate_index, index, num_rows),
        distances=_spread(mined.distances, index, num_rows, 1.0),  # The weights are divided by the distances.
        weights=_spread(mined.weights, index, num_rows),
        num_active=mined.num_active,
        negative_weights=None if mined.negative_weights is None else _spread(mined.negative_weights, index, num_rows),
    )


def _spread(part: Tensor, index: Tensor, num_rows: int, value: float = 0.0) -> Tensor:
    """Return `part` `(n, …)` as the given rows of a tensor with `num_rows` rows; the others hold `value`."""
    return part.new_full((num_rows, *part.shape[1:]), value).index_copy_(0, index, part)
