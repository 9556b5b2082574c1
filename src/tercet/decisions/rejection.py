"""Turn what the user asks for, a precision, a coverage or a threshold, into limits of confidence and novelty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from tercet.decisions.back_off import (
    Ancestors,
    ancestor_thresholds,
    best_with_ancestors,
    level_alpha,
    right_at_level,
    steps_up,
)
from tercet.decisions.calibration import round_confidence
from tercet.decisions.fitting import Calibration, Fitted
from tercet.decisions.limit_values import check_limits
from tercet.decisions.promise import Promise, measure
from tercet.decisions.results import reason_of
from tercet.decisions.thresholds import choose_threshold, threshold_for_coverage
from tercet.errors import DataError

# The limit of the novelty that "auto" stands for without unknown sentences to tune it to. Of 0.85 to 0.99, it has
# the best mean F1 on training rows of HWU64, where a quarter of the labels were taken as unknown.
DEFAULT_MAX_NOVELTY = 0.9


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Below which confidence and above which novelty there is no answer.

    Attributes:
        threshold: the lowest confidence of an answer; None gives no answer at all.
        max_novelty: the highest novelty of an answer; None for no limit.
        of_label: the lowest confidence of an answer, by label id, for labels that have their own threshold.
        of_ancestors: with nested labels, the lowest confidence of an answer with an ancestor, by the number of levels
            that it leaves out, from 1; None for a number that gives no answer. Empty for none.
        promise: what these limits give on the calibration rows; None if nothing was asked for.
    """

    threshold: float | None = 0.0
    max_novelty: float | None = None
    of_label: Mapping[int, float] = field(default_factory=dict)
    of_ancestors: Sequence[float | None] = ()
    promise: Promise | None = None

    def lowest(self, predicted_ids: np.ndarray) -> np.ndarray:
        """Return the lowest confidence of an answer with each label: `(n,) → (n,)`."""
        shared = np.inf if self.threshold is None else self.threshold
        return np.array([self.of_label.get(label_id, shared) for label_id in predicted_ids.tolist()], dtype=float)


def is_familiar(novelty: np.ndarray, max_novelty: float | None) -> np.ndarray:
    """Return whether the novelty of each row allows an answer, bool `(n,)`. One that cannot be measured (NaN) does."""
    return np.ones(len(novelty), bool) if max_novelty is None else ~(novelty > max_novelty)


def reasons_against(
    confidence: np.ndarray, novelty: np.ndarray, lowest: np.ndarray | float, max_novelty: float | None
) -> list[str | None]:
    """Return why each of n rows has no answer; None for rows that have one.

    Args:
        confidence: the confidence of each row `(n,)`.
        novelty: the novelty of each row `(n,)`.
        lowest: the lowest confidence of an answer, for each row `(n,)` or for all.
        max_novelty: the highest novelty of an answer; None for no limit.
    """
    confident, familiar = round_confidence(confidence) >= lowest, is_familiar(novelty, max_novelty)
    return [reason_of(*pair) for pair in zip(confident.tolist(), familiar.tolist(), strict=True)]


