"""Cross-batch memory: its content, and losses against loops over candidates that are no anchors."""

import pytest
import torch

from tercet import distances, losses
from tercet.errors import EmbeddingError
from tercet.losses.cross_batch_memory import CrossBatchMemory


def test_new_embeddings_replace_the_oldest():
    memory = CrossBatchMemory(5, 2)
    assert len(memory) == 0
    for start in range(0, 12, 3):
        rows = torch.arange(start, start + 3)
        memory.add(rows.unsqueeze(1).expand(3, 2).float(), rows)
        embeddings, labels = memory.contents()
        assert sorted(labels.tolist()) == list(range(max(0, start - 2), start + 3))
        assert torch.equal(embeddings[:, 0], labels.float())
    memory.add(torch.arange(20.0, 28).unsqueeze(1).expand(8, 2), torch.arange(20, 28))
    assert sorted(memory.contents()[1].tolist()) == [23, 24, 25, 26, 27]
    copy = CrossBatchMemory(5, 2)
    copy.load_state_dict(memory.state_dict())
    assert torch.equal(copy.contents()[1], memory.contents()[1])


def _by_loops(kind, x, y, candidates, labels, margin):
    """The loss of anchors `x`, which are the first candidates."""
    d = distances.matrix(x, candidates).tolist()
    terms = []
    for anchor, row in enumerate(d):
        positives = [row[c] for c in range(len(row)) if labels[c] == y[anchor] and c != anchor]
        negatives = [row[c] for c in range(len(row)) if labels[c] != y[anchor]]
        if not positives or not negatives:
            continue
        if kind is losses.BatchAllTripletLoss:
            terms += [p - n + margin for p in positives for n in negatives if p - n + margin > 0]
        elif kind is losses.BatchHardTripletLoss:
            terms.append(max(0, max(positives) - min(negatives) + margin))
        else:
            for p in positives:
                n = min((n for n in negatives if n > p), default=max(negatives))
                terms.append(max(0, p - n + margin))
    return sum(terms) / max(1, len(terms))


@pytest.mark.parametrize(
    "kind", [losses.BatchAllTripletLoss, losses.BatchHardTripletLoss, losses.BatchSemiHardTripletLoss]
)
def test_candidates_of_the_past_are_mined_and_get_no_gradient(kind):
    for seed in range(20):
        random = torch.Generator().manual_seed(seed)
        x = torch.randn(8, 4, generator=random, dtype=torch.float64, requires_grad=True)
        y = torch.randint(0, 4, (8,), generator=random)
        memory = CrossBatchMemory(10, 4).double()
        memory.add(
            torch.randn(10, 4, generator=random, dtype=torch.float64), torch.randint(0, 5, (10,), generator=random)
        )
        loss = kind(margin=0.7).compute_loss_from_embeddings(x, y, memory)
        candidates, labels = torch.cat([x, memory.contents()[0]]), torch.cat([y, memory.contents()[1]]).tolist()
        assert float(loss.detach()) == pytest.approx(_by_loops(kind, x, y.tolist(), candidates, labels, 0.7), rel=1e-9)
        loss.backward()
        assert x.grad.abs().sum() > 0
        assert memory.embeddings.grad is None


def test_an_empty_memory_changes_nothing_and_a_distance_function_takes_none():
    x, y = torch.randn(6, 3), torch.tensor([0, 0, 1, 1, 2, 2])
    memory = CrossBatchMemory(4, 3)
    loss = losses.BatchHardTripletLoss(margin=0.5)
    assert torch.equal(loss.compute_loss_from_embeddings(x, y, memory), loss.compute_loss_from_embeddings(x, y))
    memory.add(x[:4], y[:4])
    own = losses.BatchHardTripletLoss(distance_metric=torch.cdist, margin=0.5)
    with pytest.raises(EmbeddingError, match="for a cross-batch memory, pass the name of a distance"):
        own.compute_loss_from_embeddings(x, y, memory)
