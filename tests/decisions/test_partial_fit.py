"""Rows and labels that are added to a fitted classifier."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercet import LabelClassifier
from tests.decisions.data import FEW_EXAMPLES, blobs, names_of


def test_a_new_label_is_predicted_after_partial_fit():
    x, ids = blobs(200, labels=4, noise=0.2)
    new, new_ids = blobs(200, labels=4, noise=0.2, seed=1)
    classifier = LabelClassifier(unseen_rows=True).fit(x[ids < 3], names_of(ids[ids < 3]))
    before = classifier.score(new[new_ids < 3], names_of(new_ids[new_ids < 3]))
    assert classifier.partial_fit(x[ids == 3][:10], ["delta"] * 10) is classifier
    assert classifier.classes_.tolist() == ["alpha", "beta", "delta", "gamma"]
    assert classifier.added_labels_ == ["delta"]
    assert (classifier.predict(new[new_ids == 3]) == "delta").mean() > 0.9
    assert classifier.score(new[new_ids < 3], names_of(new_ids[new_ids < 3])) > before - 0.02
    np.testing.assert_allclose(classifier.predict_proba(new).sum(axis=1), 1)


def _with_two_more_labels(names, order):
    """Return a classifier of two labels, to which rows of two others were added in the given order."""
    x, ids = blobs(160, labels=4, noise=0.3)
    classifier = LabelClassifier(method="logistic_regression", unseen_rows=True)
    classifier.fit(x[ids < 2], names_of(ids[ids < 2], names))
    more = np.flatnonzero(ids > 1)[:20][order]
    return classifier.partial_fit(x[more], names_of(ids[more], names))


@FEW_EXAMPLES
@given(st.permutations(range(20)), st.permutations(["alpha", "beta", "gamma", "delta"]))
def test_partial_fit_depends_neither_on_the_order_of_rows_nor_on_names(order, names):
    usual = ["alpha", "beta", "gamma", "delta"]
    plain, queries = _with_two_more_labels(usual, list(range(20))), blobs(50, labels=4, seed=4)[0]
    found = _with_two_more_labels(names, order)
    columns = [found.classes_.tolist().index(names[usual.index(name)]) for name in plain.classes_.tolist()]
    # The last steps of the fit depend on the order of the sums.
    np.testing.assert_allclose(found.predict_proba(queries)[:, columns], plain.predict_proba(queries), atol=5e-3)


def test_rows_of_a_label_are_added_at_once_or_one_after_the_other():
    x, ids = blobs(200, labels=4, noise=0.2)
    at_once, in_turn = (LabelClassifier(unseen_rows=True).fit(x[ids < 3], ids[ids < 3]) for _ in range(2))
    more = x[ids == 3][:10]
    at_once.partial_fit(more, [3] * 10)
    in_turn.partial_fit(more[:4], [3] * 4).partial_fit(more[4:], [3] * 6)
    np.testing.assert_allclose(in_turn.predict_proba(x), at_once.predict_proba(x), atol=1e-4)
    assert in_turn.added_labels_ == at_once.added_labels_ == [3]
    for classifier in (at_once, in_turn):
        assert classifier.decision(more[-1:], explain=True).neighbours[0, 0] == 159


def test_a_promise_says_that_added_labels_were_not_measured():
    x, ids = blobs(200, labels=4, noise=0.2)
    classifier = LabelClassifier(unseen_rows=True).fit(x[ids < 3], names_of(ids[ids < 3]))
    limits = [{"min_precision": 0.9}, {"min_precision": 0.9999}, {"coverage": 0.5}]
    sentences = [classifier.promise(**limit).describe() for limit in limits]
    classifier.partial_fit(x[ids == 0][:5], ["alpha"] * 5)
    assert [classifier.promise(**limit).describe() for limit in limits] == sentences
    classifier.partial_fit(x[ids == 3], ["delta"] * sum(ids == 3))
    for limit, sentence in zip(limits, sentences, strict=True):
        promise = classifier.promise(**limit)
        assert promise.describe() == (
            f"{sentence}; 1 label was added later and is not measured (fit again to measure it)"
        )
        assert promise.to_dict()["added_labels"] == 1
        assert replace(promise, added_labels=2).describe() == (
            f"{sentence}; 2 labels were added later and are not measured (fit again to measure them)"
        )
    again = classifier.fit(x, names_of(ids))
    assert "added later" not in again.promise(min_precision=0.9).describe()


@pytest.mark.parametrize("method", ["class_means", "nearest_neighbours", "shared_covariance", "logistic_regression"])
def test_every_method_learns_a_new_label(method):
    x, ids = blobs(200, labels=4, noise=0.15)
    classifier = LabelClassifier(method=method, unseen_rows=True).fit(x[ids < 3], ids[ids < 3])
    assert classifier.members_ == [method]
    classifier.partial_fit(x[ids == 3], ids[ids == 3])
    assert (classifier.predict(x) == ids).mean() > 0.9


def test_many_new_labels_at_once_are_learned():
    x, ids = blobs(400, labels=40, dim=16, noise=0.1)
    classifier = LabelClassifier(unseen_rows=True).fit(x[ids < 5], ids[ids < 5])
    classifier.partial_fit(x[ids >= 5], ids[ids >= 5])
    assert (classifier.predict(x) == ids).mean() > 0.95
    assert len(classifier.added_labels_) == 35


def test_partial_fit_of_an_unfitted_classifier_is_fit():
    x, ids = blobs(30)
    first = LabelClassifier(unseen_rows=True).partial_fit(x, ids, classes=[0, 1, 2])
    assert np.array_equal(first.predict_proba(x), LabelClassifier(unseen_rows=True).fit(x, ids).predict_proba(x))
