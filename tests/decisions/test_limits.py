"""Limits by coverage and by promised precision."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from tercet import LabelClassifier
from tercet.decisions import answering, rejection
from tercet.decisions.answering import decide_without_warnings
from tercet.errors import DataError
from tests.decisions.data import blobs


@pytest.mark.parametrize("limit", [{"threshold": 0.9}, {"coverage": 0.6}, {"min_precision": 0.9}, {"max_novelty": 0.7}])
def test_no_label_is_given_only_beyond_the_limits(fitted, limit):
    x, _ = blobs(200, noise=0.5, seed=9)
    found, promise = fitted.decision(x, **limit), fitted.promise(**limit)
    assert fitted.predict(x, **limit).tolist() == found.labels.tolist()
    below = found.confidence < promise.threshold
    strange = np.zeros(200, bool) if promise.max_novelty is None else found.novelty > promise.max_novelty
    assert 0 < (below | strange).sum() < 200
    assert [label is None for label in found.labels] == (below | strange).tolist()
    assert found.accepted.tolist() == (~(below | strange)).tolist()
    for row in range(200):
        expected = {
            (False, False): None,
            (True, False): "between labels",
            (False, True): "unlike anything seen",
            (True, True): "between labels and unlike anything seen",
        }[bool(below[row]), bool(strange[row])]
        assert found.reasons[row] == expected
        assert found.labels[row] in (None, found.predicted[row])


def test_a_coverage_is_reached_on_new_rows(fitted):
    x, _ = blobs(2000, seed=9)
    promise = fitted.promise(coverage=0.7)
    assert promise.coverage == pytest.approx(0.7, abs=0.01)
    assert 0.55 < fitted.decision(x, coverage=0.7).accepted.mean() < 0.85


def test_a_coverage_of_half_is_reached_on_labels_that_are_far_apart():
    x, y = blobs(1_000, labels=10, noise=0.02, seed=0)
    classifier = LabelClassifier().fit(x[:500], y[:500])
    # Confidences of a classifier that is fitted to all rows are a little higher than those of the folds.
    assert 0.35 < classifier.decision(x[500:], coverage=0.5).accepted.mean() < 0.7


@pytest.mark.slow
def test_an_impossible_precision_answers_nothing():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4)).astype(np.float32)
    classifier = LabelClassifier(unseen_rows=True).fit(x, rng.integers(0, 2, 200))
    promise = classifier.promise(min_precision=0.99)
    assert promise.threshold is None
    assert 0.2 < promise.best < 0.8
    assert classifier.predict(x, min_precision=0.99).tolist() == [None] * 200
    assert not classifier.decision(x, min_precision=0.99).accepted.any()


def test_a_precision_that_no_threshold_reaches_is_a_warning(caplog):
    fitted = LabelClassifier(unseen_rows=True).fit(*blobs(150))
    x, _ = blobs(40, seed=9)
    with caplog.at_level(logging.WARNING, "tercet"):
        decide_without_warnings(fitted, x, min_precision=0.9999)
        assert not caplog.messages
        assert fitted.predict(x, min_precision=0.9999).tolist() == [None] * 40
        for row in x[:5]:  # A service that classifies one sentence at a time warns once.
            assert fitted.predict(row[None], min_precision=0.9999).tolist() == [None]
        assert not fitted.decision(x, min_precision=0.9999).accepted.any()
    [message] = caplog.messages
    assert message.startswith(fitted.promise(min_precision=0.9999).describe())
    assert "no sentence gets an answer: pass a lower min_precision, or fit with more calibration rows" in message
    caplog.clear()
    assert not fitted.decision(x, min_precision=0.9998).accepted.any()
    assert ["no threshold gives 99.98 % precision" in message for message in caplog.messages] == [True]
    caplog.clear()
    fitted.predict(x, min_precision=0.9)
    fitted.promise(min_precision=0.9999)  # describes itself
    assert not caplog.messages


def test_limits_are_computed_once(monkeypatch):
    x, ids = blobs(150)
    classifier, calls = LabelClassifier(unseen_rows=True).fit(x, ids), []

    def counted(*arguments, **asked):
        calls.append(asked)
        return rejection.limits_for(*arguments, **asked)

    monkeypatch.setattr(answering, "limits_for", counted)
    limits = [{"min_precision": 0.9}, {"min_precision": 0.9, "per_label": True}, {"coverage": 0.5}, {"threshold": 1.0}]
    for limit in limits * 3:
        classifier.predict(x[:1], **limit)
        classifier.decision(x[:1], **limit)
        classifier.promise(**limit)
    assert len(calls) == 4
    with pytest.raises(DataError, match="threshold must be from 0 to 1, got True"):
        classifier.predict(x[:1], threshold=True)
    before = classifier.promise(coverage=0.5)
    classifier.partial_fit(blobs(5, seed=4)[0], [7] * 5)
    assert classifier.promise(coverage=0.5).to_dict() == replace(before, added_labels=1).to_dict()
    assert len(calls) == 5
    classifier.fit(*blobs(60, seed=5))
    assert classifier.promise(coverage=0.5).rows == 60
    for number in range(200):
        classifier.predict(x[:1], threshold=number / 200)
    assert len(classifier._remembered) <= 64


def test_limits_are_kept_when_another_thread_clears_the_remembered_ones():
    class ClearedByAnotherThread(dict):
        def __setitem__(self, key, value):
            super().__setitem__(key, value)
            self.clear()

    x, ids = blobs(60)
    classifier = LabelClassifier(unseen_rows=True).fit(x, ids)
    expected = classifier.promise(coverage=0.5).to_dict()
    classifier._remembered = ClearedByAnotherThread()
    assert classifier.promise(coverage=0.5).to_dict() == expected


def test_limits_of_an_old_state_are_not_remembered_for_a_new_one(monkeypatch):
    x, ids = blobs(60)
    classifier = LabelClassifier(unseen_rows=True).fit(x, ids)

    def meanwhile(*arguments, **asked):
        found = rejection.limits_for(*arguments, **asked)
        monkeypatch.undo()
        classifier.fit(*blobs(90))  # as another thread does
        return found

    monkeypatch.setattr(answering, "limits_for", meanwhile)
    assert classifier.promise(coverage=0.5).rows == 60
    assert classifier.promise(coverage=0.5).rows == 90


@pytest.mark.slow
def test_the_promised_precision_is_kept_on_new_rows():
    """20 classifiers have different training rows. No more than three of them break the promise."""
    broken, made = 0, 0
    new, new_ids = blobs(3000, noise=0.45, seed=1000)
    for seed in range(20):
        x, ids = blobs(400, noise=0.45, seed=seed)
        classifier = LabelClassifier(method="class_means", unseen_rows=True).fit(x, ids)
        found = classifier.decision(new, min_precision=0.95)
        if found.accepted.any():
            made += 1
            broken += (found.predicted == new_ids)[found.accepted].mean() < 0.95
    assert made > 10
    assert broken <= 3
