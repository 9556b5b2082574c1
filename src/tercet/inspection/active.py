"""How many triplets of a batch are active at each of several margins, from one pass over its distances.

A triplet is active where d(a,p) − d(a,n) + margin is above 0. The distances do not depend on the margin, and no more
do the negatives that the semi-hard miner chooses, so the engine of the losses finds both once; its blocks of anchors
keep the memory of a large batch small.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tercet.losses import miners as miners
from tercet.losses._engine.stats import LossStats
from tercet.losses.functional import batch_loss_with_stats


@dataclass(frozen=True)
class ActiveCounts:
    """What a batch holds.

    Attributes:
        all_triplets: how many of all triplets are active, by margin.
        semi_hard: … of those that the semi-hard miner chooses, one for every pair of anchor and positive.
        statistics: of the semi-hard miner at margin 0.
    """

    all_triplets: list[int]
    semi_hard: list[int]
    statistics: LossStats


def count_active(embeddings: Tensor, labels: Tensor, margins: Sequence[float], distance: str) -> ActiveCounts:
    """Count for a batch `(batch, dim)` with labels `(batch,)` what the losses at these margins would count."""
    miner = miners.semi_hard(margin=0.0)
    counts = [torch.zeros(2, len(margins), dtype=torch.int64, device=embeddings.device)]

    def mine(block: miners.DistanceBlock) -> miners.MinedBlock:
        mined = miner.mine(block)
        counts.append(_of_block(block, mined, margins))
        return mined

    _, statistics = batch_loss_with_stats(embeddings, labels, replace(miner, mine=mine), distance)
    all_triplets, semi_hard = torch.stack(counts).sum(0).tolist()
    return ActiveCounts(all_triplets, semi_hard, statistics)


def _of_block(block: miners.DistanceBlock, mined: miners.MinedBlock, margins: Sequence[float]) -> Tensor:
    """Active triplets among all and among the semi-hard ones, `(2, margins)`."""
    gap = mined.gaps
    assert gap is not None
    ascending = block.negatives.sort(1).values
    counts = []
    for margin in margins:
        nearer = torch.searchsorted(ascending, block.positives + margin)
        active = torch.stack([nearer, gap + margin > 0])
        counts.append((active if block.padding_mask is None else active.masked_fill(block.padding_mask, 0)).sum((1, 2)))
    return torch.stack(counts, 1)