def limits_for(
    fitted: Fitted,
    *,
    min_precision: float | None = None,
    coverage: float | None = None,
    threshold: float | None = None,
    max_novelty: float | Literal["auto"] | None = None,
    per_label: bool = False,
) -> Limits:
    """Return the limits for what was asked for.

    Raises:
        DataError: a value is out of range, two of the first three are given, or nothing can be promised.
    """
    check_limits(
        min_precision=min_precision,
        coverage=coverage,
        threshold=threshold,
        max_novelty=max_novelty,
        per_label=per_label,
    )
    if max_novelty == "auto":
        max_novelty = DEFAULT_MAX_NOVELTY if fitted.max_novelty is None else fitted.max_novelty
    if min_precision is None and coverage is None and threshold is None and max_novelty is None:
        return Limits()
    max_novelty = fitted.max_novelty if max_novelty is None else max_novelty
    calibration, ancestors = fitted.calibration, None
    if coverage is not None and not len(calibration.confidence):
        raise DataError("coverage cannot be fitted: there is no calibration row; pass more rows, or threshold")
    if min_precision is not None:
        _check_promise(fitted)
        # Labels with a threshold of their own have no ancestors: the same rows cannot give both.
        ancestors = None if per_label else fitted.ancestors
    alpha = level_alpha(0 if ancestors is None else len(calibration.ancestor_confidence))
    allowed = is_familiar(calibration.novelty, max_novelty)
    confidence, correct = round_confidence(calibration.confidence), calibration.correct
    of_label: dict[int, float] = {}
    if min_precision is not None:
        if per_label:
            of_label = _thresholds_of_labels(calibration, confidence, allowed, min_precision)
        shared = allowed & ~np.isin(calibration.predicted_ids, list(of_label))
        threshold = choose_threshold(confidence[shared], correct[shared], min_precision, alpha=alpha)
    elif coverage is not None:
        threshold = threshold_for_coverage(confidence[allowed], coverage, len(confidence))
    elif threshold is None:
        threshold = 0.0
    limits = Limits(threshold=threshold, max_novelty=max_novelty, of_label=of_label)
    lowest = limits.lowest(calibration.predicted_ids)
    answered = allowed & (confidence >= lowest)
    parents = None
    if ancestors is not None and min_precision is not None:
        right = _right_ancestors(fitted, ancestors)
        of_ancestors = calibration.ancestor_confidence
        found = ancestor_thresholds(of_ancestors, right, allowed & ~answered, min_precision, alpha)
        steps = steps_up(of_ancestors, found, reasons_against(confidence, calibration.novelty, lowest, max_novelty))
        limits, parents = replace(limits, of_ancestors=found), int((steps > 0).sum())
        answered, correct = answered | (steps > 0), right_at_level(steps, correct, right)
    promise = measure(
        confidence,
        correct,
        allowed,
        answered,
        threshold=threshold,
        min_precision=min_precision,
        max_novelty=max_novelty,
        own_thresholds=len(of_label) if per_label else None,
        parents=parents,
        calibrated=calibration.unseen,
        alpha=alpha,
    )
    if ancestors is not None and promise.is_empty:
        best = best_with_ancestors(promise.best, calibration.ancestor_confidence, right, allowed, alpha)
        promise = replace(promise, best=best)
    return replace(limits, promise=promise)


def _right_ancestors(fitted: Fitted, ancestors: Ancestors) -> np.ndarray:
    """Return whether the ancestor after each step up is right, for each calibration row: bool `(s, n)`."""
    calibration = fitted.calibration
    label_ids = fitted.rows.label_ids.numpy()[calibration.rows]
    # A label that was added may have more levels than those that were measured.
    return ancestors.are_right(label_ids, calibration.predicted_ids)[: len(calibration.ancestor_confidence)]


def _thresholds_of_labels(
    calibration: Calibration, confidence: np.ndarray, allowed: np.ndarray, min_precision: float
) -> dict[int, float]:
    """Return the threshold of each label that reaches the precision on its own, by the label id."""
    found = {}
    for label_id in np.unique(calibration.predicted_ids[allowed]).tolist():
        rows = allowed & (calibration.predicted_ids == label_id)
        threshold = choose_threshold(confidence[rows], calibration.correct[rows], min_precision)
        if threshold is not None:
            found[label_id] = threshold
    return found


def _check_promise(fitted: Fitted) -> None:
    if not fitted.calibration.unseen:
        raise DataError(
            "min_precision cannot be promised: the encoder was trained on the training rows of the classifier, or may "
            "have been, so all confidences are too high; fit with calibration_data, labelled rows that it was not "
            "trained on, or with unseen_rows=True if it was trained on none of the rows"
        )
