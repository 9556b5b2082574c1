"""Whether training lost the labels with few rows, although the accuracy stayed."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tercet.evaluation.gain import Predictions, training_gain
from tercet.evaluation.macro_f1 import macro_f1_difference
from tercet.records import TrainingGain

# Two labels with 200 rows and 20 labels with 5.
GIVEN = np.concatenate([np.repeat([0, 1], 200), np.repeat(np.arange(2, 22), 5)])


def _predicted(frequent, rare, seed=0):
    """Predict a fraction of the rows of the frequent and of the rare labels right, the others as label 0 or 1."""
    rng = np.random.default_rng(seed)
    right = rng.random(len(GIVEN)) < np.where(GIVEN < 2, frequent, rare)
    return np.where(right, GIVEN, np.where(GIVEN == 0, 1, 0))


def _predictions(*predicted):
    return Predictions(
        label_names=[f"label {number}" for number in range(22)],
        label_ids=GIVEN,
        predicted=dict(zip(("nearest_neighbours", "class_means"), predicted, strict=True)),
        average_precision=np.full(len(GIVEN), 0.5),
        most_frequent=0,
    )


def test_the_sentence_says_that_labels_with_few_rows_were_lost():
    before = _predictions(_predicted(0.7, 0.3), _predicted(0.8, 0.7))
    after = _predictions(_predicted(0.8, 0.2), _predicted(0.93, 0.15))
    gain = training_gain(before, after)
    assert gain.outcome == "no difference"
    assert gain.macro_f1.high < 0
    best = [max(f1_score(GIVEN, rows, average="macro") for rows in part.predicted.values()) for part in (before, after)]
    assert gain.macro_f1.difference == pytest.approx(best[1] - best[0])
    assert f"the best macro-F1 fell from {best[0]:.3f} to {best[1]:.3f}; look at" in gain.sentence
    again = training_gain(after, before)
    assert again.macro_f1.low > 0
    assert "macro-F1" not in again.sentence
    assert TrainingGain.from_dict({**_plain(gain), "later": 1}) == gain
    assert TrainingGain.from_dict({**_plain(gain), "macro_f1": None}).macro_f1 is None
    assert TrainingGain.from_dict({key: value for key, value in _plain(gain).items() if key != "macro_f1"}).rows == 500


def _plain(gain):
    from dataclasses import asdict

    return asdict(gain)


def test_classifiers_that_are_equally_good_seldom_differ():
    below = above = 0
    for seed in range(60):
        first, second = (
            [_predicted(0.8, 0.5, seed=4 * seed + 2 * part + other) for other in (0, 1)] for part in (0, 1)
        )
        found = macro_f1_difference(GIVEN, first, second, num_resamples=100, seed=seed)
        below, above = below + (found.high < 0), above + (found.low > 0)
    assert below <= 5
    assert above <= 5


def test_the_order_of_the_rows_changes_nothing():
    first, second, order = _predicted(0.8, 0.7), _predicted(0.9, 0.2), np.random.default_rng(1).permutation(len(GIVEN))
    found = macro_f1_difference(GIVEN, [first], [second], num_resamples=50)
    assert macro_f1_difference(GIVEN[order], [first[order]], [second[order]], num_resamples=50) == found
