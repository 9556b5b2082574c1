"""Choose a threshold of the confidence, so that the answers above it are right as often as was asked for.

The threshold is chosen on n calibration rows, which the classifier has not seen: sentences with their right labels. Let
k be the number of rows at or above a threshold. If the precision of all future answers above it were only p, then the
number of right answers among the k would be binomial(k, p). If a number as high as the observed one has at most the
probability α = 0.05, the precision is above p with 95 % confidence. This is the bound of Clopper and Pearson (1934).

Many thresholds are tried, so α is shared out among them: a threshold that passes hands its part on to the next one, and
one that fails loses it (the fallback procedure, Wiens 2003; for thresholds, Angelopoulos et al. 2021, Learn then Test).
So the probability that any accepted threshold has a precision below p is at most α.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import beta, binom

from tercet.errors import counted, is_or_are

# 1 − confidence of a promise.
ALPHA = 0.05
# Thresholds are tried from the highest to the lowest, in steps of this fraction of the rows.
_STEP = 0.02
# α is divided equally over this number of thresholds.
_NUM_STARTS = 5


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


def choose_threshold(
    confidence: np.ndarray, correct: np.ndarray, min_precision: float, *, alpha: float = ALPHA
) -> float | None:
    """Return the lowest threshold with a precision of at least `min_precision`, with confidence 1 − `alpha`.

    Args:
        confidence: the confidence of each calibration row `(n,)`.
        correct: whether its label is predicted right `(n,)`.
        min_precision: the precision of the answers, between 0 and 1.
        alpha: the probability with which the precision may be lower.

    Returns:
        The threshold, or None if no threshold can be shown to have this precision.

    Example:
        >>> confidence = np.linspace(0, 1, 1001)
        >>> round(choose_threshold(confidence, confidence > 0.5, 0.9), 2)
        0.48
    """
    ranked, right = _ranked(confidence, correct)
    return _lowest_passing(ranked, right, min_precision, alpha)


def best_precision(confidence: np.ndarray, correct: np.ndarray, *, alpha: float = ALPHA) -> float:
    """Return the highest precision for which `choose_threshold` finds a threshold, to 0.1 %; NaN if there is none."""
    ranked, right = _ranked(confidence, correct)
    for per_mille in range(999, 0, -1):
        if _lowest_passing(ranked, right, per_mille / 1000, alpha) is not None:
            return per_mille / 1000
    return float("nan")


def threshold_for_coverage(confidence: np.ndarray, coverage: float, rows: int) -> float:
    """Return the threshold at which the given fraction of `rows` calibration rows is answered.

    Args:
        confidence: the confidence of each row that may be answered `(n,)`.
        coverage: the fraction, above 0.
        rows: the number of all rows, n or more.
    """
    wanted = max(1, int(np.ceil(round(coverage * rows, 9))))  # 0.07 * 100 is above 7
    ranked = np.sort(confidence)[::-1]
    return 0.0 if wanted >= len(ranked) else float(ranked[wanted - 1])


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


def lower_bound(right: int, rows: int, *, alpha: float = ALPHA) -> float:
    """Return the lower confidence bound of a fraction. Source: Clopper and Pearson 1934."""
    return 0.0 if right == 0 else float(beta.ppf(alpha, right, rows - right + 1))


def interval(right: int, rows: int, *, alpha: float = ALPHA) -> tuple[float, float]:
    """Return the two-sided confidence interval of a fraction. Source: Clopper and Pearson 1934."""
    if rows == 0:
        return float("nan"), float("nan")
    high = 1.0 if right == rows else float(beta.ppf(1 - alpha / 2, right + 1, rows - right))
    return lower_bound(right, rows, alpha=alpha / 2), high


def _ranked(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the confidences in descending order `(n,)`, and the number of right answers up to each of them `(n,)`."""
    order = np.argsort(-confidence, kind="stable")
    return confidence[order], np.cumsum(correct[order])


def _lowest_passing(ranked: np.ndarray, right: np.ndarray, min_precision: float, alpha: float) -> float | None:
    counts = _counts_to_try(ranked, min_precision, alpha)
    # A start is where a new part of α comes in.
    starts = set(np.linspace(0, len(counts), _NUM_STARTS, endpoint=False).astype(int).tolist())
    found, level = None, 0.0
    for number, p_value in enumerate(binom.sf(right[counts - 1] - 1, counts, min_precision).tolist()):
        if number in starts:
            level += alpha / len(starts)
        if p_value <= level:
            found = float(ranked[counts[number] - 1])
        else:
            level = 0.0
    return found


def _counts_to_try(ranked: np.ndarray, min_precision: float, alpha: float) -> np.ndarray:
    """Return the numbers of answered rows to try, ascending. Rows of equal confidence are answered together."""
    fewest = int(np.ceil(np.log(alpha / _NUM_STARTS) / np.log(min_precision)))
    step = max(1, int(_STEP * len(ranked)))
    wanted = np.arange(max(fewest, step), len(ranked) + step, step).clip(max=len(ranked))
    if len(ranked) < fewest:
        return np.empty(0, dtype=int)
    return np.unique(np.searchsorted(-ranked, -ranked[wanted - 1], side="right"))


def decimals(limit: float) -> str:
    """Return a limit with three to six decimals. With three only, a threshold could be rounded up, above its rows."""
    return f"{limit:.3f}" if round(limit, 3) == round(limit, 6) else f"{limit:.6f}"


def _percent(fraction: float) -> str:
    """Return a fraction in percent, to a tenth, such as `97.5` and `98`."""
    return f"{100 * fraction:.1f}".removesuffix(".0")


def _percent_below(fraction: float) -> str:
    """Return a fraction in percent, rounded down to a tenth, for a number that is promised."""
    return _percent(math.floor(1000 * fraction + 1e-6) / 1000)
