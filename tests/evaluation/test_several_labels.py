"""Was it worth it, for rows with several labels: binary relevance on both encoders."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.multiclass import OneVsRestClassifier

from tercet.evaluation.logistic import centre_and_factor, fit_logistic_per_label
from tercet.evaluation.retrieval import rank_queries
from tercet.evaluation.several_labels import LabelSetPredictions, predict_label_sets, several_labels_gain
from tercet.records import SeveralLabelsGain
from tercet.records.several_labels import any_gain_of

NAMES = np.array([f"label {number}" for number in range(8)])


def _rows(noise, *, shuffled=False, n=300, seed=0):
    """Return 2n embeddings of one or two of eight labels, with more or less noise, and their labels."""
    rng = np.random.default_rng(seed)
    labels = [rng.choice(8, rng.integers(1, 3), replace=False) for _ in range(2 * n)]
    centres = np.random.default_rng(9).normal(size=(8, 16))
    x = np.stack([centres[own].sum(0) for own in labels]) + noise * rng.normal(size=(2 * n, 16))
    order = rng.permutation(2 * n) if shuffled else np.arange(2 * n)
    return torch.from_numpy(x).float(), [NAMES[labels[row]].tolist() for row in order]


def _predictions(noise, n=300, max_products=10**9, **options):
    x, labels = _rows(noise, n=n, **options)
    ranked = rank_queries(x[n:], labels[n:], reference_embeddings=x[:n], reference_labels=labels[:n])
    return predict_label_sets(
        x[:n], labels[:n], x[n:], labels[n:], average_precision=ranked.average_precision.numpy(),
        max_products=max_products,
    )  # fmt: skip


@pytest.mark.slow
def test_the_regressions_are_those_of_scikit_learn():
    x, labels = _rows(1.0)
    has_label = np.array([[name in own for name in NAMES] for own in labels])
    mean, factor = centre_and_factor(x)
    x = (x - mean) * factor
    model = fit_logistic_per_label(x, torch.from_numpy(has_label), 2.5)
    found = (x @ model.weights.T + model.bias).sigmoid()
    expected = OneVsRestClassifier(LogisticRegression(C=0.4, tol=1e-8, max_iter=1000)).fit(x.numpy(), has_label)
    np.testing.assert_allclose(found.numpy(), expected.predict_proba(x.numpy()), atol=0.002)
    without = np.column_stack([has_label, np.zeros(len(x), dtype=bool)])
    model = fit_logistic_per_label(x, torch.from_numpy(without), 2.5)
    assert model.bias[-1] == -torch.inf
    assert bool(model.weights.isfinite().all())


def test_the_scores_are_those_of_scikit_learn():
    found = _predictions(1.5)
    scores = found.scores()
    assert found.predicted.any(axis=1).all()
    for average, value in (("samples", scores.f1), ("micro", scores.micro_f1), ("macro", scores.macro_f1)):
        assert value == pytest.approx(f1_score(found.given, found.predicted, average=average))
    assert 0 < scores.map_at_r < scores.logistic_map_at_r < 1
    assert found.fitted_rows is None


@pytest.mark.parametrize(
    ("before", "after", "outcome", "words"),
    [
        (2.5, 0.8, "worth it", ["To search, training was worth it: MAP@R rose from", "F1 rose from"]),
        (0.8, 2.5, "worse", ["To search, training made it worse", "take a logistic regression for each label on the"]),
        (1.5, 1.5, "no difference", ["To search, training made no difference beyond noise", "To predict labels, tr"]),
    ],
)
def test_the_outcome_and_its_sentence(before, after, outcome, words):
    gain = several_labels_gain(_predictions(before), _predictions(after))
    assert gain.outcome == outcome
    for word in words:
        assert word in gain.sentence
    assert (gain.rows, gain.labels) == (300, 8)
    assert gain.map_at_r.difference == pytest.approx(gain.trained.logistic_map_at_r - gain.untouched.logistic_map_at_r)
    assert any_gain_of({"gain": {**asdict(gain), "later": 1}}) == gain
    assert isinstance(any_gain_of({"gain": asdict(gain)}), SeveralLabelsGain)


def test_a_better_ranking_by_embeddings_does_not_hide_the_regressions_of_the_untouched_encoder():
    """MAP@R of the embeddings rises, but the probabilities of the untouched encoder rank as well."""
    x, labels = _rows(1.5)
    before = _predictions(1.5)
    after = predict_label_sets(
        x[:300], labels[:300], x[300:], labels[300:],
        average_precision=np.minimum(before.average_precision + 0.1, before.average_precision_of_probabilities),
    )  # fmt: skip
    gain = several_labels_gain(before, after)
    assert gain.trained.map_at_r > gain.untouched.map_at_r + 0.02
    alone = f"a MAP@R of {gain.untouched.map_at_r:.3f}, then {gain.trained.map_at_r:.3f}."
    assert alone in gain.sentence
    assert gain.outcome == "no difference"
    assert "take a logistic regression for each label on the untouched encoder" in gain.sentence


@pytest.mark.parametrize("seed", range(4))
def test_labels_at_random_are_at_chance(seed):
    gain = several_labels_gain(_predictions(1.0, shuffled=True, seed=seed), _predictions(0.5, shuffled=True, seed=seed))
    assert gain.outcome == "at chance"
    assert gain.sentence.startswith("Training was not worth it: the predicted labels are at chance")


def test_a_label_of_most_rows_does_not_hide_that_the_rows_of_the_others_are_ranked():
    """Rare labels get no probability of one half, so F1 is that of always the most frequent label."""
    outcomes = []
    for signal in (0.2, 0.0):
        rng = np.random.default_rng(0)
        rare = rng.random((1200, 8)) < 0.03
        labels = [["common", *NAMES[row]] for row in rare]
        for row in np.flatnonzero(rare.any(axis=1) & (rng.random(1200) < 0.3)):
            labels[row].remove("common")
        x = torch.from_numpy(signal * rare @ rng.normal(size=(8, 16)) + 0.5 * rng.normal(size=(1200, 16))).float()
        found = predict_label_sets(x[:600], labels[:600], x[600:], labels[600:], average_precision=np.full(600, 0.8))
        gain = several_labels_gain(found, found)
        assert gain.trained.f1 == pytest.approx(gain.most_frequent_f1, abs=0.01)
        outcomes.append(gain.outcome)
    assert outcomes == ["no difference", "at chance"]


@pytest.mark.slow
def test_a_large_fit_takes_a_sample():
    found = _predictions(0.5, n=1200, max_products=1000)
    assert found.fitted_rows == 1000
    gain = several_labels_gain(found, found)
    assert "fitted to a sample of 1,000 sentences" in gain.note


def test_few_rows_are_not_called_chance():
    for rows in (5, 8):
        given = np.eye(rows, dtype=bool)
        kinds = {"given": given, "predicted": given, "most_frequent": 0, "num_labels": rows}
        before, after = (
            LabelSetPredictions(
                **kinds, average_precision=np.full(rows, ap), average_precision_of_probabilities=np.full(rows, ap)
            )
            for ap in (0.3, 1.0)
        )
        gain = several_labels_gain(before, after)
        assert gain.outcome != "at chance"
        assert gain.sentence.endswith(": 5 rows cannot show it.") == (rows == 5)


@pytest.mark.parametrize("right", [100, 20])
def test_rows_of_the_most_frequent_label_alone_are_neither_few_nor_at_chance(right):
    given = np.zeros((100, 2), dtype=bool)
    given[:, 0] = True
    predicted = np.where(np.arange(100)[:, None] < right, given, ~given)
    found = LabelSetPredictions(
        given=given, predicted=predicted, average_precision=np.ones(100),
        average_precision_of_probabilities=np.ones(100), most_frequent=0, num_labels=2,
    )  # fmt: skip
    gain = several_labels_gain(found, found)
    assert gain.outcome == "no difference"
    assert gain.sentence.endswith(
        " All evaluation rows have one label, so nothing can be better than always answering it."
    )
    assert "It is unknown" not in gain.sentence


def test_the_smaller_sample_is_in_the_record():
    rng = np.random.default_rng(0)
    labels = [[f"{rng.integers(3)}"] for _ in range(2200)]
    found = []
    for dim in (32, 4):
        rows = torch.from_numpy(rng.normal(size=(2200, dim))).float()
        options = {"average_precision": np.zeros(20), "max_products": 3 * 4 * 2200}
        found.append(predict_label_sets(rows, labels, rows[:20], labels[:20], **options))
    assert [part.fitted_rows for part in found] == [1000, None]
    assert several_labels_gain(*found).fitted_rows == several_labels_gain(*found[::-1]).fitted_rows == 1000
