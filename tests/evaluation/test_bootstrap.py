"""The paired bootstrap against a loop over rows, its properties, and how often its intervals hold the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tercet.evaluation.bootstrap import best_difference, mean_difference

_ROWS = st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=30)


def _parts(rows):
    correct = np.array(rows).T
    return correct[:2], correct[2:]


def _plain(first, second, num_resamples=4000, seed=0):
    """The same interval from resampled rows, each classifier averaged by itself."""
    num_first = len(first)
    rows = [list(row) for row in np.concatenate([first, second]).T]
    rows += [[True] * num_first + [False] * len(second), [False] * num_first + [True] * len(second)]

    def difference(drawn):
        accuracies = [sum(row[at] for row in drawn) / len(drawn) for at in range(len(rows[0]))]
        return max(accuracies[num_first:]) - max(accuracies[:num_first])

    rng = np.random.default_rng(seed)
    found = sorted(
        difference([rows[at] for at in rng.integers(len(rows), size=len(rows))]) for _ in range(num_resamples)
    )
    centre = difference(rows)
    return 2 * centre - found[int(0.975 * num_resamples)], 2 * centre - found[int(0.025 * num_resamples)]


@pytest.mark.slow
def test_it_is_the_bootstrap_over_rows():
    rng = np.random.default_rng(1)
    easy = rng.random(60)
    first, second = (np.stack([easy + 0.3 * rng.random(60) < limit for limit in limits]) for limits in
                     ((0.8, 0.9), (0.95, 1.0, 0.9)))  # fmt: skip
    found = best_difference(first, second)
    low, high = _plain(first, second)
    assert abs(found.low - low) < 0.02
    assert abs(found.high - high) < 0.02
    assert abs(found.difference - (second.mean(1).max() - first.mean(1).max())) < 1e-12


@settings(max_examples=30)
@given(_ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_classifiers_does_not_count(rows, random):
    found = best_difference(*_parts(rows), num_resamples=300)
    random.shuffle(rows)
    assert best_difference(*_parts(rows), num_resamples=300) == found
    assert found.low <= found.high
    assert -1 <= found.difference <= 1


@pytest.mark.slow
@settings(max_examples=30)
@given(_ROWS)
def test_exchanged_encoders_give_the_opposite(rows):
    first, second = _parts(rows)
    found, other = best_difference(first, second), best_difference(second, first)
    assert abs(found.difference + other.difference) < 1e-12
    step = 1 / (len(rows) + 2) + 1e-9  # Other draws may move a quantile by one row.
    assert abs(found.low + other.high) <= step
    assert abs(found.high + other.low) <= step


@settings(max_examples=20)
@given(_ROWS)
def test_equal_predictions_are_no_difference(rows):
    first, _ = _parts(rows)
    found = best_difference(first, first)
    assert found.difference == 0
    assert found.low <= 0 <= found.high


def test_few_rows_are_no_proof_and_many_are():
    """The limits are near those of the exact test of McNemar: 4 of 10 has p = 0.125, 6 of 10 has p = 0.03."""
    for gained, beyond in ((4, False), (6, True)):
        first, second = np.zeros((1, 10), dtype=bool), np.arange(10)[None] < gained
        assert (best_difference(first, second).low > 0) == beyond
    found = best_difference(np.arange(1000)[None] < 900, np.arange(1000)[None] < 920)
    assert 0.01 < found.low < 0.02 < found.high < 0.03


@pytest.mark.slow
def test_the_best_of_three_equal_classifiers_is_not_better():
    """A clear best one against three equal ones, 200 times: at most 2.5 % of the intervals may be above 0, and a few
    more by chance. Intervals that ignore the choice are above 0 in about 12 %."""
    rng = np.random.default_rng(0)
    above = 0
    for _ in range(200):
        base = rng.random((1, 400))
        first = 0.8 * base + 0.2 * rng.random((3, 400)) < np.array([[0.85], [0.6], [0.6]])
        second = 0.8 * base + 0.2 * rng.random((3, 400)) < 0.85
        above += best_difference(first, second, num_resamples=1000).low > 0
    assert above <= 14


def test_the_interval_of_a_mean_is_that_of_the_bootstrap():
    rng = np.random.default_rng(0)
    first = rng.random(500)
    second = np.clip(first + 0.05 * rng.normal(size=500) + 0.02, 0, 1)
    found, differences = mean_difference(first, second), np.append(second - first, [1, -1])
    drawn = differences[rng.integers(len(differences), size=(4000, len(differences)))].mean(axis=1)
    np.testing.assert_allclose([found.low, found.high], np.quantile(drawn, [0.025, 0.975]), atol=1e-3)
    assert found.difference == (second - first).mean()
