import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from tercet.decisions import thresholds
from tercet.decisions.promise import Promise, measure
from tercet.decisions.thresholds import best_precision, choose_threshold, interval, lower_bound, threshold_for_coverage


@pytest.mark.parametrize(("right", "rows"), [(0, 1), (1, 1), (0, 30), (7, 30), (29, 30), (30, 30), (990, 1000)])
def test_bounds_are_those_of_clopper_and_pearson(right, rows):
    expected = binomtest(right, rows).proportion_ci(0.95, method="exact")
    assert interval(right, rows) == pytest.approx((expected.low, expected.high))
    one_sided = binomtest(right, rows, alternative="greater").proportion_ci(0.95, method="exact")
    assert lower_bound(right, rows) == pytest.approx(one_sided.low)


def test_no_rows_have_no_interval():
    assert np.isnan(interval(0, 0)).all()


def _naive_threshold(confidence, correct, min_precision, alpha=0.05):
    """Return the threshold of the fallback procedure, with plain loops."""
    rows = sorted(zip(confidence, correct, strict=True), key=lambda row: -row[0])
    fewest = 1
    while min_precision**fewest > alpha / 5:
        fewest += 1
    if len(rows) < fewest:
        return None
    step = max(1, int(0.02 * len(rows)))
    counts, wanted = [], max(fewest, step)
    while True:
        count = min(wanted, len(rows))
        while count < len(rows) and rows[count][0] == rows[count - 1][0]:
            count += 1
        if count not in counts:
            counts.append(count)
        if wanted >= len(rows):
            break
        wanted += step
    starts = {int(number * len(counts) / 5) for number in range(5)}
    found, level = None, 0.0
    for number, count in enumerate(counts):
        level += alpha / len(starts) if number in starts else 0.0
        right = sum(bool(is_right) for _, is_right in rows[:count])
        p_value = sum(binom.pmf(hits, count, min_precision) for hits in range(right, count + 1))
        if p_value <= level:
            found = rows[count - 1][0]
        else:
            level = 0.0
    return found


@pytest.mark.slow
@pytest.mark.parametrize("rows", [0, 1, 29, 60, 250, 700])
@pytest.mark.parametrize("digits", [1, 8])
@pytest.mark.parametrize("min_precision", [0.5, 0.8, 0.95])
def test_a_threshold_is_that_of_a_loop(rows, digits, min_precision):
    rng = np.random.default_rng(rows)
    confidence = rng.random(rows).round(digits)
    correct = rng.random(rows) < 0.4 + 0.6 * confidence
    assert choose_threshold(confidence, correct, min_precision) == _naive_threshold(confidence, correct, min_precision)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 120), st.integers(0, 99), st.floats(0.01, 0.99))
def test_an_accepted_threshold_passes_the_test_of_clopper_and_pearson(rows, seed, min_precision):
    rng = np.random.default_rng(seed)
    confidence = rng.random(rows).round(2)
    correct = rng.random(rows) < confidence**0.3
    threshold = choose_threshold(confidence, correct, min_precision)
    shuffled = rng.permutation(rows)
    assert choose_threshold(confidence[shuffled], correct[shuffled], min_precision) == threshold
    if threshold is not None:
        above = confidence >= threshold
        assert lower_bound(int(correct[above].sum()), int(above.sum())) >= min_precision


def _calibration_sets(runs, rows, seed=0):
    """Return confidences and correctness `(runs, rows)`, and a function that returns the true precision above a value.

    The probability of a right answer is 1 − 0.35 · 0.9 ** (40 · confidence), so it falls slowly at first.
    """
    rng = np.random.default_rng(seed)
    confidence = rng.random((runs, rows))
    grid = (np.arange(200_000) + 0.5) / 200_000
    truth = _probability(grid)
    mean_above = truth[::-1].cumsum()[::-1] / np.arange(len(grid), 0, -1)
    return confidence, rng.random((runs, rows)) < _probability(confidence), lambda t: np.interp(t, grid, mean_above)


def _probability(confidence):
    return 1 - 0.35 * np.exp(-4 * confidence)


