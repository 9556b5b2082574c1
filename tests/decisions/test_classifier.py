import logging
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from tercet import LabelClassifier
from tercet.decisions import answering, rejection
from tercet.decisions.answering import decide_without_warnings
from tercet.decisions.inputs import embed
from tercet.decisions.training_rows import labels_beside
from tercet.errors import DataError
from tests.conftest import EVALUATION_TOPICS
from tests.decisions.data import blobs, names_of

SETTINGS = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
EVALUATION = [text for texts in EVALUATION_TOPICS.values() for text in texts]


def _probabilities(x, labels, queries, **arguments):
    """Return the classes, the probabilities and the decisions of a classifier."""
    classifier = LabelClassifier(unseen_rows=True).fit(x, labels, **arguments)
    return classifier, classifier.predict_proba(queries), classifier.decision(queries)


# ---- what is predicted


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


@pytest.mark.slow
def test_the_promised_precision_is_kept_on_new_rows():
    """Of 20 classifiers, each with rows of its own, at most a few break the promise."""
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


def test_confidences_are_calibrated():
    x, ids = blobs(600, noise=0.5)
    new, new_ids = blobs(3000, noise=0.5, seed=1)
    found = LabelClassifier(unseen_rows=True).fit(x, ids).decision(new)
    right = found.predicted == new_ids
    assert found.confidence.mean() == pytest.approx(right.mean(), abs=0.03)
    high = found.confidence > 0.9
    assert right[high].mean() == pytest.approx(found.confidence[high].mean(), abs=0.03)


# ---- drift


@pytest.mark.parametrize("held_out", [False, True])
def test_rows_of_another_distribution_are_reported(held_out, caplog):
    x, ids = blobs(300, noise=0.2)
    calibration = blobs(150, noise=0.2, seed=1) if held_out else None
    classifier = LabelClassifier(unseen_rows=True).fit(x, ids, calibration_data=calibration)
    assert not classifier.decision(blobs(300, noise=0.2, seed=2)[0]).unfamiliar
    drifted = blobs(300, noise=0.2, seed=2)[0] + 0.7 * np.random.default_rng(5).normal(size=8).astype(np.float32)
    found = classifier.decision(drifted, min_precision=0.9)
    assert found.unfamiliar
    # The promise names the rows on which it was measured, and it is broken on these.
    assert "calibration rows" in classifier.promise(min_precision=0.9).describe()
    assert (found.predicted == blobs(300)[1])[found.accepted].mean() < 0.9
    warning = "have a novelty above 0.95, but only 5% of sentences like those of the training data have"
    remedies = {False: "; pass max_novelty='auto' to give them no answer, or label some", True: "; label some of them"}
    for limited, call in (
        (False, lambda: classifier.predict(drifted, min_precision=0.9)),
        (False, lambda: classifier.decision(drifted)),
        (True, lambda: classifier.predict(drifted, max_novelty="auto")),
    ):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "tercet"):
            call()
        assert len(caplog.messages) == 1
        assert warning in caplog.text
        assert remedies[limited] in caplog.text


@pytest.mark.slow
def test_rows_of_the_same_distribution_are_seldom_reported():
    alarms = sum(
        LabelClassifier(method="class_means", unseen_rows=True)
        .fit(*blobs(90, seed=seed))
        .decision(blobs(200, seed=100 + seed)[0])
        .unfamiliar
        for seed in range(20)
    )
    assert alarms == 0


# ---- properties


@pytest.mark.slow
@SETTINGS
@given(st.integers(0, 1000), st.booleans(), st.booleans())
def test_predictions_do_not_depend_on_the_order_of_rows(seed, held_out, contradicting):
    x, ids = blobs(45, noise=0.4)
    if contradicting:  # copies of rows with other labels
        x, ids = np.concatenate([x, x[:12]]), np.concatenate([ids, (ids[:12] + 1) % 3])
    calibration, queries = blobs(24, seed=3), blobs(20, seed=4)[0]
    rng = np.random.default_rng(seed)
    order, other = rng.permutation(len(x)), rng.permutation(24)
    expected = _probabilities(
        x, names_of(ids), queries, calibration_data=calibration_of(calibration) if held_out else None
    )
    shuffled = calibration_of((calibration[0][other], calibration[1][other])) if held_out else None
    found = _probabilities(x[order], names_of(ids[order]), queries, calibration_data=shuffled)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-5)
    assert found[0].members_ == expected[0].members_
    np.testing.assert_allclose(found[2].novelty, expected[2].novelty, atol=1e-9)


