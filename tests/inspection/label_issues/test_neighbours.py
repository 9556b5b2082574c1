"""Neighbours and votes against dense matrices in numpy, for blocks of any size."""

import numpy as np
import pytest
import torch

from tercet.inspection.label_issues.neighbours import Neighbours, centred, find_neighbours, vote


def _data(seed=0, n=23, labels=4, folds=3):
    rng = np.random.default_rng(seed)
    x = centred(torch.from_numpy(rng.normal(size=(n, 5))))
    texts = rng.integers(0, n, n)
    return (x, *(torch.from_numpy(part) for part in (rng.integers(0, labels, n), texts % folds, texts)))


def test_centred_rows_have_no_mean_and_length_1():
    x = centred(torch.randn(40, 6, dtype=torch.float64) * 7 + 100)
    assert x.mean(0).abs().max() < 1e-5
    assert x.square().sum(1).mean() == pytest.approx(1, abs=1e-4)
    assert not centred(torch.full((5, 3), 0.1)).any()
    assert not centred(torch.zeros(2, 3)).any()


@pytest.mark.parametrize("scale", [1e-30, 1e25, 1e38])
def test_values_whose_squares_do_not_fit_are_centred_like_others(scale):
    x = torch.nn.functional.normalize(torch.randn(40, 6, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(centred(x * scale), centred(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(centred(x.double() * 1e200), centred(x), atol=1e-5, rtol=1e-5)
    assert not centred(torch.full((5, 3), 0.1 * scale)).any()


@pytest.mark.parametrize("block_bytes", [1, 16 * 23 * 5, 2**20])
@pytest.mark.parametrize("k", [1, 6, 50])
def test_neighbours_are_those_of_the_complete_matrix(block_bytes, k):
    x, label_ids, folds, texts = _data()
    found = find_neighbours(x, label_ids, folds, texts, k, block_bytes=block_bytes)
    rows = x.double().numpy()
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    similarity = rows @ rows.T
    for i in range(len(x)):
        elsewhere = [j for j in range(len(x)) if folds[j] != folds[i]]
        nearest = sorted(elsewhere, key=lambda j: -similarity[i, j])[:k]
        real = found.similarity[i].isfinite()
        assert found.row[i][real].tolist() == nearest
        np.testing.assert_allclose(found.similarity[i][real], similarity[i, nearest], atol=1e-6)
        assert found.similarity.shape[1] == min(k, len(x))
        others = [j for j in range(len(x)) if label_ids[j] != label_ids[i] and texts[j] != texts[i]]
        assert found.other_row[i] == max(others, key=lambda j: similarity[i, j])
        assert found.other_similarity[i] == pytest.approx(similarity[i, others].max(), abs=1e-6)


def test_copies_under_two_labels_are_not_each_others_other_row():
    x = centred(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.9, 0.3], [0.0, 1.0]]))
    label_ids, folds = torch.tensor([0, 1, 1, 0]), torch.tensor([0, 0, 1, 1])
    found = find_neighbours(x, label_ids, folds, torch.tensor([0, 0, 1, 2]), 1)
    assert found.other_row[:2].tolist() == [2, 3]


def test_where_there_is_no_neighbour():
    x, one = centred(torch.randn(3, 2)), torch.zeros(3, dtype=torch.long)
    found = find_neighbours(x, one, one, torch.arange(3), 2)
    assert found.similarity.eq(-torch.inf).all()
    assert found.other_similarity.eq(-torch.inf).all()
    assert not vote(found, torch.arange(3), one, 2, 0.05).any()


def test_a_vote_is_weighted_by_similarity():
    similarity = torch.tensor([[0.9, 0.8, 0.1, -torch.inf], [0.5, 0.5, -torch.inf, -torch.inf]])
    row, label_ids = torch.tensor([[0, 1, 2, 3], [3, 2, 0, 0]]), torch.tensor([2, 0, 2, 1])
    nothing = torch.zeros(2)
    neighbours = Neighbours(similarity=similarity, row=row, other_similarity=nothing, other_row=nothing)
    fractions = vote(neighbours, torch.tensor([1, 0]), label_ids, 3, temperature=0.1)
    e = np.exp([0.9 / 0.1, 0.8 / 0.1, 0.1 / 0.1])
    np.testing.assert_allclose(fractions[1], np.array([e[1], 0, e[0] + e[2]]) / e.sum(), rtol=1e-5)
    np.testing.assert_allclose(fractions[0], [0, 0.5, 0.5], rtol=1e-6)
