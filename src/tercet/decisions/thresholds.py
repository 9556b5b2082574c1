"""Choose a threshold of the confidence, so that the answers above it are right as often as was asked for.

The threshold is chosen on n calibration rows, which the classifier has not seen: sentences with their right labels. Let
k be the number of rows at or above a threshold. If the precision of all future answers above it were only p, then the
number of right answers among the k would be binomial(k, p). If a number as high as the observed one has at most the
probability α = 0.05, the precision is above p with 95 % confidence. This is the bound of Clopper and Pearson (1934).

Many thresholds are tried, so α is shared out among them: a threshold that passes hands its part on to the next one, and
one that fails loses it (the fallback procedure, Wiens 2003; for thresholds, Angelopoulos et al. 2021, Learn then Test).
So the probability that any accepted threshold has a precision below p is at most α.
"""

import numpy as np
from scipy.stats import beta, binom

# 1 − confidence of a promise.
ALPHA = 0.05
# Thresholds are tried from the highest to the lowest, in steps of this fraction of the rows.
_STEP = 0.02
# α is divided equally over this number of thresholds.
_NUM_STARTS = 5


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


def lower_bound(right: int, rows: int, *, alpha: float = ALPHA) -> float:
    """Return the lower confidence bound of a fraction. Source: Clopper and Pearson 1934."""
    return 0.0 if right == 0 else float(beta.ppf(alpha, right, rows - right + 1))


def interval(right: int, rows: int) -> tuple[float, float]:
    """Return the two-sided confidence interval of a fraction. Source: Clopper and Pearson 1934."""
    if rows == 0:
        return float("nan"), float("nan")
    high = 1.0 if right == rows else float(beta.ppf(1 - ALPHA / 2, right + 1, rows - right))
    return lower_bound(right, rows, alpha=ALPHA / 2), high


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
