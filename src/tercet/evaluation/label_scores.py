"""Compute precision, recall and F1 of each label from given and predicted labels."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class LabelScores:
    """The scores of the k labels that are given or predicted.

    Attributes:
        label_ids: the label ids `(k,)`, ascending.
        rows: the number of rows with the label `(k,)`.
        predicted: the number of rows for which the label is predicted `(k,)`.
        precision: the fraction of these rows that have the label `(k,)`; 0 if it is never predicted.
        recall: the fraction of the rows of the label for which it is predicted `(k,)`; 0 if no row has the label.
        f1: the harmonic mean of precision and recall `(k,)`.
    """

    label_ids: np.ndarray
    rows: np.ndarray
    predicted: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray

    def worst_first(self) -> np.ndarray:
        """Return the positions `(k,)` by ascending F1. Of equal F1, labels with more rows are first."""
        return np.lexsort((self.label_ids, -self.rows, self.f1))


def label_scores(label_ids: np.ndarray, predicted: np.ndarray, answered: np.ndarray | None = None) -> LabelScores:
    """Return the scores of each label. The mean F1 is that of scikit-learn's `f1_score(average="macro")`.

    Args:
        label_ids: the given label ids `(n,)`, from 0; n is at least 1.
        predicted: the predicted label ids `(n,)`.
        answered: whether the prediction of each row is given as an answer `(n,)`; None for all rows. A row without an
            answer counts as a row of its label, so it lowers the recall, but not the precision.

    Example:
        >>> import numpy as np
        >>> label_scores(np.array([0, 0, 1]), np.array([0, 1, 1])).recall.tolist()
        [0.5, 1.0]
    """
    right = label_ids == predicted
    if answered is not None:
        right &= answered
        predicted = predicted[answered]
    used = np.union1d(label_ids, predicted)
    size = int(used[-1]) + 1
    rows, answers, correct = (
        np.bincount(part, minlength=size)[used] for part in (label_ids, predicted, label_ids[right])
    )
    return LabelScores(
        label_ids=used,
        rows=rows,
        predicted=answers,
        precision=correct / np.maximum(answers, 1),
        recall=correct / np.maximum(rows, 1),
        f1=2 * correct / (rows + answers),
    )
