"""Predictions depend neither on the order of rows and names, nor on the batch, nor on the run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercet import LabelClassifier
from tests.decisions.data import FEW_EXAMPLES, blobs, names_of


def _probabilities(x, labels, queries, **arguments):
    """Return the classes, the probabilities and the decisions of a classifier."""
    classifier = LabelClassifier(unseen_rows=True).fit(x, labels, **arguments)
    return classifier, classifier.predict_proba(queries), classifier.decision(queries)


@pytest.mark.slow
@FEW_EXAMPLES
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
@FEW_EXAMPLES
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
