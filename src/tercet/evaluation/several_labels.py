"""Compare the trained with the untouched encoder on rows with several labels, and say whether training was worth it.

`predict_label_sets` predicts the labels of each evaluation row by binary relevance, a logistic regression for each
label. The predicted probabilities also rank the training rows, in the place of the embeddings. So the comparison shows
what a user gets without any training of the encoder.

Source of binary relevance: Tsoumakas and Katakis 2007, "Multi-label classification: An overview", section 2.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tercet._display import shown_beside
from tercet.distances import at_least_float32
from tercet.evaluation.bootstrap import is_above_chance, mean_difference, unknown_note
from tercet.evaluation.chance import finds_label_sets
from tercet.evaluation.classifiers import MAX_FIT_PRODUCTS, PENALTY
from tercet.evaluation.logistic import BLOCK_VALUES, SCALE, centre_and_factor, fit_logistic_per_label
from tercet.evaluation.relevance import indicators
from tercet.evaluation.retrieval import rank_queries
from tercet.records import PairedDifference
from tercet.records.several_labels import SeveralLabelsGain, SeveralLabelsScores

# With fewer rows, most labels would have none.
_MIN_FITTED_ROWS = 1_000


@dataclass(frozen=True, kw_only=True)
class LabelSetPredictions:
    """The labels that are predicted for n evaluation rows from the embeddings of one encoder.

    Attributes:
        given: whether each row has each label, bool `(n, num_labels)`.
        predicted: whether each label is predicted, bool `(n, num_labels)`.
        average_precision: the average precision at R of each row by the embeddings, float64 `(n,)`.
        average_precision_of_probabilities: the same by the predicted probabilities.
        most_frequent: the number of the most frequent label of the training rows.
        num_labels: the number of labels of the training rows.
        fitted_rows: the number of training rows to which the regressions were fitted; None for all.
        finds_labels: whether the probabilities rank the rows by their labels, see `finds_label_sets`.
    """

    given: np.ndarray
    predicted: np.ndarray
    average_precision: np.ndarray
    average_precision_of_probabilities: np.ndarray
    most_frequent: int
    num_labels: int
    fitted_rows: int | None = None
    finds_labels: bool = False

    def f1(self) -> np.ndarray:
        """Return the F1 of the labels of each row `(n,)`."""
        return _f1(self.given, self.predicted, axis=1)

    def most_frequent_f1(self) -> np.ndarray:
        """Return the F1 of each row `(n,)` if the most frequent label is always predicted."""
        always = np.zeros_like(self.given)
        always[:, self.most_frequent] = True
        return _f1(self.given, always, axis=1)

    def rankings(self) -> dict[str, np.ndarray]:
        """Return the average precision at R of each row, by what ranks the training rows."""
        return {
            "the embeddings": self.average_precision,
            "a logistic regression for each label": self.average_precision_of_probabilities,
        }

    def scores(self) -> SeveralLabelsScores:
        """Return the mean scores."""
        used = self.given.any(axis=0) | self.predicted.any(axis=0)
        return SeveralLabelsScores(
            map_at_r=float(self.average_precision.mean()),
            logistic_map_at_r=float(self.average_precision_of_probabilities.mean()),
            f1=float(self.f1().mean()),
            micro_f1=float(_f1(self.given.reshape(1, -1), self.predicted.reshape(1, -1), axis=1)[0]),
            macro_f1=float(_f1(self.given[:, used], self.predicted[:, used], axis=0).mean()),
        )


def predict_label_sets(
    reference: Tensor,
    reference_labels: Sequence[Collection[str]],
    queries: Tensor,
    labels: Sequence[Collection[str]],
    *,
    average_precision: np.ndarray,
    max_products: int = MAX_FIT_PRODUCTS,
    seed: int = 0,
) -> LabelSetPredictions:
    """Predict the labels of each of n evaluation rows: those with a probability of ½ or more, and always the likeliest.

    Args:
        reference: the embeddings of the training rows `(m, dim)`.
        reference_labels: the labels of each of them.
        queries: the embeddings of the evaluation rows `(n, dim)`, each of which shares a label with a training row.
        labels: their given labels. A label that no training row has is never predicted.
        average_precision: the average precision at R of each evaluation row by its embedding `(n,)`.
        max_products: the maximum number of rows × labels × dimensions for a fit to all rows.
        seed: the seed of the sample of rows for the fit, if there are more.
    """
    names = sorted({label for row in (*reference_labels, *labels) for label in row})
    number = {label: at for at, label in enumerate(names)}
    has_label, given = (
        indicators([[number[label] for label in row] for row in part], len(names)).bool()
        for part in (reference_labels, labels)
    )
    reference, queries = at_least_float32(reference), at_least_float32(queries).to(reference.device)
    has_label = has_label.to(reference.device)
    rows = max(_MIN_FITTED_ROWS, max_products // (len(names) * reference.shape[1]))
    chosen = torch.arange(len(reference))
    if rows < len(reference):
        chosen = torch.randperm(len(reference), generator=torch.Generator().manual_seed(seed))[:rows].sort().values
    fitted, mean, factor = reference[chosen], *centre_and_factor(reference[chosen])
    model = fit_logistic_per_label((fitted - mean) * factor, has_label[chosen], SCALE**2 * PENALTY)
    # In float64, no row of small probabilities has a norm of 0.
    block_rows = max(1, BLOCK_VALUES // len(names))
    of_reference, of_queries = (
        torch.cat(
            [
                torch.addmm(model.bias, (block - mean) * factor, model.weights.T).cpu().double().sigmoid()
                for block in part.split(block_rows)
            ]
        )
        for part in (reference, queries)
    )
    ranked = rank_queries(
        of_queries, labels, reference_embeddings=of_reference, reference_labels=reference_labels, recall_at=(1,)
    )
    predicted = (of_queries >= 0.5).scatter_(1, of_queries.argmax(dim=1, keepdim=True), True)
    return LabelSetPredictions(
        given=given.numpy(),
        predicted=predicted.numpy(),
        average_precision=average_precision,
        average_precision_of_probabilities=ranked.average_precision.numpy(),
        most_frequent=int(has_label.sum(dim=0).argmax()),
        num_labels=int(has_label.any(dim=0).sum()),
        fitted_rows=rows if rows < len(reference) else None,
        finds_labels=finds_label_sets(given.numpy(), of_queries.numpy()),
    )


def several_labels_gain(untouched: LabelSetPredictions, trained: LabelSetPredictions) -> SeveralLabelsGain:
    """Compare the trained with the untouched encoder on the same rows: to search, and to predict labels."""
    always, f1 = untouched.most_frequent_f1(), (untouched.f1(), trained.f1())
    above_chance = is_above_chance(
        float(always.mean()),
        lambda confidence: [mean_difference(always, rows, confidence=confidence) for rows in f1],
    )
    fitted = untouched.fitted_rows, trained.fitted_rows
    rankings = untouched.rankings(), trained.rankings()
    best = [max(found, key=lambda key: found[key].mean()) for found in rankings]
    of_search = mean_difference(*(found[key] for found, key in zip(rankings, best, strict=True)))
    gain = SeveralLabelsGain(
        rows=len(always),
        labels=untouched.num_labels,
        most_frequent_f1=float(always.mean()),
        untouched=untouched.scores(),
        trained=trained.scores(),
        f1=mean_difference(*f1),
        map_at_r=of_search,
        outcome="at chance",
        sentence="",
        fitted_rows=min((rows for rows in fitted if rows is not None), default=None),
    )
    if above_chance is False and not (untouched.finds_labels or trained.finds_labels):
        gain.sentence = (
            f"Training was not worth it: the predicted labels are at chance, with an F1 of {gain.trained.f1:.3f}; "
            f"always the most frequent label gives {gain.most_frequent_f1:.3f}. The labels do not follow from the "
            "sentences: check them."
        )
        return gain
    gain.outcome = _outcome(gain.f1, gain.map_at_r)
    regressions = "a logistic regression for each label"
    before, after = (float(found[key].mean()) for found, key in zip(rankings, best, strict=True))
    parts = [
        _part("search", "MAP@R", gain.map_at_r, (before, best[0]), (after, best[1])),
        f"The embeddings alone have a MAP@R of {gain.untouched.map_at_r:.3f}, then {gain.trained.map_at_r:.3f}.",
        _part("predict labels", "F1", gain.f1, (gain.untouched.f1, regressions), (gain.trained.f1, regressions)),
    ]
    if above_chance is None:
        answer = f"always the most frequent one (F1 {gain.most_frequent_f1:.3f})"
        parts.append(unknown_note(gain.most_frequent_f1, gain.rows, predictions="these labels are", answer=answer))
    gain.sentence = " ".join(parts)
    return gain


def _outcome(*differences: PairedDifference) -> Literal["worth it", "worse", "mixed", "no difference"]:
    above, below = any(one.low > 0 for one in differences), any(one.high < 0 for one in differences)
    if above and below:
        return "mixed"
    return "worth it" if above else "worse" if below else "no difference"


def _part(
    use: str, metric: str, difference: PairedDifference, before: tuple[float, str], after: tuple[float, str]
) -> str:
    """Return a sentence about one use of the encoder; `before` and `after` are a value and how it is reached."""
    start = f"{shown_beside(before[0], after[0], '.3f')} ({before[1]}, untouched encoder)"
    end = f"{shown_beside(after[0], before[0], '.3f')} ({after[1]}, trained model)"
    of_change = (difference.difference, difference.low, difference.high)
    by, low, high = (shown_beside(value, 0, "+.3f").replace("-", "−") for value in of_change)
    change = f"{by} (95% interval {low} to {high})"
    if difference.low > 0:
        return f"To {use}, training was worth it: {metric} rose from {start} to {end}, by {change}."
    simplest = f"take {before[1]} on the untouched encoder"
    if difference.high < 0:
        return f"To {use}, training made it worse: {metric} fell from {start} to {end}, by {change}; {simplest}."
    return f"To {use}, training made no difference beyond noise: {metric} {start}, then {end}, {change}; {simplest}."


def _f1(given: np.ndarray, predicted: np.ndarray, axis: int) -> np.ndarray:
    """Return F1 along an axis; there is a given or a predicted label everywhere."""
    right = (given & predicted).sum(axis)
    f1: np.ndarray = 2 * right / (given.sum(axis) + predicted.sum(axis))
    return f1
