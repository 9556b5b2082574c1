"""Confused labels and near-duplicates, against loops over all pairs."""

from itertools import combinations, pairwise

import numpy as np
import pytest
import torch

from tercet.inspection.confusion import MIN_SIMILARITY, confused_labels, near_duplicates
from tercet.inspection.label_issues.neighbours import Neighbours, find_neighbours
from tercet.inspection.label_issues.score import LabelLogOdds, compute_log_odds
from tercet.inspection.texts import Example


def _examples(label_ids):
    return [Example(row=row, text=f"text {row}", label="abcde"[label_id]) for row, label_id in enumerate(label_ids)]


def _rows(pair):
    return [example.row for example in pair.examples]


def test_pairs_of_labels_are_counted_both_ways():
    label_ids = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])
    log_odds = torch.tensor([0.5, 2.0, -1.0, 1.0, -3.0, torch.nan, 0.1, 0.0])
    suggested = torch.tensor([1, 1, 1, 0, 2, -1, 1, 0])
    scores = LabelLogOdds(log_odds=log_odds, suggested=suggested, neighbours=None)
    pairs = confused_labels(scores, _examples(label_ids), label_ids.numpy(), "abc")
    assert [(pair.labels, pair.issues, _rows(pair)) for pair in pairs] == [
        (("a", "b"), (2, 1), [1, 3]),
        (("b", "c"), (0, 1), [6]),
    ]
    assert [pair.fraction for pair in pairs] == pytest.approx([3 / 6, 1 / 5])


def test_every_label_issue_is_in_one_pair():
    label_ids = np.random.default_rng(0).integers(0, 5, 200)
    scores = compute_log_odds(torch.randn(200, 4), torch.from_numpy(label_ids), torch.arange(200) % 10)
    pairs = confused_labels(scores, _examples(label_ids), label_ids, "abcde")
    ranked = scores.ranked().tolist()
    expected = {}
    for row in ranked:
        pair = tuple(sorted(("abcde"[label_ids[row]], "abcde"[scores.suggested[row]])))
        expected[pair] = expected.get(pair, 0) + 1
    assert {pair.labels: sum(pair.issues) for pair in pairs} == expected
    assert [sum(pair.issues) for pair in pairs] == sorted(expected.values(), reverse=True)
    for pair in pairs:
        for row in _rows(pair):
            kind = (label_ids[row], scores.suggested[row])
            assert row == next(r for r in ranked if (label_ids[r], scores.suggested[r]) == kind)


def test_near_duplicates_have_a_similarity_of_at_least_095():
    similarity = torch.tensor([0.94, 0.9501, -torch.inf, 0.96])
    neighbours = Neighbours(
        similarity=torch.zeros(4, 1),
        row=torch.zeros(4, 1),
        other_similarity=similarity,
        other_row=torch.tensor([1, 2, 0, 0]),
    )
    scores = LabelLogOdds(log_odds=torch.zeros(4), suggested=torch.zeros(4), neighbours=neighbours)
    copies = near_duplicates(scores, _examples([0, 1, 2, 3]))
    assert [(copy.first.row, copy.second.row) for copy in copies] == [(0, 3), (1, 2)]


def test_near_duplicates_are_the_nearest_to_one_of_the_two():
    generator = torch.Generator().manual_seed(1)
    x = torch.nn.functional.normalize(torch.randn(60, 2, generator=generator))
    label_ids, texts = torch.arange(60) % 3, torch.arange(60) // 2
    neighbours = find_neighbours(x, label_ids, torch.zeros_like(label_ids), texts, 1)
    scores = LabelLogOdds(log_odds=torch.zeros(60), suggested=label_ids, neighbours=neighbours)
    copies = near_duplicates(scores, _examples(label_ids))
    similarity = x @ x.T

    def others(i):
        return [j for j in range(60) if label_ids[i] != label_ids[j] and texts[i] != texts[j]]

    nearest = [max(others(i), key=lambda j: similarity[i, j]) for i in range(60)]
    expected = {
        (i, j)
        for i, j in combinations(range(60), 2)
        if (nearest[i] == j or nearest[j] == i) and similarity[i, j] >= MIN_SIMILARITY
    }
    assert {(copy.first.row, copy.second.row) for copy in copies} == expected
    assert len(copies) == len(expected) > 5
    assert all(a.similarity >= b.similarity for a, b in pairwise(copies))
    assert all(copy.similarity <= 1 for copy in copies)
