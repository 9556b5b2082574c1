"""Measure answers that may be withheld: precision by coverage, and what is rejected and why.

Precision and recall of each label come from `tercet.evaluation.label_scores`, and the bins of a reliability diagram
from `tercet.decisions.calibration`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class RiskCoverage:
    """The precision of the answers at each fraction of rows that is answered, from the surest row on.

    Rows of equal confidence are answered together, so there is one point for each of the k different confidences.

    Attributes:
        threshold: the confidence from which on rows are answered, descending `(k,)`.
        coverage: the fraction of all rows that is answered `(k,)`, ascending.
        precision: the fraction of these answers that is right `(k,)`.
        area: the mean precision over all coverages up to the highest one; NaN without a point. If all rows may be
            answered and no two confidences are equal, 1 − `area` is the area under the risk–coverage curve (AURC).
    """

    threshold: np.ndarray
    coverage: np.ndarray
    precision: np.ndarray
    area: float


def risk_coverage(confidence: np.ndarray, correct: np.ndarray, allowed: np.ndarray | None = None) -> RiskCoverage:
    """Return the risk–coverage curve of n rows. The risk is 1 − precision.

    Source: Geifman and El-Yaniv 2017, Selective Classification for Deep Neural Networks.

    Args:
        confidence: the confidence of each row `(n,)`.
        correct: whether its label is predicted right `(n,)`.
        allowed: whether the row may be answered at all `(n,)`; None for all rows.

    Example:
        >>> curve = risk_coverage(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, True]))
        >>> curve.coverage.tolist(), curve.precision.round(2).tolist()
        ([0.25, 0.5, 0.75, 1.0], [1.0, 1.0, 0.67, 0.75])
    """
    number = len(confidence)
    if allowed is not None:
        confidence, correct = confidence[allowed], correct[allowed]
    order = np.argsort(-confidence, kind="stable")
    ranked, right = confidence[order], np.cumsum(correct[order])
    ends = np.flatnonzero(np.diff(ranked, append=-np.inf))  # the last row of each group of equal confidence
    answered = ends + 1
    precision = right[ends] / answered
    widths = np.diff(answered, prepend=0)
    area = float(precision @ widths / widths.sum()) if len(ends) else float("nan")
    return RiskCoverage(threshold=ranked[ends], coverage=answered / max(1, number), precision=precision, area=area)


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """The rows that were rejected for one reason.

    Attributes:
        reason: the reason, as in `Decisions.reasons`.
        rows: the number of rows.
        right: the number of them whose likeliest label is the right one.
    """

    reason: str
    rows: int
    right: int


def rejected_by_reason(reasons: Sequence[str | None], correct: np.ndarray) -> list[Rejected]:
    """Return the number of rejected rows for each reason, the most frequent first.

    Args:
        reasons: why each of the n rows is rejected; None if it is answered.
        correct: whether its label is predicted right `(n,)`.

    Example:
        >>> found = rejected_by_reason([None, "between labels", "between labels"], np.array([True, True, False]))
        >>> [(part.reason, part.rows, part.right) for part in found]
        [('between labels', 2, 1)]
    """
    rows = Counter(reason for reason in reasons if reason is not None)
    right = Counter(reason for reason, fits in zip(reasons, correct, strict=True) if reason is not None and fits)
    return [Rejected(reason=reason, rows=count, right=right[reason]) for reason, count in rows.most_common()]


def pairs_in_doubt(predicted: np.ndarray, runner_up: np.ndarray) -> list[tuple[tuple[int, int], np.ndarray]]:
    """Return the pairs of labels between which rows are, with the rows of each pair; the most frequent pair first.

    Args:
        predicted: the likeliest label id of each row `(n,)`.
        runner_up: the second likeliest `(n,)`.

    Returns:
        For each unordered pair of label ids, in ascending order, the row numbers `(k,)`.
    """
    pairs = np.sort(np.stack([predicted, runner_up], axis=1), axis=1)
    found, which, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    which = which.reshape(-1)  # two-dimensional in NumPy 2.0
    order = np.argsort(-counts, kind="stable")
    return [((int(found[at, 0]), int(found[at, 1])), np.flatnonzero(which == at)) for at in order.tolist()]