def _broken(choose, runs=600, rows=400, min_precision=0.95):
    """Return how many of the runs choose a threshold whose true precision is below the one asked for."""
    confidence, correct, precision = _calibration_sets(runs, rows)
    chosen = [choose(*pair, min_precision) for pair in zip(confidence, correct, strict=True)]
    made = [threshold for threshold in chosen if threshold is not None]
    assert len(made) > runs / 4  # else the test would show nothing
    return sum(precision(threshold) < min_precision for threshold in made)


def _empirical_threshold(confidence, correct, min_precision):
    """Return the lowest threshold whose precision on these rows is high enough: the one picked by eye."""
    order = np.argsort(-confidence)
    precision = correct[order].cumsum() / np.arange(1, len(order) + 1)
    good = np.flatnonzero(precision >= min_precision)
    return confidence[order][good[-1]] if len(good) else None


def test_the_promised_precision_is_broken_in_at_most_5_percent_of_the_runs():
    most = binom.ppf(0.999, 600, 0.05)
    assert _broken(choose_threshold) <= most
    assert _broken(_empirical_threshold) > 5 * most


def test_a_promise_with_a_tenth_of_the_care_is_broken_more_often():
    """Show that the test above can fail."""
    assert _broken(lambda *args: choose_threshold(*args, alpha=0.5)) > binom.ppf(0.999, 600, 0.05)


@pytest.mark.parametrize("rows", [60, 150])
def test_the_promise_holds_with_few_rows_and_equal_confidences(rows):
    rng = np.random.default_rng(1)
    levels = np.array([0.6, 0.8, 0.9, 0.99])
    truth = np.array([0.7, 0.85, 0.89, 0.93])
    broken, made = 0, 0
    for _ in range(500):
        at = rng.integers(0, 4, rows)
        threshold = choose_threshold(levels[at], rng.random(rows) < truth[at], 0.9)
        if threshold is not None:
            made += 1
            broken += truth[levels >= threshold].mean() < 0.9
    assert broken <= binom.ppf(0.999, 500, 0.05)


def test_a_useful_threshold_is_found():
    """The coverage is near that of the true threshold, so the bound does not cost too much."""
    confidence, correct, precision = _calibration_sets(20, 4000)
    grid = np.linspace(0, 1, 1001)
    ideal = grid[np.argmax(precision(grid) >= 0.95)]
    found = [choose_threshold(*pair, 0.95) for pair in zip(confidence, correct, strict=True)]
    assert np.median(found) < ideal + 0.15


def test_without_errors_all_rows_are_answered():
    confidence = np.linspace(0.2, 1, 500)
    assert choose_threshold(confidence, np.ones(500, bool), 0.98) == 0.2
    assert choose_threshold(confidence[:30], np.ones(30, bool), 0.98) is None


@pytest.mark.slow
def test_the_best_precision_is_the_highest_for_which_there_is_a_threshold():
    rng = np.random.default_rng(0)
    confidence = rng.random(200)
    correct = rng.random(200) < 0.6 + 0.3 * confidence
    best = best_precision(confidence, correct)
    assert choose_threshold(confidence, correct, best) is not None
    higher = np.arange(round(best * 1000) + 1, 1000) / 1000
    assert all(choose_threshold(confidence, correct, precision) is None for precision in higher)
    assert np.isnan(best_precision(confidence, np.zeros(200, bool)))
    assert np.isnan(best_precision(np.empty(0), np.empty(0, bool)))


@pytest.mark.slow
def test_the_best_precision_of_many_rows_is_found_quickly():
    rng = np.random.default_rng(0)
    start = time.process_time()
    assert np.isnan(best_precision(rng.random(20_000), np.zeros(20_000, bool)))
    assert 0.45 < best_precision(rng.random(20_000), rng.random(20_000) < 0.5) < 0.55
    assert time.process_time() - start < 2


@pytest.mark.parametrize(("coverage", "answered"), [(0.07, 7), (0.9, 90), (0.01, 1), (1.0, 100), (0.001, 1)])
def test_a_coverage_is_that_fraction_of_the_rows(coverage, answered):
    confidence = np.linspace(0.1, 1, 100)
    assert (confidence >= threshold_for_coverage(confidence, coverage, 100)).sum() == answered


