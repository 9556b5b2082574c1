"""Precision by coverage and the counts of rejected rows, against plain references."""

import numpy as np
import pytest

from tercet.decisions.curves import pairs_in_doubt, rejected_by_reason, risk_coverage


def plain_curve(confidence, correct, allowed):
    """Return (threshold, coverage, precision) for every different confidence, by counting."""
    points = []
    for threshold in sorted({c for c, a in zip(confidence, allowed, strict=True) if a}, reverse=True):
        answers = [r for c, r, a in zip(confidence, correct, allowed, strict=True) if a and c >= threshold]
        points.append((threshold, len(answers) / len(confidence), sum(answers) / len(answers)))
    return points


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("limited", [False, True])
def test_each_point_is_that_of_counting(ties, limited):
    rng = np.random.default_rng(0)
    confidence = rng.integers(0, 20, 200) / 20 if ties else rng.random(200)
    correct = rng.random(200) < confidence
    allowed = rng.random(200) < 0.8 if limited else np.ones(200, bool)
    curve = risk_coverage(confidence, correct, allowed if limited else None)
    points = plain_curve(confidence.tolist(), correct.tolist(), allowed.tolist())
    np.testing.assert_allclose(np.stack([curve.threshold, curve.coverage, curve.precision], axis=1), points)
    steps = np.diff([0.0, *(coverage for _, coverage, _ in points)])
    precisions = np.array([precision for _, _, precision in points])
    assert curve.area == pytest.approx((steps * precisions).sum() / steps.sum())
    assert curve.coverage[-1] == pytest.approx(allowed.mean())


def test_without_ties_the_area_is_the_mean_precision_of_the_k_surest_rows():
    rng = np.random.default_rng(1)
    confidence, correct = rng.permutation(100) / 100, rng.random(100) < 0.7
    order = np.argsort(-confidence)
    surest = [correct[order[:k]].mean() for k in range(1, 101)]
    assert risk_coverage(confidence, correct).area == pytest.approx(np.mean(surest))


def test_the_curve_does_not_depend_on_the_order_of_the_rows():
    rng = np.random.default_rng(2)
    confidence, correct = rng.integers(0, 5, 50) / 5, rng.random(50) < 0.5
    shuffled = rng.permutation(50)
    one, other = risk_coverage(confidence, correct), risk_coverage(confidence[shuffled], correct[shuffled])
    np.testing.assert_array_equal(one.precision, other.precision)
    assert one.area == other.area


def test_no_row_gives_no_point():
    curve = risk_coverage(np.empty(0), np.empty(0, bool))
    assert len(curve.coverage) == 0
    assert np.isnan(curve.area)
    nothing = risk_coverage(np.array([0.5]), np.array([True]), np.array([False]))
    assert len(nothing.precision) == 0


def test_rejected_rows_are_counted_by_reason():
    reasons = ["a", None, "b", "a", "a", None]
    found = rejected_by_reason(reasons, np.array([True, True, True, False, True, False]))
    assert [(part.reason, part.rows, part.right) for part in found] == [("a", 3, 2), ("b", 1, 1)]
    assert rejected_by_reason([None], np.array([True])) == []


def test_pairs_of_labels_are_unordered_and_the_most_frequent_is_first():
    found = pairs_in_doubt(np.array([0, 3, 1, 2, 0]), np.array([1, 2, 0, 3, 1]))
    assert [(pair, rows.tolist()) for pair, rows in found] == [((0, 1), [0, 2, 4]), ((2, 3), [1, 3])]
    assert pairs_in_doubt(np.empty(0, int), np.empty(0, int)) == []
