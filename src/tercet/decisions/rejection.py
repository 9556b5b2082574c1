"""Turn what the user asks for — a precision, a coverage or a threshold — into limits, and detect drift."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from scipy.stats import betabinom

from tercet.decisions.back_off import ancestor_thresholds, best_with_ancestors, level_alpha, right_at_level, steps_up
from tercet.decisions.calibration import round_confidence
from tercet.decisions.fitting import Calibration, Fitted
from tercet.decisions.limit_values import check_limits
from tercet.decisions.promise import Promise, measure
from tercet.decisions.results import BETWEEN_LABELS, UNLIKE_ANYTHING, reason_of
from tercet.decisions.thresholds import choose_threshold, threshold_for_coverage
from tercet.errors import DataError

# The limit of the novelty that "auto" stands for without unknown sentences to tune it to. Of 0.85 to 0.99, it has
# the best mean F1 on training rows of HWU64, where a quarter of the labels were taken as unknown.
DEFAULT_MAX_NOVELTY = 0.9
# New data are different if the number of sentences above this novelty is at least `_UNFAMILIAR_FACTOR` times the
# expected one, and as high a number is less probable than `_UNFAMILIAR_P_VALUE`.
UNFAMILIAR_NOVELTY = 0.95
_UNFAMILIAR_P_VALUE = 1e-4
_UNFAMILIAR_FACTOR = 2.0
_MIN_ROWS_FOR_DRIFT = 30


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
    calibration = fitted.calibration
    if min_precision is not None:
        _check_promise(fitted)
    allowed = is_familiar(calibration.novelty, max_novelty)
    confidence, correct = round_confidence(calibration.confidence), calibration.correct
    of_label: dict[int, float] = {}
    # Labels with a threshold of their own have no ancestors: the same rows cannot give both.
    ancestors = fitted.ancestors if min_precision is not None and not per_label else None
    alpha = level_alpha(0 if ancestors is None else len(calibration.ancestor_confidence))
    if min_precision is not None:
        shared = allowed
        if per_label:
            of_label = _thresholds_of_labels(calibration, confidence, allowed, min_precision)
            shared = allowed & ~np.isin(calibration.predicted_ids, list(of_label))
        threshold = choose_threshold(confidence[shared], correct[shared], min_precision, alpha=alpha)
    elif coverage is not None:
        if not len(confidence):
            raise DataError("coverage cannot be fitted: there is no calibration row; pass more rows, or threshold")
        threshold = threshold_for_coverage(confidence[allowed], coverage, len(confidence))
    else:
        threshold = 0.0 if threshold is None else threshold
    limits = Limits(threshold=threshold, max_novelty=max_novelty, of_label=of_label)
    answered = allowed & (confidence >= limits.lowest(calibration.predicted_ids))
    parents = None
    if ancestors is not None and min_precision is not None:
        label_ids = fitted.rows.label_ids.numpy()[calibration.rows]
        steps_confidence = calibration.ancestor_confidence
        # A label that was added may have more levels than those that were measured.
        right = ancestors.are_right(label_ids, calibration.predicted_ids)[: len(steps_confidence)]
        found = ancestor_thresholds(steps_confidence, right, allowed & ~answered, min_precision, alpha)
        reasons = [None if given else BETWEEN_LABELS if may else UNLIKE_ANYTHING
                   for given, may in zip(answered.tolist(), allowed.tolist(), strict=True)]  # fmt: skip
        steps = steps_up(steps_confidence, found, reasons)
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


def too_many_unfamiliar(novelty: np.ndarray, calibration_rows: int) -> bool:
    """Return whether far more rows than expected are unlike the training sentences.

    Of rows like the training data, about 5 % have a novelty above 0.95. Exactly, these are less familiar than the k
    least familiar of n calibration rows, so that their number among m new rows has the distribution BetaBinomial(m, k,
    n + 1 − k). New data are different if the number is at least twice the expected one, and as high a number has a
    probability below 0.0001.

    Args:
        novelty: the novelty of each new row `(m,)`; NaN if it cannot be measured.
        calibration_rows: the number of rows by which it was measured, n.
    """
    known = novelty[~np.isnan(novelty)]
    tail = int(np.ceil((1 - UNFAMILIAR_NOVELTY) * (calibration_rows + 1) - 1e-9)) - 1
    if len(known) < _MIN_ROWS_FOR_DRIFT or tail < 1:
        return False
    number = int((known > UNFAMILIAR_NOVELTY + 1e-9).sum())
    return bool(
        number >= _UNFAMILIAR_FACTOR * (1 - UNFAMILIAR_NOVELTY) * len(known)
        and betabinom.sf(number - 1, len(known), tail, calibration_rows + 1 - tail) < _UNFAMILIAR_P_VALUE
    )


def unfamiliar_message(novelty: np.ndarray, *, is_limited: bool, how_to_limit: str = "pass max_novelty='auto'") -> str:
    """Return a warning that rows are unlike the training sentences, see `too_many_unfamiliar`.

    Args:
        novelty: the novelty of each row `(n,)`.
        is_limited: whether rows above a limit of the novelty get no answer.
        how_to_limit: how to set such a limit.
    """
    known = novelty[~np.isnan(novelty)]
    limit = "" if is_limited else f"{how_to_limit} to give them no answer, or "
    return (
        f"{np.mean(known > UNFAMILIAR_NOVELTY):.1%} of {len(known):,} sentences have a novelty above "
        f"{UNFAMILIAR_NOVELTY}, but only {1 - UNFAMILIAR_NOVELTY:.0%} of sentences like those of the training data "
        "have: they are different, so the measured precision and coverage do not hold for them; "
        f"{limit}label some of them and fit the classifier again"
    )
