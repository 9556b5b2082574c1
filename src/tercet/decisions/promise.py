"""State what a threshold of the confidence gives on the calibration rows: coverage and precision, with their bounds."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tercet.decisions.thresholds import ALPHA, best_precision, interval, lower_bound
from tercet.errors import counted, is_or_are


@dataclass(frozen=True, kw_only=True)
class Promise:
    """The measured coverage and precision of a threshold on the calibration rows.

    Attributes:
        min_precision: the precision that was asked for; None if a coverage or a threshold was given.
        threshold: answers with at least this confidence are given; None if no threshold reaches `min_precision`.
        max_novelty: answers above this novelty are not given; None for all.
        rows: the number of calibration rows.
        answered: the number of them that are answered.
        coverage: the fraction of them that is answered.
        coverage_low: the lower end of its 95 % interval.
        coverage_high: the upper end.
        precision: the fraction of right answers; NaN without an answer.
        precision_low: the precision is at least this, with 95 % confidence if the threshold was not chosen by its
            precision; NaN without an answer, and if `calibrated` is False.
        best: if no threshold reaches `min_precision`, the highest precision that can be promised; NaN for none.
        own_thresholds: with thresholds per label, the number of labels that have their own, each with this precision on
            its own; the other labels share `threshold`. None without.
        parents: with nested labels, the number of answered rows whose answer is an ancestor of the likeliest label.
            They are right if the given label is below it. None for labels without levels.
        calibrated: whether the encoder has not seen the calibration rows. If it may have, nothing is promised, and
            new sentences may give less.
        added_labels: the number of labels that were added later. The calibration rows say nothing about them.
    """

    min_precision: float | None
    threshold: float | None
    max_novelty: float | None
    rows: int
    answered: int
    coverage: float
    coverage_low: float
    coverage_high: float
    precision: float
    precision_low: float
    best: float = float("nan")
    own_thresholds: int | None = None
    parents: int | None = None
    calibrated: bool = True
    added_labels: int = 0

    @property
    def is_empty(self) -> bool:
        """Return whether no threshold reaches the precision, so that nothing is answered."""
        return self.threshold is None and not self.own_thresholds and not self.parents

    def to_dict(self) -> dict[str, Any]:
        """Return all attributes as JSON values; None instead of NaN."""
        return {name: None if value != value else value for name, value in asdict(self).items()}

    def describe(self) -> str:
        """Return the promise in one sentence."""
        if self.rows == 0:
            return "nothing can be promised: there are no calibration rows"
        answers = (
            f"it answers {_percent(self.coverage)} % ({_percent(self.coverage_low)}–{_percent(self.coverage_high)} %)"
        )
        measured = f"measured on {self.rows:,} calibration rows"
        if not self.calibrated:
            measured += ", on which the encoder was trained, or may have been, so new sentences may give less"
        if self.added_labels:
            were, them = ("was", "it") if self.added_labels == 1 else ("were", "them")
            are = is_or_are(self.added_labels)
            measured += (
                f"; {counted(self.added_labels, 'label')} {were} added later and {are} not measured (fit again to "
                f"measure {them})"
            )
        if self.min_precision is None:
            known = "" if self.answered == 0 else f"; {_percent(self.precision)} % of the answers are right"
            if self.precision_low == self.precision_low:
                known += f" (at least {_percent_below(self.precision_low)} % with 95 % confidence)"
            limits = [
                *([f"a confidence of at least {decimals(self.threshold)}"] if self.threshold else []),
                *([f"a novelty of at most {decimals(self.max_novelty)}"] if self.max_novelty is not None else []),
            ]
            return f"with {' and '.join(limits) or 'no limit'} {answers}{known}; {measured}"
        wanted = f"{round(100 * self.min_precision, 6):g} % precision"
        familiar = f" and a novelty of at most {decimals(self.max_novelty)}" if self.max_novelty is not None else ""
        if self.is_empty:
            best = (
                f"the highest precision that can be promised is {_percent_below(self.best)} %"
                if self.best == self.best
                else "there are too few calibration rows to promise any precision"
            )
            return f"no threshold gives {wanted} with 95 % confidence: {best}; {measured}"
        own = "" if self.own_thresholds is None else f"; {self.own_thresholds:,} labels have their own threshold"
        parents = ""
        if self.parents is not None:
            parents = f", of which {_percent(self.parents / max(1, self.answered))} % with a parent of the label only"
        return f"at {wanted}{familiar} {answers}{parents}{own}; {measured}"


def measure(
    confidence: np.ndarray,
    correct: np.ndarray,
    allowed: np.ndarray,
    answered: np.ndarray,
    *,
    threshold: float | None,
    min_precision: float | None = None,
    max_novelty: float | None = None,
    own_thresholds: int | None = None,
    parents: int | None = None,
    calibrated: bool = True,
    alpha: float = ALPHA,
) -> Promise:
    """Return what a threshold gives on the calibration rows.

    Args:
        confidence: the confidence of each row `(n,)`.
        correct: whether its label is predicted right `(n,)`.
        allowed: whether the novelty of the row is low enough `(n,)`.
        answered: whether the row is answered `(n,)`.
        threshold: the threshold, for the record; so are the next three.
        min_precision: the precision that was asked for.
        max_novelty: the novelty limit.
        own_thresholds: the number of labels with their own threshold.
        parents: the number of answers with an ancestor of the label.
        calibrated: whether the encoder has not seen the rows.
        alpha: see `choose_threshold`; for `Promise.best`.
    """
    rows, number, right = len(confidence), int(answered.sum()), int(correct[answered].sum())
    low, high = interval(number, rows)
    return Promise(
        min_precision=min_precision,
        threshold=threshold,
        max_novelty=max_novelty,
        rows=rows,
        answered=number,
        coverage=number / rows if rows else float("nan"),
        coverage_low=low,
        coverage_high=high,
        precision=right / number if number else float("nan"),
        precision_low=lower_bound(right, number) if number and calibrated else float("nan"),
        best=best_precision(confidence[allowed], correct[allowed], alpha=alpha)
        if min_precision is not None and not number
        else float("nan"),
        own_thresholds=own_thresholds,
        parents=parents,
        calibrated=calibrated,
    )


def decimals(limit: float) -> str:
    """Return a limit with three to six decimals. With three only, a threshold could be rounded up, above its rows."""
    return f"{limit:.3f}" if round(limit, 3) == round(limit, 6) else f"{limit:.6f}"


def _percent(fraction: float) -> str:
    """Return a fraction in percent, to a tenth, such as `97.5` and `98`."""
    return f"{100 * fraction:.1f}".removesuffix(".0")


def _percent_below(fraction: float) -> str:
    """Return a fraction in percent, rounded down to a tenth, for a number that is promised."""
    return _percent(math.floor(1000 * fraction + 1e-6) / 1000)
