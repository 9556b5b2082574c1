"""The sentence on whether training was worth it: where it helps, where it harms, at chance, near perfection."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tercet.evaluation.gain import Predictions, _has_rare_labels, _sentence, classify_queries, training_gain
from tercet.evaluation.retrieval import rank_queries
from tercet.records import TrainingGain

NAMES = [f"label {number}" for number in range(8)]


def _predictions(noise, *, shuffled=False, n=400, seed=0):
    """Predictions from embeddings of eight labels that overlap more, the more noise there is."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(8, 16))
    label_ids = np.append(np.arange(8), rng.integers(0, 8, 2 * n - 8))
    x = torch.from_numpy(centres[label_ids] + noise * rng.normal(size=(2 * n, 16))).float()
    label_ids = rng.permutation(label_ids) if shuffled else label_ids
    reference, given = label_ids[:n], label_ids[n:]
    ranked = rank_queries(x[n:], given, reference_embeddings=x[:n], reference_labels=reference)
    return classify_queries(
        x[:n], reference, x[n:], given, NAMES,
        voted_ids=reference[ranked.voted], average_precision=ranked.average_precision.numpy(),
        found_in_10=ranked.found_in_10.numpy(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "outcome", "words"),
    [
        (2.0, 0.8, "worth it", ["Training was worth it: accuracy rose from", "on the untouched encoder) to"]),
        (0.8, 2.0, "worse", ["Training made it worse", "take", "on the untouched encoder"]),
        (1.5, 1.5, "no difference", ["made no difference to the accuracy beyond noise", "To classify, take"]),
        (0.3, 0.1, "already separated", ["The encoder already separates the labels: 100.0%", "beyond noise"]),
    ],
)
def test_the_outcome_and_its_sentence(before, after, outcome, words):
    gain = training_gain(_predictions(before), _predictions(after))
    assert gain.outcome == outcome
    for word in words:
        assert word in gain.sentence
    assert gain.rows == 400
    assert TrainingGain.from_dict({**_plain(gain), "later": 1}) == gain


def _plain(gain):
    from dataclasses import asdict

    return asdict(gain)


@pytest.mark.parametrize("seed", range(8))
def test_labels_at_random_are_at_chance(seed):
    gain = training_gain(_predictions(1.0, shuffled=True, seed=seed), _predictions(0.5, shuffled=True, seed=seed))
    assert gain.outcome == "at chance"
    assert gain.sentence.startswith("Training was not worth it: accuracy is at chance")


def _by_hand(correct, precision, names=("a", "b")):
    predicted = {"nearest_neighbours": np.where(correct, 0, 1)}
    return Predictions(label_names=names, label_ids=np.zeros(len(correct), dtype=int), predicted=predicted,
                       average_precision=np.full(len(correct), precision),
                       found_in_10=np.ones(len(correct)), most_frequent=1)  # fmt: skip


def _of_two_labels(n, right):
    """Predictions for n rows, half of each of two labels, of which the first `right` of each are correct."""
    label_ids = np.arange(n) % 2
    predicted = {"nearest_neighbours": np.where(np.arange(n) < 2 * right, label_ids, 1 - label_ids)}
    return Predictions(label_names=("a", "b"), label_ids=label_ids, predicted=predicted,
                       average_precision=np.ones(n), found_in_10=np.ones(n), most_frequent=0)  # fmt: skip


@pytest.mark.parametrize(("n", "right"), [(2, 1), (12, 6), (20, 9), (30, 13), (40, 15)])
def test_few_correct_rows_are_called_neither_chance_nor_separated(n, right):
    gain = training_gain(_of_two_labels(n, right), _of_two_labels(n, right))
    assert gain.outcome == "no difference"
    assert gain.sentence.endswith(
        f" It is unknown whether this is better than always answering the most frequent label (50.0%): {n} rows cannot "
        "show it."
    )
    assert "chance" not in gain.sentence


