import numpy as np
import pytest
import torch

from tercet.decisions import models
from tercet.decisions.models import LinearScores, NeighbourVote, nearest_of_label, nearest_rows
from tercet.decisions.spaces import spaces
from tests.decisions.data import blobs, rows_of


def _naive_vote(rows, ids, num_labels, query):
    similarity = rows @ query
    nearest = sorted(range(len(rows)), key=lambda row: -similarity[row])[:20]
    votes = np.zeros(num_labels)
    for row in nearest:
        votes[ids[row]] += np.exp((similarity[row] - similarity[nearest[0]]) / 0.05)
    return np.log(0.999 * votes / votes.sum() + 0.001 / num_labels)


@pytest.mark.parametrize("number", [1, 2, 19, 20, 21, 100])
def test_a_vote_of_neighbours_is_that_of_a_loop(number):
    x, ids = blobs(number, labels=4)
    data = rows_of(x, ids, 5)
    queries = spaces(torch.from_numpy(blobs(30, seed=1)[0])).embeddings
    found = NeighbourVote(rows=data.spaces.embeddings, label_ids=data.label_ids, num_labels=5).log_probabilities(
        queries
    )
    expected = [
        _naive_vote(data.spaces.embeddings.double().numpy(), ids, 5, query) for query in queries.double().numpy()
    ]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


def test_a_vote_in_blocks_is_the_same(monkeypatch):
    x, ids = blobs(90)
    data = rows_of(x, ids)
    vote = NeighbourVote(rows=data.spaces.embeddings, label_ids=data.label_ids, num_labels=3)
    at_once = vote.log_probabilities(data.spaces.embeddings)
    monkeypatch.setattr(models, "_BLOCK_VALUES", 1000)
    torch.testing.assert_close(vote.log_probabilities(data.spaces.embeddings), at_once, atol=1e-5, rtol=0)
    assert vote.log_probabilities(data.spaces.embeddings[:0]).shape == (0, 3)


def test_linear_scores_are_a_product_and_a_softmax():
    rng = np.random.default_rng(0)
    weights, bias, x = rng.normal(size=(3, 5)), rng.normal(size=3), rng.normal(size=(7, 5))
    found = LinearScores(weights=torch.tensor(weights), bias=torch.tensor(bias)).log_probabilities(torch.tensor(x))
    exponentials = np.exp(x @ weights.T + bias)
    np.testing.assert_allclose(found.exp(), exponentials / exponentials.sum(axis=1, keepdims=True))


def test_a_label_without_rows_has_probability_0():
    scores = LinearScores(weights=torch.zeros(2, 3), bias=torch.tensor([0.0, -torch.inf]))
    assert scores.log_probabilities(torch.ones(1, 3)).exp().tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("block", [50, 1 << 24])
@pytest.mark.parametrize("neighbours", [1, 5])
def test_nearest_rows_are_those_of_a_sort(monkeypatch, block, neighbours):
    monkeypatch.setattr(models, "_BLOCK_VALUES", block)
    x, ids = blobs(40, labels=4)
    rows = rows_of(x, ids).spaces.embeddings
    queries = spaces(torch.from_numpy(blobs(15, seed=1)[0])).embeddings
    similarity, numbers = nearest_rows(rows, queries, neighbours)
    expected = np.argsort(-(queries @ rows.T).numpy(), axis=1)[:, :neighbours]
    assert numbers.tolist() == expected.tolist()
    torch.testing.assert_close(similarity, (queries @ rows.T).gather(1, numbers))
    assert nearest_rows(rows, queries[:0], neighbours)[1].shape == (0, neighbours)
    assert nearest_rows(rows[:2], queries, 3)[1].shape == (15, 2)


@pytest.mark.parametrize("block", [50, 1 << 24])
def test_nearest_rows_of_a_label_are_those_of_a_loop(monkeypatch, block):
    monkeypatch.setattr(models, "_BLOCK_VALUES", block)
    x, _ = blobs(40)
    ids = np.array([0] * 30 + [1] * 8 + [2] * 2)
    data = rows_of(x, ids)
    queries = spaces(torch.from_numpy(blobs(15, seed=1)[0])).embeddings
    wanted = torch.arange(15) % 3
    similarity, numbers = nearest_of_label(data.spaces.embeddings, data.label_ids, queries, wanted, 5)
    for query in range(15):
        members = np.flatnonzero(ids == wanted[query].item())
        values = (data.spaces.embeddings[members] @ queries[query]).numpy()
        best = members[np.argsort(-values)][:5].tolist()
        assert numbers[query].tolist() == best + [-1] * (5 - len(best))
        assert similarity[query].isfinite().sum() == len(best)
        np.testing.assert_allclose(similarity[query, : len(best)], np.sort(values)[::-1][:5], atol=1e-6)