def calibration_of(rows):
    return rows[0], names_of(rows[1])


@pytest.mark.slow
@SETTINGS
@given(st.permutations(["alpha", "beta", "gamma"]), st.booleans(), st.booleans(), st.booleans())
def test_predictions_do_not_depend_on_the_names_of_labels(names, integers, held_out, contradicting):
    x, ids = blobs(45, noise=0.4)
    if contradicting:
        x, ids = np.concatenate([x, x[:12]]), np.concatenate([ids, (ids[:12] + 1) % 3])
    calibration, queries = blobs(24, seed=3), blobs(30, seed=4)[0]
    numbers = {name: 7 - 3 * at for at, name in enumerate(names)}

    def renamed(ids):
        return [numbers[names[label_id]] if integers else names[label_id] for label_id in ids]

    plain = _probabilities(
        x, names_of(ids), queries, calibration_data=calibration_of(calibration) if held_out else None
    )
    other = (calibration[0], renamed(calibration[1])) if held_out else None
    found = _probabilities(x, renamed(ids), queries, calibration_data=other)
    columns = [found[0].classes_.tolist().index(label) for label in renamed(range(3))]
    np.testing.assert_allclose(found[1][:, columns], plain[1], atol=1e-6)
    assert found[0].members_ == plain[0].members_
    np.testing.assert_array_equal(found[2].novelty, plain[2].novelty)
    assert sorted(found[0].classes_.tolist()) == found[0].classes_.tolist()


def test_predictions_do_not_depend_on_the_batch(fitted):
    x, _ = blobs(40, seed=9)
    at_once = fitted.decision(x, explain=True)
    for size in (1, 7):
        parts = [fitted.decision(x[at : at + size], explain=True) for at in range(0, 40, size)]
        np.testing.assert_allclose(np.concatenate([part.confidence for part in parts]), at_once.confidence, atol=1e-5)
        np.testing.assert_allclose(np.concatenate([part.novelty for part in parts]), at_once.novelty, atol=1e-9)
        assert np.concatenate([part.neighbours for part in parts]).tolist() == at_once.neighbours.tolist()
        assert [label for part in parts for label in part.labels] == at_once.labels.tolist()


def test_fitting_again_gives_the_same(fitted):
    x, ids = blobs(150)
    again = LabelClassifier(unseen_rows=True).fit(x, names_of(ids))
    assert np.array_equal(again.predict_proba(x), fitted.predict_proba(x))


# ---- evidence


def test_the_nearest_training_rows_are_named():
    x, ids = blobs(60)
    calibration = blobs(30, seed=1)
    # Of the calibration rows, the first is a copy of a training row and is left out.
    calibration[0][0] = x[0]
    classifier = LabelClassifier(unseen_rows=True).fit(x, ids, calibration_data=calibration)
    classifier.partial_fit(*blobs(5, seed=2))
    everything = np.concatenate([x, calibration[0], blobs(5, seed=2)[0]])
    labels = np.concatenate([ids, calibration[1], blobs(5, seed=2)[1]])
    for part in (x[7:9], calibration[0][4:6], blobs(5, seed=2)[0][3:]):
        found = classifier.decision(part, explain=True)
        assert found.neighbours.shape == found.neighbour_labels.shape == (2, 3)
        np.testing.assert_allclose(found.neighbour_similarities[:, 0], 1, atol=1e-3)
        np.testing.assert_allclose(everything[found.neighbours[:, 0]], part)
        for row in range(2):
            assert found.neighbour_labels[row].tolist() == labels[found.neighbours[row]].tolist()
            similarity = everything[found.neighbours[row]] @ part[row]
            similarity = (
                similarity / np.linalg.norm(everything[found.neighbours[row]], axis=1) / np.linalg.norm(part[row])
            )
            np.testing.assert_allclose(found.neighbour_similarities[row], similarity, atol=1e-3)
    assert found.neighbour_texts is None
    assert classifier.decision(x[:2]).neighbours is None