def test_enough_rows_are_called_chance_or_are_better_without_a_note():
    for right, outcome in ((50, "at chance"), (95, "no difference"), (99, "already separated")):
        gain = training_gain(_of_two_labels(200, right), _of_two_labels(200, right))
        assert gain.outcome == outcome
        assert "It is unknown" not in gain.sentence


@pytest.mark.parametrize(
    ("before", "after", "outcome", "words"),
    [
        (400, 400, "no difference", "Training made no difference to the accuracy beyond noise: 100.0%"),
        (400, 300, "worse", "Training made it worse: accuracy fell from 100.0%"),
        (100, 100, "no difference", "Training made no difference to the accuracy beyond noise: 25.0%"),
    ],
)
def test_rows_of_the_most_frequent_label_alone_separate_nothing(before, after, outcome, words):
    found = [replace(_by_hand(np.arange(400) < right, 1.0), most_frequent=0) for right in (before, after)]
    gain = training_gain(*found)
    assert gain.most_frequent_accuracy == 1
    assert gain.outcome == outcome
    assert gain.sentence.startswith(words)
    assert gain.sentence.endswith(
        " All evaluation rows have one label, so nothing can be better than always answering it."
    )
    assert "separates" not in gain.sentence
    assert "It is unknown" not in gain.sentence


def test_a_better_ranking_is_worth_it_to_search_if_the_accuracy_stays():
    correct = np.arange(300) < 240
    gain = training_gain(_by_hand(correct, 0.4), _by_hand(correct, 0.6))
    assert gain.outcome == "no difference"
    assert gain.sentence.endswith("To search, training was worth it: MAP@R rose from 0.400 to 0.600.")
    gain = training_gain(_by_hand(correct, 0.6), _by_hand(np.arange(300) < 290, 0.4))
    assert gain.outcome == "worth it"
    assert gain.sentence.endswith("To search, training made it worse: MAP@R fell from 0.600 to 0.400.")
    gain = training_gain(_by_hand(correct, 0.6), _by_hand(correct, 0.4))
    assert gain.outcome == "no difference"
    assert gain.sentence.endswith("To search, training made it worse: MAP@R fell from 0.600 to 0.400.")
    correct = np.arange(20_000) < 16_000
    gain = training_gain(_by_hand(correct, 0.4), _by_hand(correct, 0.4003))
    assert gain.sentence.endswith("To search, training was worth it: MAP@R rose from 0.4000 to 0.4003.")


def test_the_sentence_says_that_fewer_queries_find_their_label():
    """A ranking may be better on average, and no sentence of their label is near some queries."""
    correct = np.arange(300) < 240
    found = np.where(np.arange(300) < 290, 1.0, 0.0)
    before, after = _by_hand(correct, 0.4), replace(_by_hand(correct, 0.6), found_in_10=found)
    gain = training_gain(before, after)
    lost = "recall@10 fell from 1.000 to 0.967, so more queries find no sentence of their label among the 10 nearest."
    assert gain.outcome == "no difference"
    assert gain.sentence.endswith(f" To search, it depends: MAP@R rose from 0.400 to 0.600, but {lost}")
    assert gain.recall_at_10.high < 0
    gain = training_gain(before, replace(after, average_precision=before.average_precision))
    assert gain.sentence.endswith(f" To search, training made it worse: {lost}")
    gain = training_gain(before, replace(after, average_precision=np.full(300, 0.3)))
    assert gain.sentence.endswith(f" To search, training made it worse: MAP@R fell from 0.400 to 0.300, and {lost}")
    # With a higher accuracy, the sentence says so as well.
    gain = training_gain(_by_hand(np.arange(300) < 150, 0.4), after)
    assert gain.outcome == "worth it"
    assert gain.sentence.endswith(f"but {lost}")
    assert "recall@10" not in training_gain(after, after).sentence
    gain = training_gain(replace(before, average_precision=np.full(300, 0.8)), _by_hand(np.arange(300) < 150, 0.4))
    assert gain.outcome == "worse"
    assert "To search" not in gain.sentence


