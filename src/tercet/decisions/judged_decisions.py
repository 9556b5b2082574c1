"""Compare the decisions about labelled rows with their labels: how many are answered, how many answers are right."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from tercet._display import shown_beside
from tercet._nested_labels import describe_levels_left_out
from tercet.decisions.calibration import Reliability, error_by_chance, reliability, round_confidence
from tercet.decisions.curves import RiskCoverage, rejected_by_reason, risk_coverage
from tercet.decisions.drift import unfamiliar_message
from tercet.decisions.promise import Promise, decimals
from tercet.decisions.rejection import is_familiar
from tercet.decisions.thresholds import interval


@dataclass(frozen=True, kw_only=True)
class ChosenLimits:
    """The limits at which decisions are judged.

    Attributes:
        promise: what the limits give on the calibration rows; None if all rows are answered.
        note: why the limits are not those that were asked for; "" if they are.
    """

    promise: Promise | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class JudgedDecisions:
    """The decisions of a classifier about n labelled rows.

    Attributes:
        source: which rows these are, for messages.
        limits: the limits of the answers.
        label_names: the names of the labels: first those of the classifier, then those that it does not know.
        num_known: the number of labels of the classifier.
        label_ids: the given label of each row `(n,)`, an index into `label_names`.
        predicted_ids: the likeliest label of each row `(n,)`.
        runner_up_ids: the second likeliest `(n,)`.
        confidence: the probability of the likeliest label `(n,)`.
        novelty: how unlike the training sentences each row is, see `Decisions` `(n,)`.
        reasons: why a row has no answer; None for answers.
        rows: the number of each row in its data, from 0 `(n,)`.
        sentences: the texts, None for one that is not known; None if none is.
        basis: `"new"` for rows that the classifier has not seen; `"held out"` for those that gave temperature and
            thresholds, with the answers before they joined the gallery; `"folds"` for out-of-fold predictions for
            training rows, which gave them.
        left_out: the number of rows that were left out, because the classifier has copies of them.
        unfamiliar: whether far more rows than expected are unlike the training sentences.
        levels_left_out: with nested labels, the number of levels that the answer leaves out `(n,)`; None without.
        parent_right: whether the given label is below the answer, for answers that leave out levels `(n,)`.
    """

    source: str
    limits: ChosenLimits
    label_names: list[str]
    num_known: int
    label_ids: np.ndarray
    predicted_ids: np.ndarray
    runner_up_ids: np.ndarray
    confidence: np.ndarray
    novelty: np.ndarray
    reasons: list[str | None]
    rows: np.ndarray
    sentences: Sequence[str | None] | None = None
    basis: Literal["new", "held out", "folds"] = "new"
    left_out: int = 0
    unfamiliar: bool = False
    levels_left_out: np.ndarray | None = None
    parent_right: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.label_ids)

    @property
    def answered(self) -> np.ndarray:
        """Return whether each row has an answer, bool `(n,)`."""
        return np.array([reason is None for reason in self.reasons], dtype=bool)

    @property
    def correct(self) -> np.ndarray:
        """Return whether the likeliest label is the given one, bool `(n,)`."""
        return np.asarray(self.predicted_ids == self.label_ids)

    @property
    def is_parent(self) -> np.ndarray:
        """Return whether the answer of each row is a parent of the likeliest label, bool `(n,)`."""
        return np.zeros(len(self), bool) if self.levels_left_out is None else self.levels_left_out > 0

    @property
    def parents_by_levels_left_out(self) -> dict[int, int]:
        """Return the number of answers with a parent, by the number of levels that they leave out."""
        if self.levels_left_out is None:
            return {}
        steps, counts = np.unique(self.levels_left_out[self.is_parent], return_counts=True)
        return dict(zip(steps.tolist(), counts.tolist(), strict=True))

    @property
    def right(self) -> np.ndarray:
        """Return whether the answer of each row is right at its level, bool `(n,)`: the label, or the parent."""
        return self.correct if self.parent_right is None else np.where(self.is_parent, self.parent_right, self.correct)

    @property
    def known(self) -> np.ndarray:
        """Return whether the classifier knows the given label, bool `(n,)`."""
        return np.asarray(self.label_ids < self.num_known)

    @property
    def answered_with_parent_of_unknown(self) -> np.ndarray:
        """Return whether the answer of each row is a parent of a label that the classifier does not know `(n,)`."""
        return np.asarray(~self.known & self.answered & self.is_parent & self.right)

    @property
    def coverage(self) -> float:
        """Return the fraction of the rows that is answered; NaN without rows."""
        return _mean(self.answered)

    @property
    def precision(self) -> float:
        """Return the fraction of the answers that is right; NaN without an answer.

        An answer to a row whose label the classifier does not know is wrong, unless it is a parent of this label.
        """
        return _mean(self.right[self.answered])

    @property
    def accuracy(self) -> float:
        """Return the fraction of the rows with a known label whose likeliest label is right, answered or not."""
        return _mean(self.correct[self.known])

    @property
    def risk_coverage(self) -> RiskCoverage:
        """Return the precision by coverage. Rows above the highest novelty of an answer are never answered."""
        promise = self.limits.promise
        limit = None if promise is None else promise.max_novelty
        return risk_coverage(round_confidence(self.confidence), self.correct, is_familiar(self.novelty, limit))

    @property
    def reliability(self) -> Reliability:
        """Return how well confidences agree with the fraction of right answers, on the rows with a known label."""
        return reliability(self.confidence[self.known], self.correct[self.known])

    @cached_property  # Cached, because the report and the record both read it, and computing it draws random answers.
    def calibration_error_by_chance(self) -> float:
        """Return the calibration error that perfectly honest confidences of these rows would have by chance."""
        return error_by_chance(self.confidence[self.known])

    @property
    def shortfall(self) -> str:
        """Return that the precision is below the promised one, in a sentence; "" if it is not."""
        promise = self.limits.promise
        if promise is None or promise.min_precision is None or not self.precision < promise.min_precision:
            return ""
        chance = "" if self.breaks_promise else "; with so few answers, this may be chance"
        precision = shown_beside(self.precision, promise.min_precision, ".1%")
        return (
            f"{precision} of the {self.answered.sum():,} answers to {self.source} are right, less than the "
            f"promised {_exact(promise.min_precision)}{chance}"
        )

    @property
    def breaks_promise(self) -> bool:
        """Return whether the precision is below the promised one by more than chance: with 97.5 % confidence."""
        promise, answered = self.limits.promise, self.answered
        if promise is None or promise.min_precision is None or not answered.any():
            return False
        return interval(int(self.right[answered].sum()), int(answered.sum()))[1] < promise.min_precision

    @property
    def warnings(self) -> list[str]:
        """Return the reasons why the promise does not hold for these rows."""
        promise, how, found = self.limits.promise, "classify with a limit of the novelty", []
        if self.unfamiliar:
            is_limited = promise is not None and promise.max_novelty is not None
            found.append(unfamiliar_message(self.novelty, is_limited=is_limited, how_to_limit=how))
        return [*found, *([self.shortfall] if self.breaks_promise else [])]

    def describe(self) -> str:
        """Return coverage and precision in one sentence."""
        if not len(self):
            return f"there is no row to judge in {self.source}"
        promise = self.limits.promise
        limit = "without a limit" if promise is None else _limit(promise)
        right = "" if not self.answered.any() else f"; {self.precision:.1%} of the answers are right"
        parents = ""
        if by_level := self.parents_by_levels_left_out:
            levels = describe_levels_left_out(by_level)
            parents = f", {sum(by_level.values()):,} of them with a parent of the label{levels}"
        return f"{limit}, {self.coverage:.1%} of {len(self):,} rows are answered{parents}{right}"

    def to_dict(self) -> dict[str, Any]:
        """Return the counts and fractions as JSON values; a fraction is None where there are no rows."""
        promise, known = self.limits.promise, self.known
        return {
            "rows": len(self),
            "left_out": self.left_out,
            "answered": int(self.answered.sum()),
            **(
                {}
                if self.levels_left_out is None
                else {
                    "answered_with_parent": int(self.is_parent.sum()),
                    "answered_by_levels_left_out": {
                        str(levels): rows for levels, rows in self.parents_by_levels_left_out.items()
                    },
                }
            ),
            "coverage": _value(self.coverage),
            "precision": _value(self.precision),
            "accuracy": _value(self.accuracy),
            "calibration_error": _value(self.reliability.error if known.any() else float("nan")),
            "calibration_error_by_chance": _value(self.calibration_error_by_chance if known.any() else float("nan")),
            "area": _value(self.risk_coverage.area),
            "reasons": {part.reason: part.rows for part in rejected_by_reason(self.reasons, self.correct)},
            "rows_with_unknown_label": int((~known).sum()),
            "unknown_rejected": _value(_mean(~self.answered[~known])),
            **(
                {}
                if self.levels_left_out is None
                else {"unknown_answered_with_parent": int(self.answered_with_parent_of_unknown.sum())}
            ),
            "promise": None if promise is None else promise.to_dict(),
            "note": self.limits.note,
            "warnings": self.warnings,
        }


def _limit(promise: Promise) -> str:
    if promise.min_precision is not None:
        return f"at {_exact(promise.min_precision)} promised precision"
    if not promise.threshold and promise.max_novelty is not None:
        return f"with a novelty of at most {decimals(promise.max_novelty)}"
    return f"with a confidence of at least {decimals(promise.threshold or 0.0)}"


def _exact(fraction: float) -> str:
    return f"{round(100 * fraction, 6):g}%"


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _value(value: float) -> float | None:
    return None if value != value else value