def test_rows_that_are_added_are_numbered_after_those_that_were_left_out(tmp_path):
    x, ids = blobs(30)
    calibration = blobs(6, seed=1)
    calibration[0][-1] = x[0]  # a copy of a training row, which is left out
    classifier = LabelClassifier(unseen_rows=True).fit(x, ids, calibration_data=calibration)
    classifier.partial_fit(*blobs(1, seed=2))
    classifier.save(tmp_path / "saved")
    loaded = LabelClassifier.load(tmp_path / "saved")
    for seed, expected in ((2, 36), (3, 37)):
        row = blobs(1, seed=seed)
        if seed == 3:
            loaded.partial_fit(*row)
        assert loaded.decision(row[0], explain=True).neighbours[0, 0] == expected


def test_kept_texts_are_shown(encoder, sentences, labels):
    classifier = LabelClassifier(encoder, keep_texts=True, unseen_rows=True)
    classifier.fit(sentences, labels, calibration_data=(EVALUATION[:2], ["sport", "sport"]))
    everything = [*sentences, *EVALUATION[:2]]
    found = classifier.decision([sentences[5], EVALUATION[1]], explain=True)
    assert found.neighbour_texts[:, 0].tolist() == [sentences[5], EVALUATION[1]]
    for texts, rows in zip(found.neighbour_texts.tolist(), found.neighbours.tolist(), strict=True):
        assert texts == [everything[row] for row in rows]


# ---- adding rows


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


@SETTINGS
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


# ---- scikit-learn


def test_parameters_are_read_set_and_cloned(encoder):
    classifier = LabelClassifier(encoder, method="class_means", keep_texts=True)
    copy = clone(classifier)
    assert copy.get_params() == classifier.get_params()
    assert copy.model is encoder  # a copy would take its memory once more
    assert copy.set_params(method="auto", random_state=3).random_state == 3
    assert classifier.random_state == 0
    assert set(LabelClassifier().get_params()) == {
        "model", "method", "unseen_rows", "keep_texts", "batch_size", "device", "random_state",
        "label_levels",
    }  # fmt: skip


def test_an_unfitted_classifier_is_pickled():
    copy = pickle.loads(pickle.dumps(LabelClassifier("bundled", random_state=4)))
    assert copy.get_params() == LabelClassifier("bundled", random_state=4).get_params()


def test_a_fitted_classifier_of_embeddings_is_pickled(fitted):
    x, _ = blobs(20, seed=9)
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(x), fitted.predict_proba(x))


@pytest.mark.slow
def test_cross_validation(encoder, sentences, labels):
    x, ids = blobs(90)
    scores = cross_val_score(LabelClassifier(unseen_rows=True), x, names_of(ids), cv=3)
    assert scores.mean() > 0.8
    found = cross_val_predict(LabelClassifier(unseen_rows=True), x, ids, cv=3, method="predict_proba")
    assert log_loss(ids, found) < 1
    assert len(cross_val_score(LabelClassifier(encoder, unseen_rows=True), sentences, labels, cv=2)) == 2


@pytest.mark.slow
def test_a_pipeline_and_a_grid(encoder, sentences, labels):
    pipeline = Pipeline(
        [("lower", FunctionTransformer(lambda texts: [text.lower() for text in texts])),
         ("classify", LabelClassifier(encoder, unseen_rows=True))]
    )  # fmt: skip
    pipeline.fit(sentences, labels)
    assert pipeline.predict_proba(sentences[:3]).shape == (3, 4)
    assert pipeline.predict(sentences).tolist() == pipeline.predict([text.upper() for text in sentences]).tolist()
    grid = GridSearchCV(pipeline, {"classify__method": ["class_means", "shared_covariance"]}, cv=2)
    grid.fit(sentences, labels)
    assert grid.best_params_["classify__method"] in ("class_means", "shared_covariance")
    assert grid.best_estimator_["classify"].members_ == [grid.best_params_["classify__method"]]
    assert grid.classes_.tolist() == sorted(set(labels))


def test_an_unfitted_classifier_answers_nothing(tmp_path):
    for call in (
        lambda: LabelClassifier().predict([[1.0, 0.0]]),
        lambda: LabelClassifier().predict_proba([[1.0, 0.0]]),
        lambda: LabelClassifier().decision([[1.0, 0.0]]),
        lambda: LabelClassifier().promise(min_precision=0.9),
        lambda: LabelClassifier().save(tmp_path / "new"),
    ):
        with pytest.raises(NotFittedError, match="not fitted"):
            call()


# ---- sizes


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
