"""Neighbours, triplets and sampled pairs against plain loops over all pairs."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tercet.report.neighbours import (
    LabelRecall,
    confused_pairs,
    find_neighbourhood,
    hardest_triplets,
    recall_per_label,
    sample_distances,
)


def plain_distance(x, i, j, distance):
    if distance == "cosine":
        return 1 - float(torch.nn.functional.cosine_similarity(x[i], x[j], dim=0))
    return float(torch.linalg.vector_norm(x[i] - x[j], ord=1 if distance == "manhattan" else 2))


def whole_numbers(rows, dim, seed=0):
    """Points on a coarse grid: many ties, and distances that every way of computing gives alike."""
    return torch.from_numpy(np.random.default_rng(seed).integers(-2, 3, (rows, dim))).double()


# The product form orders equal distances by rounding alone, so ties are for the two distances that add differences.
@pytest.mark.parametrize(("distance", "grid"), [("euclidean", False), ("cosine", False), ("manhattan", True)])
@pytest.mark.parametrize("block_bytes", [1, 2000, 10**9])
def test_neighbourhood_is_what_loops_find(distance, grid, block_bytes):
    x = whole_numbers(37, 3) if grid else torch.randn(37, 5, dtype=torch.float64)
    label_ids = np.random.default_rng(1).integers(0, 6, 37)
    label_ids[5] = 9  # alone under its label
    found = find_neighbourhood(x, label_ids, distance, block_bytes=block_bytes)
    for i in range(37):
        d = [plain_distance(x, i, j, distance) for j in range(37)]
        others = [j for j in range(37) if j != i]
        positives = [j for j in others if label_ids[j] == label_ids[i]]
        negatives = [j for j in others if label_ids[j] != label_ids[i]]
        assert found.nearest[i] == min(others, key=lambda j: (d[j], j))
        assert found.negative[i] == min(negatives, key=lambda j: (d[j], j))
        assert found.negative_distance[i] == pytest.approx(min(d[j] for j in negatives), abs=1e-7)
        if positives:
            assert found.positive[i] == min(positives, key=lambda j: (-d[j], j))
            assert found.positive_distance[i] == pytest.approx(max(d[j] for j in positives), abs=1e-7)
        else:
            assert found.positive[i] == -1
            assert np.isnan(found.positive_distance[i])


def test_recall_confusion_and_triplets_are_what_their_definitions_say():
    x = torch.tensor([[0.0], [1.0], [1.5], [10.0], [11.0], [12.4], [30.0]])
    label_ids = np.array([0, 0, 1, 1, 2, 2, 3])
    found = find_neighbourhood(x, label_ids, "euclidean")
    # nearest:      1    2    1    4    3    4    5; row 6 is alone under its label, so it is no label to recall
    assert found.nearest.tolist() == [1, 2, 1, 4, 3, 4, 5]
    assert recall_per_label(found, label_ids) == [
        LabelRecall(label_id=1, sentences=2, recall=0.0),
        LabelRecall(label_id=0, sentences=2, recall=0.5),
        LabelRecall(label_id=2, sentences=2, recall=0.5),
    ]
    assert confused_pairs(found, label_ids) == [
        ((0, 1), [(1, 2), (2, 1)]), ((1, 2), [(3, 4), (4, 3)]), ((2, 3), [(6, 5)]),
    ]  # fmt: skip
    first, second = hardest_triplets(found, 2)
    assert (first.anchor, first.positive, first.negative) == (2, 3, 1)
    assert first.gap == pytest.approx(8.5 - 0.5)
    assert (second.anchor, second.positive, second.negative) == (3, 2, 4)
    assert [t.anchor for t in hardest_triplets(found, 100)] == [2, 3, 1, 4, 0, 5]


def test_one_label_or_labels_of_one_sentence_have_no_triplet():
    x = torch.randn(4, 3)
    assert hardest_triplets(find_neighbourhood(x, np.zeros(4, int), "euclidean"), 5) == []
    assert hardest_triplets(find_neighbourhood(x, np.arange(4), "euclidean"), 5) == []
    assert recall_per_label(find_neighbourhood(x, np.arange(4), "euclidean"), np.arange(4)) == []
    positives, negatives = sample_distances(x, np.zeros(4, int), "euclidean", 10)
    assert (len(positives), len(negatives)) == (10, 0)
    positives, negatives = sample_distances(x, np.arange(4), "euclidean", 10)
    assert (len(positives), len(negatives)) == (0, 10)


@pytest.mark.slow
@given(st.lists(st.integers(0, 4), min_size=2, max_size=12))
def test_sampled_pairs_are_pairs_and_the_same_each_time(labels):
    label_ids = np.unique(labels, return_inverse=True)[1]
    x = torch.randn(len(label_ids), 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    n = len(label_ids)
    pairs = {True: set(), False: set()}
    for i in range(n):
        for j in range(n):
            if i != j:
                pairs[bool(label_ids[i] == label_ids[j])].add(round(plain_distance(x, i, j, "euclidean"), 9))
    samples = sample_distances(x, label_ids, "euclidean", 50)
    for same, sample in zip((True, False), samples, strict=True):
        assert {round(d, 9) for d in sample.tolist()} <= pairs[same]
        assert len(sample) == (50 if pairs[same] else 0)
    again = sample_distances(x, label_ids, "euclidean", 50)
    assert all(np.array_equal(a, b) for a, b in zip(samples, again, strict=True))


def test_every_pair_is_drawn_equally_often():
    """Labels of 4, 2 and 1 sentences have 6 + 1 positive pairs and 14 negative ones."""
    label_ids = np.array([0, 1, 0, 0, 2, 1, 0])
    x = torch.randn(7, 3, dtype=torch.float64)
    for sample, number in zip(sample_distances(x, label_ids, "euclidean", 30_000), (7, 14), strict=True):
        counts = np.unique(sample.round(9), return_counts=True)[1]
        assert len(counts) == number
        assert counts == pytest.approx(30_000 / number, rel=0.1)
