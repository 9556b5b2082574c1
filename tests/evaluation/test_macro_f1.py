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
        found_in_10=np.ones(len(GIVEN)),
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


@pytest.mark.parametrize("rare", [[1], [2], [1] * 5])
def test_a_label_with_one_or_two_rows_seldom_differs_by_chance(rare):
    """A bootstrap would find a difference in a third of these pairs of equally good encoders."""
    given = np.concatenate([np.repeat([0, 1], 60), np.repeat(np.arange(2, 2 + len(rare)), rare)])
    differ = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        first, second = (
            np.where(rng.random(len(given)) < np.where(given < 2, 0.95, 0.5), given, np.where(given == 0, 1, 0))
            for _ in range(2)
        )
        found = macro_f1_difference(given, [first], [second], num_resamples=100, seed=seed)
        differ += found.high < 0 or found.low > 0
    assert differ <= 6


@pytest.mark.parametrize(("lost", "beyond_noise"), [(1, False), (3, False), (10, True)])
def test_labels_with_one_row_that_are_lost(lost, beyond_noise):
    """Ten labels have one row, which the first encoder classifies correctly."""
    given = np.concatenate([np.repeat([0, 1], 100), np.arange(2, 12)])
    after = given.copy()
    after[200 : 200 + lost] = 0
    found = macro_f1_difference(given, [given], [after])
    assert (found.high < 0) == beyond_noise
    assert (macro_f1_difference(given, [after], [given]).low > 0) == beyond_noise


def test_one_encoder_may_lack_the_last_classifier():
    """The logistic regression is left out if an encoder has too many dimensions for it."""
    good, bad = _predicted(0.9, 0.7), _predicted(0.8, 0.2)
    assert macro_f1_difference(GIVEN, [bad, good], [bad], num_resamples=50).high < 0
    assert macro_f1_difference(GIVEN, [bad], [bad, good], num_resamples=50).low > 0


def test_the_order_of_the_rows_changes_nothing():
    first, second, order = _predicted(0.8, 0.7), _predicted(0.9, 0.2), np.random.default_rng(1).permutation(len(GIVEN))
    found = macro_f1_difference(GIVEN, [first], [second], num_resamples=50)
    assert macro_f1_difference(GIVEN[order], [first[order]], [second[order]], num_resamples=50) == found
