"""Predictions that know something about the labels, and predictions at random."""

import numpy as np

from tercet.evaluation.chance import finds_label_sets, finds_labels
from tercet.evaluation.gain import Predictions, training_gain


def test_labels_at_random_are_not_found():
    rng = np.random.default_rng(0)
    wrongly = 0
    for counts in [[500, 500], [950, 50], [100] * 10, [200, *[1] * 50], [300, *[4] * 40]] * 20:
        label_ids = np.repeat(np.arange(len(counts)), counts)
        predicted = [rng.permutation(label_ids) for _ in range(10)]
        wrongly += finds_labels(label_ids, np.array([guess == label_ids for guess in predicted]))
    assert wrongly <= 1
    assert finds_labels(label_ids, np.ones((1, len(label_ids))))
    assert not finds_labels(label_ids, np.empty((0, len(label_ids))))
    assert not finds_labels(np.zeros(100, dtype=int), np.ones((1, 100)))


def test_a_label_with_most_rows_does_not_hide_that_the_others_are_found():
    """The accuracy is that of always giving the most frequent label, 90 %, but half of the others are right."""
    label_ids = np.repeat([0, 1], [900, 100])
    predicted = np.where(np.arange(1000) < 50, 1, np.where(np.arange(1000) < 950, 0, 1))
    outcomes = []
    for rows in (predicted, np.random.default_rng(0).permutation(predicted)):
        predictions = Predictions(
            label_names=["a", "b"], label_ids=label_ids, predicted={"class_means": rows},
            average_precision=np.full(1000, 0.5), found_in_10=np.ones(1000), most_frequent=0,
        )  # fmt: skip
        outcomes.append(training_gain(predictions, predictions).outcome)
    assert outcomes == ["no difference", "at chance"]


def test_scores_at_random_do_not_rank_label_sets(monkeypatch):
    """Also if labels occur together, and the scores of one label depend on those of others."""
    rng = np.random.default_rng(0)
    draws = []
    for number in range(300):
        num_labels, rows = (3, 20, 60)[number % 3], (60, 300)[number % 2]
        scores = rng.normal(size=(rows, 2)) @ rng.normal(size=(2, num_labels)) + rng.normal(size=(rows, num_labels))
        latent = rng.normal(size=(rows, 2)) @ rng.normal(size=(2, num_labels)) + rng.normal(size=(rows, num_labels))
        draws.append((latent > rng.uniform(0.5, 3, size=num_labels), scores.round(1)))
    assert not any(finds_label_sets(*draw) for draw in draws)
    monkeypatch.setattr("tercet.evaluation.chance._STANDARD_ERRORS", 1.645)
    assert 6 <= sum(finds_label_sets(*draw) for draw in draws) <= 24  # 5 % of 300 is 15.


def test_rows_that_are_in_no_order_or_have_no_label_to_find_are_not_ranked():
    given = np.eye(200, 3, dtype=bool)
    for found in (np.ones((200, 3)), np.zeros((200, 3))):
        assert not finds_label_sets(given, found)
    assert finds_label_sets(np.arange(200)[:, None] < [10, 60], -np.arange(200)[:, None] / np.ones(2))
    for labels in (np.ones((5, 2), dtype=bool), np.zeros((5, 2), dtype=bool), np.ones((1, 2), dtype=bool)):
        assert not finds_label_sets(labels, np.random.default_rng(0).random(labels.shape))
