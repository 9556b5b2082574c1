"""A batch loss from outside of Tercet: one method that returns a miner."""

import pytest
import torch

from tercet import distances, losses
from tercet.losses import functional
from tercet.losses.miners import MinedBlock, Miner
from tests.losses.helpers import gradient, healthy_batch


class NearestPairLoss(losses.BatchLoss):
    """The nearest positive and the nearest negative of each anchor."""

    def miner(self):
        return Miner(self.mine, mean_over="anchors")

    def mine(self, block):
        positive, position = block.positives_or(torch.inf).min(1, keepdim=True)
        negative, column = block.negatives.min(1, keepdim=True)
        hinge = (positive - negative + self.margin).relu()
        active = hinge.sign()
        return MinedBlock(
            terms=hinge.squeeze(1),
            candidate_index=torch.cat([block.candidate_index.gather(1, position), column], 1),
            distances=torch.cat([positive, negative], 1),
            weights=torch.cat([active, -active], 1),
            num_active=active,
        )


@pytest.mark.parametrize("distance", ["euclidean", "cosine", "manhattan"])
def test_values_and_gradients_are_those_of_the_formula(distance):
    for seed in range(10):
        x, labels = healthy_batch(seed)
        d = distances.matrix(x, x, distance)
        same = labels.unsqueeze(1) == labels
        positive = same & ~torch.eye(len(x), dtype=torch.bool)
        nearest_positive = d.masked_fill(~positive, torch.inf).amin(1)
        hinges = (nearest_positive - d.masked_fill(same, torch.inf).amin(1) + 0.5).relu()
        loss = NearestPairLoss(None, distance, 0.5)
        loss.collect_stats = True
        value = loss.compute_loss_from_embeddings(x, labels)
        torch.testing.assert_close(value, hinges.mean())
        torch.testing.assert_close(gradient(value, x), gradient(hinges.mean(), x))
        assert loss.stats.active_triplets == int((hinges > 0).sum())
        assert loss.stats.mined_triplets == len(x)


def test_a_loss_without_a_miner_says_what_to_override():
    class NoMiner(losses.BatchLoss):
        pass

    with pytest.raises(NotImplementedError, match=r"NoMiner must override miner\(\)"):
        NoMiner().compute_loss_from_embeddings(torch.randn(4, 2), [0, 0, 1, 1])


@pytest.mark.parametrize(
    ("miner", "expected"),
    [
        (losses.miners.all_triplets(0.5), 3),
        (losses.miners.semi_hard(0.5), 1),
        (losses.miners.hard(0.5), 2),
        (losses.miners.hard_soft_margin(), 2),
    ],
    ids=["all", "semi-hard", "hard", "soft-margin"],
)
def test_active_triplets_are_counted_by_the_miner(miner, expected):
    """Positions 0, 1 | 2, 4: the gaps d(a,p) − d(a,n) are −1, −3 | 0, −2 | 0, 1 | −2, −1."""
    x = torch.tensor([[0.0], [1.0], [2.0], [4.0]])
    stats = functional.batch_loss_with_stats(x, [0, 0, 1, 1], miner)[1]
    assert stats.active_triplets == expected
