"""Compare the trained with the untouched encoder on classified evaluation rows, and say whether training was worth it.

`classify_queries` predicts the label of each evaluation row by each classifier, from the embeddings of one encoder.
`training_gain` compares the predictions of two encoders. Which classifier is the best is found on the evaluation rows
themselves; `tercet.evaluation.bootstrap` takes that into account.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tercet._display import shown_beside
from tercet.catalogue import CLASSIFIERS
from tercet.evaluation.bootstrap import best_difference, is_above_chance, mean_difference, unknown_note
from tercet.evaluation.chance import finds_labels
from tercet.evaluation.classifiers import class_means, logistic_regression, rows_to_fit
from tercet.evaluation.label_scores import label_scores
from tercet.evaluation.macro_f1 import macro_f1_difference
from tercet.records import ClassifierScores, EncoderScores, PairedDifference, TrainingGain

logger = logging.getLogger(__name__)

# From this accuracy of the untouched encoder on, it separates the labels already.
_SEPARATED = 0.97


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The labels that classifiers predict for n evaluation rows from the embeddings of one encoder.

    Attributes:
        label_names: the name of each label id.
        label_ids: the given label ids, int64 `(n,)`.
        predicted: the predicted label ids, int64 `(n,)`, by the key of the classifier.
        average_precision: the average precision at R of each row, float64 `(n,)`, whose mean is MAP@R.
        found_in_10: whether the 10 nearest training rows have one with the label of each row, float64 `(n,)`, whose
            mean is recall@10.
        most_frequent: the most frequent label id of the training rows.
        fitted_rows: the number of training rows to which the logistic regression was fitted if there are too many for
            all of them, 0 if it was left out; None if it was fitted to all rows.
    """

    label_names: Sequence[str]
    label_ids: np.ndarray
    predicted: dict[str, np.ndarray]
    average_precision: np.ndarray
    found_in_10: np.ndarray
    most_frequent: int
    fitted_rows: int | None = None

    def correct(self) -> np.ndarray:
        """Return whether each of the c classifiers predicts each label, bool `(c, n)`."""
        return np.stack([predicted == self.label_ids for predicted in self.predicted.values()])

    def scores(self) -> EncoderScores:
        """Return the accuracy and the macro-F1 of each classifier, and MAP@R."""
        return EncoderScores(
            map_at_r=float(self.average_precision.mean()),
            recall_at_10=float(self.found_in_10.mean()),
            classifiers={
                key: ClassifierScores(
                    accuracy=float((predicted == self.label_ids).mean()),
                    macro_f1=float(label_scores(self.label_ids, predicted).f1.mean()),
                )
                for key, predicted in self.predicted.items()
            },
        )


def classify_queries(
    reference: Tensor,
    reference_ids: np.ndarray,
    queries: Tensor,
    label_ids: np.ndarray,
    label_names: Sequence[str],
    *,
    voted_ids: np.ndarray,
    average_precision: np.ndarray,
    found_in_10: np.ndarray,
) -> Predictions:
    """Predict the label of each of n evaluation rows by each classifier. Log a note if not all training rows are used.

    Args:
        reference: the embeddings of the training rows `(m, dim)`.
        reference_ids: their label ids `(m,)`.
        queries: the embeddings of the evaluation rows `(n, dim)`.
        label_ids: their given label ids `(n,)`.
        label_names: the name of each label id.
        voted_ids: the label ids that win the vote of the nearest neighbours `(n,)`, see `rank_queries`.
        average_precision: the average precision at R of each row `(n,)`.
        found_in_10: whether the 10 nearest training rows have one with the label of each row `(n,)`.
    """
    ids = torch.from_numpy(reference_ids).to(reference.device)
    queries = queries.to(reference.device)
    predicted = {"nearest_neighbours": voted_ids, "class_means": class_means(reference, ids, queries).cpu().numpy()}
    rows = rows_to_fit(ids, reference.shape[1])
    size = f"{len(ids):,} training rows, {len(label_names):,} labels and {reference.shape[1]:,} dimensions"
    if rows is None:
        logger.info(f"the logistic regression is left out: {size} are too many for it")
    else:
        if len(rows) < len(ids):
            logger.info(f"the logistic regression is fitted to a sample of {len(rows):,} rows: {size} would take long")
        predicted["logistic_regression"] = logistic_regression(reference[rows], ids[rows], queries).cpu().numpy()
    return Predictions(
        label_names=label_names,
        label_ids=label_ids,
        predicted=predicted,
        average_precision=average_precision,
        found_in_10=found_in_10,
        most_frequent=int(np.bincount(reference_ids).argmax()),
        fitted_rows=0 if rows is None else None if len(rows) == len(ids) else len(rows),
    )


def training_gain(untouched: Predictions, trained: Predictions, *, seed: int = 0) -> TrainingGain:
    """Compare the best classifier of the trained encoder with the best one of the untouched encoder.

    Args:
        untouched: the predictions from the embeddings of the untouched encoder.
        trained: those from the embeddings of the trained encoder, for the same rows.
        seed: the seed of the bootstrap.
    """
    always = untouched.label_ids == untouched.most_frequent
    correct = untouched.correct(), trained.correct()
    above_chance = is_above_chance(
        float(always.mean()),
        lambda confidence: [best_difference(always[None], rows, confidence=confidence, seed=seed) for rows in correct],
    )
    fitted = untouched.fitted_rows, trained.fitted_rows
    gain = TrainingGain(
        rows=len(always),
        labels=len(untouched.label_names),
        most_frequent_accuracy=float(always.mean()),
        untouched=untouched.scores(),
        trained=trained.scores(),
        accuracy=best_difference(*correct, seed=seed),
        map_at_r=mean_difference(untouched.average_precision, trained.average_precision),
        recall_at_10=mean_difference(untouched.found_in_10, trained.found_in_10),
        macro_f1=macro_f1_difference(
            untouched.label_ids, [*untouched.predicted.values()], [*trained.predicted.values()], seed=seed
        ),
        outcome="at chance",
        sentence="",
        fitted_rows=min((rows for rows in fitted if rows is not None), default=None),
    )
    if above_chance is not False or finds_labels(untouched.label_ids, np.concatenate(correct)):
        gain.outcome = _outcome(gain, above_chance=above_chance is True)
    gain.sentence = _sentence(gain, rare_labels=_has_rare_labels(untouched.label_ids))
    if above_chance is None:
        answer = f"always answering the most frequent label ({gain.most_frequent_accuracy:.1%})"
        note = unknown_note(gain.most_frequent_accuracy, gain.rows, predictions="this is", answer=answer)
        gain.sentence += f" {note}"
    return gain


