"""Counts at several margins from one pass, against the losses at each margin."""

import numpy as np
import pytest
import torch

from tercet.inspection.active import count_active
from tercet.losses import miners as miners
from tercet.losses.functional import batch_loss_with_stats

_MARGINS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


def _batch(sizes, dim=6, seed=0):
    label_ids = torch.from_numpy(np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes)))
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(label_ids), dim, generator=generator) / 3 + torch.eye(len(sizes), dim)[
        label_ids
    ] / 2, label_ids


@pytest.mark.slow
@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize(
    "sizes",
    [(4,) * 16, (9, 7, 5, 2, 1), (300, 150, 40, 3, 1, 1), (2, 1), (64,) * 6, (3, 3)],
    ids=["P×K", "uneven", "uneven and of several blocks", "one pair", "even and of several blocks", "small"],
)
def test_counts_are_those_of_the_losses(sizes, distance):
    x, label_ids = _batch(sizes)
    x[1], x[len(x) // 2] = x[0], 0  # a copy, and a row without direction
    found = count_active(x, label_ids, _MARGINS, distance)
    for at, margin in enumerate(_MARGINS):
        for miner, counts, chosen in (
            (miners.all_triplets(margin), found.all_triplets, found.stats.valid_triplets),
            (miners.semi_hard(margin), found.semi_hard, found.stats.positive_pairs),
        ):
            seen = batch_loss_with_stats(x, label_ids, miner, distance)[1]
            assert (counts[at], chosen) == (seen.active_triplets, seen.mined_triplets)
            assert found.stats.mean_positive_distance == seen.mean_positive_distance
            assert found.stats.mean_negative_distance == seen.mean_negative_distance


def test_thresholds_that_are_met_exactly_are_not_active():
    """d(a,p) − d(a,n) of all triplets: 0, −1/4 and −1/2 and −3/4 twice, −1; of the semi-hard: −1/4 and −1/2 twice."""
    x, label_ids = torch.tensor([[0.0], [0.5], [1.0], [1.25]]), torch.tensor([0, 0, 1, 1])
    found = count_active(x, label_ids, (0.25, 0.5, 0.75), "euclidean")
    assert found.all_triplets == [1, 3, 5]
    assert found.semi_hard == [0, 2, 4]


@pytest.mark.parametrize("label_ids", [[0, 0, 0], [0, 1, 2], [0]])
def test_a_batch_without_a_triplet_has_none(label_ids):
    found = count_active(torch.randn(len(label_ids), 2), torch.tensor(label_ids), _MARGINS, "cosine")
    assert found.all_triplets == found.semi_hard == [0] * len(_MARGINS)
    assert found.stats.valid_triplets == 0