def test_a_coverage_counts_the_rows_that_are_too_novel():
    confidence = np.linspace(0.1, 1, 10)
    threshold = threshold_for_coverage(confidence[:6], 0.5, 10)
    assert (confidence[:6] >= threshold).sum() == 5
    assert threshold_for_coverage(confidence[:6], 0.8, 10) == 0


def _measure(confidence, correct, threshold, *, allowed=None, **settings):
    allowed = np.ones(len(confidence), bool) if allowed is None else allowed
    answered = allowed & (confidence >= (np.inf if threshold is None else threshold))
    return measure(confidence, correct, allowed, answered, threshold=threshold, **settings)


def test_a_promise_counts_what_is_answered():
    confidence, correct = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, True])
    allowed = np.array([True, True, True, False])
    found = _measure(confidence, correct, 0.65, allowed=allowed)
    assert (found.rows, found.answered, found.coverage) == (4, 3, 0.75)
    assert found.precision == pytest.approx(2 / 3)
    assert found.precision_low == pytest.approx(lower_bound(2, 3))
    assert (found.coverage_low, found.coverage_high) == interval(3, 4)


def _promise(threshold, min_precision=None, **settings):
    rng = np.random.default_rng(0)
    confidence = rng.random(400)
    correct = rng.random(400) < 0.9
    return _measure(confidence, correct, threshold, min_precision=min_precision, **settings)


def test_a_promise_says_what_it_gives():
    assert _promise(0.5, 0.8).describe().startswith("at 80 % precision it answers ")
    assert " %); measured on 400 calibration rows" in _promise(0.5, 0.8).describe()
    assert (
        _promise(0.5, max_novelty=0.99)
        .describe()
        .startswith("with a confidence of at least 0.500 and a novelty of at most 0.990 it answers ")
    )
    assert (
        "at 80 % precision and a novelty of at most 0.900 it answers" in _promise(0.5, 0.8, max_novelty=0.9).describe()
    )
    assert "a confidence of at least 0.499753 it answers" in _promise(0.499753).describe()  # not 0.500, above its rows
    impossible = _promise(None, 0.99)
    assert impossible.describe().startswith("no threshold gives 99 % precision with 95 % confidence: the highest ")
    assert 0.85 < impossible.best < 0.99


def test_without_calibration_no_precision_is_bounded():
    confidence, correct, every = np.linspace(0, 1, 200), np.full(200, True), np.full(200, True)
    found = measure(confidence, correct, every, every, threshold=0.0, calibrated=False)
    assert np.isnan(found.precision_low)
    assert "95 % confidence" not in found.describe()
    assert "on which the encoder was trained, or may have been, so new sentences may give less" in found.describe()


def test_no_number_of_a_promise_is_nan_in_words():
    nothing = np.empty(0)
    for threshold, min_precision in [(None, 0.9), (0.5, None), (0.0, None)]:
        found = _measure(nothing, nothing == 1, threshold, min_precision=min_precision)
        assert "nan" not in found.describe()
        assert found.describe() == "nothing can be promised: there are no calibration rows"
    unanswered = _measure(np.array([0.2]), np.array([True]), 0.5)
    assert "nan" not in unanswered.describe()


def test_alpha_is_5_percent():
    assert thresholds.ALPHA == 0.05


def test_a_promised_precision_is_rounded_down():
    fields = {"max_novelty": None, "rows": 3000, "answered": 0, "coverage": 0.0, "coverage_low": 0.0,
              "coverage_high": 0.0, "precision": float("nan"), "precision_low": float("nan")}  # fmt: skip
    empty = Promise(min_precision=0.98, threshold=None, **fields, best=0.97966)
    assert "no threshold gives 98 % precision" in empty.describe()
    assert "the highest precision that can be promised is 97.9 %" in empty.describe()
    fields |= {"answered": 2900, "precision": 0.9899, "precision_low": 0.98397}
    limited = Promise(min_precision=None, threshold=0.5, **fields)
    assert "99 % of the answers are right (at least 98.3 % with 95 % confidence)" in limited.describe()