def _outcome(
    gain: TrainingGain, *, above_chance: bool
) -> Literal["worth it", "worse", "already separated", "no difference"]:
    """Return the outcome of encoders that are not at chance, or of which it is unknown."""
    if gain.accuracy.low > 0:
        return "worth it"
    if gain.accuracy.high < 0:
        return "worse"
    separated = gain.untouched.classifiers[gain.untouched.best].accuracy >= _SEPARATED
    return "already separated" if separated and above_chance else "no difference"


def _has_rare_labels(label_ids: np.ndarray) -> bool:
    """Return whether a label has less than half as many rows as another one, so that it counts less in the accuracy."""
    counts = np.unique(label_ids, return_counts=True)[1]
    return bool(2 * counts.min() < counts.max())


def _sentence(gain: TrainingGain, *, rare_labels: bool) -> str:
    """Return the outcome in words.

    Args:
        gain: the comparison, with its outcome.
        rare_labels: whether some labels have far fewer evaluation rows than others.
    """
    untouched, trained = (scores.classifiers[scores.best].accuracy for scores in (gain.untouched, gain.trained))
    before, after = (
        f"{shown_beside(value, other, '.1%')} ({CLASSIFIERS[scores.best]} on the {name})"
        for value, other, scores, name in (
            (untouched, trained, gain.untouched, "untouched encoder"),
            (trained, untouched, gain.trained, "trained model"),
        )
    )
    simplest = f"take {CLASSIFIERS[gain.untouched.best]} on the untouched encoder"
    others = (_rare_labels(gain) if rare_labels else "") + _search(gain)
    change = f"{points(gain.accuracy.difference)} points ({interval_text(gain.accuracy)})"
    if gain.outcome == "at chance":
        return (
            f"Training was not worth it: accuracy is at chance, {after}; always answering the most frequent label "
            f"gives {gain.most_frequent_accuracy:.1%}. The labels do not follow from the sentences: check them."
        )
    if gain.outcome == "worth it":
        return f"Training was worth it: accuracy rose from {before} to {after}, by {change}.{others}"
    if gain.outcome == "worse":
        return f"Training made it worse: accuracy fell from {before} to {after}, by {change}; {simplest}.{others}"
    if gain.outcome == "already separated":
        return (
            f"The encoder already separates the labels: {before}. Training made no difference beyond noise, {change}; "
            f"{simplest}.{others}"
        )
    return (
        f"Training made no difference to the accuracy beyond noise: {before}, then {after}, {change}. To classify, "
        f"{simplest}.{others}"
    )


def _rare_labels(gain: TrainingGain) -> str:
    """Return a sentence about macro-F1 if it fell beyond noise and the accuracy did not; else ""."""
    if gain.macro_f1 is None or gain.macro_f1.high >= 0 or gain.outcome == "worse":
        return ""
    before, after = (
        max(scores.macro_f1 for scores in encoder.classifiers.values()) for encoder in (gain.untouched, gain.trained)
    )
    worse = "If each label counts equally, training made it worse"
    return f" {worse}: the best macro-F1 fell {_from_to(before, after)}; look at the labels with few rows."


def _search(gain: TrainingGain) -> str:
    """Return a sentence about MAP@R and recall@10 if one changed beyond noise; else "".

    A MAP@R that changed as the accuracy did is not mentioned, but each fall of recall@10 is.
    """
    rose, fell = gain.map_at_r.low > 0, gain.map_at_r.high < 0
    before, after = gain.untouched.map_at_r, gain.trained.map_at_r
    map_at_r = f"MAP@R {'rose' if rose else 'fell'} {_from_to(before, after)}"
    if gain.recall_at_10 is not None and gain.recall_at_10.high < 0:
        before, after = gain.untouched.recall_at_10 or 0.0, gain.trained.recall_at_10 or 0.0
        verdict = "it depends" if rose else "training made it worse"
        first = f"{map_at_r}, but " if rose else f"{map_at_r}, and " if fell else ""
        return (
            f" To search, {verdict}: {first}recall@10 fell {_from_to(before, after)}, so more queries find no sentence "
            "of their label among the 10 nearest."
        )
    if fell:
        return "" if gain.outcome == "worse" else f" To search, training made it worse: {map_at_r}."
    return f" To search, training was worth it: {map_at_r}." if rose and gain.outcome != "worth it" else ""


def _from_to(before: float, after: float) -> str:
    return f"from {shown_beside(before, after, '.3f')} to {shown_beside(after, before, '.3f')}"


def points(value: float) -> str:
    """Return a difference of fractions in percentage points, such as `+1.2`."""
    return shown_beside(100 * value, 0, "+.1f").replace("-", "−")


def interval_text(difference: PairedDifference) -> str:
    """Return the interval of a difference of fractions in words, in percentage points."""
    return f"95% interval {points(difference.low)} to {points(difference.high)}"
