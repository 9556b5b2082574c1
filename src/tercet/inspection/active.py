"""Count the triplets of a batch that are active at each of several margins.

A triplet is active if d(a,p) − d(a,n) + margin is above 0. Neither the distances nor the semi-hard negatives depend on
the margin, so they are computed once for all margins. The distances are computed in the same blocks as in the loss,
which limits the memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tercet.losses import miners as miners
from tercet.losses._engine.stats import LossStats
from tercet.losses.functional import batch_loss_with_stats


@dataclass(frozen=True, kw_only=True)
class ActiveCounts:
    """The numbers of active triplets of a batch.

    Attributes:
        all_triplets: the number of active triplets at each margin.
        semi_hard: the number of active ones at each margin among the triplets that semi-hard mining selects: one for
            each pair of an anchor and a positive.
        stats: the statistics of the batch, mined semi-hard with margin 0.
    """

    all_triplets: list[int]
    semi_hard: list[int]
    stats: LossStats


def count_active(embeddings: Tensor, labels: Tensor, margins: Sequence[float], distance: str) -> ActiveCounts:
    """Count the active triplets at each margin.

    Args:
        embeddings: the embeddings `(batch, dim)` of a batch.
        labels: the label ids `(batch,)`.
        margins: the margins.
        distance: the name of a distance.
    """
    miner = miners.semi_hard(margin=0.0)
    counts = [torch.zeros(2, len(margins), dtype=torch.int64, device=embeddings.device)]

    def mine(block: miners.DistanceBlock) -> miners.MinedBlock:
        mined = miner.mine(block)
        counts.append(_count_in_block(block, mined, margins))
        return mined

    _, stats = batch_loss_with_stats(embeddings, labels, replace(miner, mine=mine), distance)
    all_triplets, semi_hard = torch.stack(counts).sum(0).tolist()
    return ActiveCounts(all_triplets=all_triplets, semi_hard=semi_hard, stats=stats)


def _count_in_block(block: miners.DistanceBlock, mined: miners.MinedBlock, margins: Sequence[float]) -> Tensor:
    """Return the numbers `(2, num_margins)` of active triplets: all triplets in row 0, semi-hard ones in row 1."""
    assert mined.gaps is not None
    ascending = block.negatives.sort(1).values
    positives = block.positives.contiguous()
    counts = []
    for margin in margins:
        active = torch.stack([torch.searchsorted(ascending, positives + margin), mined.gaps + margin > 0])
        counts.append((active if block.padding_mask is None else active.masked_fill(block.padding_mask, 0)).sum((1, 2)))
    return torch.stack(counts, 1)
