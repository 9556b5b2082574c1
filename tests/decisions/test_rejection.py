"""Limits that are chosen for each label, against a loop over the calibration rows."""

import numpy as np
import pytest

from tercet import LabelClassifier
from tercet.decisions.calibration import round_confidence
from tercet.decisions.rejection import limits_for
from tercet.decisions.thresholds import choose_threshold
from tests.decisions.data import blobs

PRECISION = 0.9


@pytest.fixture(scope="module")
def fitted():
    """A classifier of two labels that are easy to tell apart, and of two of which a fifth of the rows is wrong."""
    x, y = blobs(1_200, labels=4, noise=0.15, seed=0)
    wrong = (np.random.default_rng(1).random(len(y)) < 0.2) & (y >= 2)
    return LabelClassifier(unseen_rows=True).fit(x, np.where(wrong, 5 - y, y))


def test_a_label_that_reaches_the_precision_has_its_own_threshold(fitted):
    calibration = fitted._fitted.calibration
    limits = limits_for(fitted._fitted, min_precision=PRECISION, per_label=True)
    confidence = round_confidence(calibration.confidence)
    alone = {}
    for label_id in range(4):
        rows = calibration.predicted_ids == label_id
        alone[label_id] = choose_threshold(confidence[rows], calibration.correct[rows], PRECISION)
    assert limits.of_label == {label_id: found for label_id, found in alone.items() if found is not None}
    assert {fitted._names.index(label) for label in (0, 1)} <= set(limits.of_label)
    others = ~np.isin(calibration.predicted_ids, list(limits.of_label))
    assert limits.threshold == choose_threshold(confidence[others], calibration.correct[others], PRECISION)
    assert limits.promise.own_thresholds == len(limits.of_label)
    assert f"{len(limits.of_label)} labels have their own threshold" in limits.promise.describe()


def test_own_thresholds_decide_about_new_rows(fitted):
    x, y = blobs(2_000, labels=4, noise=0.15, seed=9)
    limits = limits_for(fitted._fitted, min_precision=PRECISION, per_label=True)
    found = fitted.decision(x, min_precision=PRECISION, per_label=True)
    lowest = limits.lowest(np.array([fitted._names.index(label) for label in found.predicted]))
    assert (found.accepted == (round_confidence(found.confidence) >= lowest)).all()
    assert (fitted.predict(x, min_precision=PRECISION, per_label=True) == found.labels).all()
    for label in (0, 1):
        answered = found.labels == label
        assert answered.sum() > 300
        assert (y[answered] == label).mean() >= PRECISION
    shared = fitted.decision(x, min_precision=PRECISION)
    assert (found.accepted != shared.accepted).any()