def test_a_label_in_the_first_ten_is_found():
    ranked = rank_queries(
        [[0.0], [5.4]], ["a", "b"], distance="euclidean", recall_at=[1],
        reference_embeddings=[[float(at)] for at in range(12)], reference_labels=[*"c" * 9, "a", "b", "c"],
    )  # fmt: skip
    assert ranked.found_in_10.tolist() == [1.0, 1.0]
    assert ranked.metrics["recall@1"] == 0.0


def test_the_best_classifier_is_named():
    before = _predictions(1.5)
    gain = training_gain(before, before)
    accuracy = {key: scores.accuracy for key, scores in gain.untouched.classifiers.items()}
    assert accuracy[gain.untouched.best] == max(accuracy.values())
    assert gain.accuracy.difference == 0
    for key, predicted in before.predicted.items():
        assert accuracy[key] == (predicted == before.label_ids).mean()


def test_of_equally_accurate_classifiers_that_with_the_higher_macro_f1_is_the_best():
    label_ids = np.array([0] * 8 + [1, 1])
    predicted = {
        "nearest_neighbours": np.zeros(10, dtype=int),  # accuracy 0.8, no row of the rare label
        "class_means": np.array([1, 1] + [0] * 6 + [1, 1]),
        "logistic_regression": np.zeros(10, dtype=int),
    }
    found = replace(_of_two_labels(10, 5), label_ids=label_ids, predicted=predicted)
    gain = training_gain(found, found)
    assert {scores.accuracy for scores in gain.untouched.classifiers.values()} == {0.8}
    assert gain.untouched.best == "class_means"
    assert "80.0% (class means on the untouched encoder)" in gain.sentence


def test_a_logistic_regression_that_would_take_minutes_is_sampled_or_left_out(monkeypatch, caplog):
    from tercet.evaluation import classifiers

    caplog.set_level("INFO", "tercet")
    for limit, fitted, text in ((16 * 8 * 160, 160, "a sample of 160 sentences"), (16 * 8 * 4, 0, "is left out")):
        monkeypatch.setattr(classifiers.rows_to_fit, "__kwdefaults__", {"max_products": limit, "seed": 0})
        before = _predictions(1.5)
        assert before.fitted_rows == fitted
        assert ("logistic_regression" in before.predicted) == (fitted > 0)
        gain = training_gain(before, before)
        assert text in gain.note
    assert "too many for it" in caplog.text


def test_a_worse_accuracy_does_not_hide_that_fewer_queries_find_their_label():
    """MAP@R rises, recall@10 falls, and the accuracy falls as well."""
    found = np.where(np.arange(300) < 280, 1.0, 0.0)
    before = _by_hand(np.arange(300) < 290, 0.4)
    after = replace(_by_hand(np.arange(300) < 240, 0.6), found_in_10=found)
    gain = training_gain(before, after)
    assert gain.outcome == "worse"
    assert "To search, it depends: MAP@R rose from 0.400 to 0.600, but recall@10 fell from 1.000 to" in gain.sentence
    assert "worth it" not in gain.sentence


@pytest.mark.parametrize("rare", [1, 60])
def test_macro_f1_is_mentioned_only_if_some_labels_are_rare(rare):
    """If all labels have about as many rows, the accuracy counts each label equally already."""
    label_ids = np.repeat(np.arange(10), [60] * 9 + [rare])
    right = Predictions(
        label_names=[str(number) for number in range(10)], label_ids=label_ids,
        predicted={"nearest_neighbours": label_ids}, average_precision=np.ones(len(label_ids)),
        found_in_10=np.ones(len(label_ids)), most_frequent=0,
    )  # fmt: skip
    wrong = replace(right, predicted={"nearest_neighbours": np.where(np.arange(len(label_ids)) % 6, label_ids, 0)})
    gain = training_gain(right, wrong)
    gain = replace(gain, outcome="no difference")
    assert ("each label counts equally" in _sentence(gain, rare_labels=_has_rare_labels(label_ids))) == (rare == 1)
