"""From two rows to 1,000 labels, and copies of a text."""

import logging

import numpy as np
import pytest
import torch

from tercet import LabelClassifier
from tests.decisions.data import blobs


@pytest.mark.parametrize("per_label", range(1, 9))
def test_few_rows_per_label(per_label):
    x, ids = blobs(3 * per_label, noise=0.15)
    new, new_ids = blobs(90, noise=0.15, seed=1)
    classifier = LabelClassifier(unseen_rows=True).fit(x, ids)
    assert (classifier.predict(new) == new_ids).mean() > 0.8
    confidence = classifier.decision(new).confidence
    assert confidence.max() < 0.9999
    assert confidence.mean() > 1 / 3
    assert classifier.promise(min_precision=0.9).describe()
    assert not np.isnan(classifier.predict_proba(new)).any()


def test_six_right_rows_do_not_give_a_confidence_of_1():
    x, ids = blobs(6, labels=2, noise=0.02)
    assert LabelClassifier(unseen_rows=True).fit(x, ids).decision(x).confidence.max() < 0.97


def test_two_rows_in_all():
    classifier = LabelClassifier(unseen_rows=True).fit([[1.0, 0.0], [0.0, 1.0]], ["a", "b"])
    found = classifier.decision([[0.9, 0.1], [1.0, 1.0]], top=5, explain=True)
    assert found.predicted[0] == "a"
    np.testing.assert_allclose(found.top_probabilities[1], [0.5, 0.5], atol=1e-3)
    assert found.neighbours.shape == (2, 2)
    assert np.isnan(found.novelty).all()
    assert not found.unfamiliar
    assert classifier.predict([[0.9, 0.1]], min_precision=0.9).tolist() == [None]
    assert classifier.predict([[0.9, 0.1]], max_novelty=0.9).tolist() == ["a"]


@pytest.mark.slow
def test_one_label_with_5000_rows_beside_labels_with_3():
    x, ids = blobs(5000, labels=1, noise=0.2, dim=16, seed=1)
    few, few_ids = blobs(15, labels=6, noise=0.2, dim=16)
    few, few_ids = few[few_ids > 0], few_ids[few_ids > 0]
    classifier = LabelClassifier(unseen_rows=True).fit(np.concatenate([x, few]), np.concatenate([ids, few_ids]))
    new, new_ids = blobs(300, labels=6, noise=0.2, dim=16, seed=2)
    assert (classifier.predict(new) == new_ids)[new_ids == 0].mean() > 0.95
    assert (classifier.predict(new) == new_ids)[new_ids > 0].mean() > 0.5


@pytest.mark.slow
def test_1000_labels_with_few_rows():
    x, ids = blobs(2000, labels=1000, dim=48, noise=0.05)
    classifier = LabelClassifier(unseen_rows=True).fit(x, ids)
    new, new_ids = blobs(1000, labels=1000, dim=48, noise=0.05, seed=1)
    assert (classifier.predict(new) == new_ids).mean() > 0.95
    assert classifier.predict_proba(new).shape == (1000, 1000)


def test_contradicting_copies_share_their_probability():
    x, ids = np.repeat(blobs(3)[0], 20, axis=0), np.arange(60) % 2
    found = LabelClassifier(unseen_rows=True).fit(x, ids).predict_proba(blobs(3)[0])
    np.testing.assert_allclose(found, 0.5, atol=0.1)


def test_copies_of_one_text_are_one_fold():
    """Else each row would be predicted by its copy, and random labels would look certain."""
    rng = np.random.default_rng(0)
    x, ids = rng.normal(size=(40, 6)), rng.integers(0, 2, 40)
    classifier = LabelClassifier(unseen_rows=True).fit(np.tile(x, (5, 1)), np.tile(ids, 5))
    assert classifier.scores_["chosen"] < 0.8
    assert torch.tensor(classifier.decision(rng.normal(size=(200, 6))).confidence).mean() < 0.85


@pytest.mark.slow
def test_labels_with_one_sentence_count_as_wrong_answers_in_a_promise():
    x, ids = blobs(200, labels=4)
    rare, _ = blobs(60, labels=1, seed=5)
    labels = [*ids.tolist(), *range(4, 64)]  # sixty labels with one row each
    classifier = LabelClassifier(unseen_rows=True).fit(np.concatenate([x, rare]), labels)
    promise = classifier.promise(threshold=0.0)
    assert promise.rows == 260
    assert promise.precision <= 200 / 260


def test_copies_of_a_text_promise_no_more_than_the_text(caplog):
    """Else one lucky text would count as many right answers."""
    x, ids = blobs(40, noise=0.5)
    one = LabelClassifier(unseen_rows=True).fit(x, ids)
    with caplog.at_level(logging.INFO):
        many = LabelClassifier(unseen_rows=True).fit(np.tile(x, (20, 1)), np.tile(ids, 20))
    assert "760 of 800 rows repeat a text with its label, and are not measured again" in caplog.messages
    assert many.promise(threshold=0.0).rows == one.promise(threshold=0.0).rows == 40
    calibration = blobs(60, noise=0.5, seed=3)
    copies = tuple(np.concatenate([part] * 20) for part in calibration)
    single, repeated = (
        LabelClassifier().fit(x, ids, calibration_data=data).promise(threshold=0.0) for data in (calibration, copies)
    )
    assert repeated.describe() == single.describe()
    assert single.rows == 60
    left_out = "1,140 of 1,200 rows of calibration_data are left out: a copy of an earlier row with the same label"
    assert left_out in caplog.messages
