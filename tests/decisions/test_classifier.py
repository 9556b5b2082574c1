"""The predictions of a classifier, and their confidence."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from tercet import LabelClassifier
from tercet.decisions.answering import decide_without_warnings
from tercet.decisions.inputs import embed
from tercet.decisions.training_rows import labels_beside
from tercet.errors import DataError
from tests.decisions.data import blobs, names_of


def test_labels_of_new_rows_are_predicted(fitted):
    x, ids = blobs(200, seed=9)
    assert fitted.classes_.tolist() == ["alpha", "beta", "gamma"]
    assert fitted.score(x, names_of(ids)) > 0.9
    probabilities = fitted.predict_proba(x)
    assert probabilities.shape == (200, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    assert fitted.classes_[probabilities.argmax(axis=1)].tolist() == fitted.predict(x).tolist()
    assert fitted.predict(x).dtype == fitted.classes_.dtype
    assert log_loss(names_of(ids), probabilities, labels=fitted.classes_) < 0.5  # scikit-learn checks the sums


@pytest.mark.slow
def test_equally_sure_sentences_are_answered_together():
    x, ids = blobs(600, labels=15, dim=384, noise=0.02)  # all neighbours of each row have its label
    classifier = LabelClassifier(method="nearest_neighbours", unseen_rows=True).fit(x, names_of(ids))
    found = classifier.decision(x, coverage=0.5)
    assert len(np.unique(found.confidence.round(6))) == 1  # apart from rounding errors, which rank no rows
    assert found.accepted.all()
    promise = classifier.promise(coverage=0.5)
    assert promise.answered == 600
    assert classifier.decision(x, threshold=promise.threshold).accepted.all()


def test_a_decision_agrees_with_predict_and_predict_proba(fitted):
    x, _ = blobs(50, seed=9)
    found, probabilities = fitted.decision(x, top=3), fitted.predict_proba(x)
    assert found.labels.tolist() == found.predicted.tolist() == fitted.predict(x).tolist()
    np.testing.assert_allclose(found.confidence, probabilities.max(axis=1), atol=1e-12)
    np.testing.assert_allclose(found.top_probabilities, -np.sort(-probabilities, axis=1), atol=1e-12)
    assert found.top_labels[:, 1].tolist() == found.runner_up.tolist()
    assert found.accepted.all()
    assert found.top_labels.shape == (50, 3)
    assert fitted.decision(x, top=99).top_labels.shape == (50, 3)


def test_a_decision_without_warnings_checks_top(fitted):
    with pytest.raises(DataError, match="top must be an integer of at least 1, got 0"):
        decide_without_warnings(fitted, blobs(5)[0], top=0)
    assert not hasattr(fitted, "decide_without_warnings")  # which is for commands and reports only


def test_new_labels_are_not_compared_with_all_known_ones():
    compared = []

    class Label(str):
        __hash__ = str.__hash__

        def __eq__(self, other):
            compared.append(other)
            return str.__eq__(self, other)

    x, _ = blobs(60)
    embedded = embed(x, "X", None)
    known = [Label(f"label {number}") for number in range(1_000)]
    labels = [Label("label 999"), Label("new")] * 30
    assert labels_beside(known, labels, embedded) == ["new"]
    assert len(compared) < 1_000


def test_confidences_are_calibrated():
    x, ids = blobs(600, noise=0.5)
    new, new_ids = blobs(3000, noise=0.5, seed=1)
    found = LabelClassifier(unseen_rows=True).fit(x, ids).decision(new)
    right = found.predicted == new_ids
    assert found.confidence.mean() == pytest.approx(right.mean(), abs=0.03)
    high = found.confidence > 0.9
    assert right[high].mean() == pytest.approx(found.confidence[high].mean(), abs=0.03)
