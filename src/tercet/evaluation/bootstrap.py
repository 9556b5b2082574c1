"""Compute confidence intervals of the difference between two encoders that are measured on the same rows.

`best_difference` compares the accuracy of the best of several classifiers of each encoder. The bootstrap draws n of the
n rows with replacement, the same for both encoders. In each resample, the best classifier of each encoder is chosen
again, because the best of several is better on the rows that chose it than on others. With the difference θ of the
rows, and the quantiles q of the differences of the resamples, the interval is

    2θ − q(97.5 %)   to   2θ − q(2.5 %)

This basic interval corrects the bias of the choice. The percentile interval would double it: in a simulation with one
classifier that is clearly the best of one encoder, and three equally good ones of the other, 12 % of the intervals were
above the true difference instead of 2.5 %, and 4 % of the basic ones.

Two rows are added before: one that only one encoder classifies correctly, and one that only the other does. Otherwise
the interval of a few rows would be too narrow: its width would be 0 without an error that one encoder alone makes.

Sources: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13 (bootstrap intervals); Agresti and
Min 2005 (the added rows, here for one row of each kind that differs).
"""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from tercet.errors import counted
from tercet.records import PairedDifference

CONFIDENCE = 0.95
_NUM_RESAMPLES = 10_000
# Confidence with which predictions must be better than the most frequent label. An encoder that has learned anything
# is far better; among labels at random, a lower confidence would often find one that looks better.
_CHANCE_CONFIDENCE = 0.999


def best_difference(
    first: np.ndarray,
    second: np.ndarray,
    *,
    confidence: float = CONFIDENCE,
    num_resamples: int = _NUM_RESAMPLES,
    seed: int = 0,
) -> PairedDifference:
    """Return the difference in accuracy between the best classifier of two encoders, second − first.

    The result does not depend on the order of the rows. The time does not grow with their number: a resample draws how
    many rows there are of each of the 2^(c+d) patterns of correct and wrong predictions.

    Args:
        first: whether each of c classifiers of the first encoder predicts each label, bool `(c, n)`.
        second: the same for d classifiers of the second encoder, bool `(d, n)`; c + d is at most 16.
        confidence: the confidence of the interval.
        num_resamples: the number of resamples.
        seed: the seed of the resamples.

    Example:
        >>> import numpy as np
        >>> right = np.arange(100) < 90
        >>> best_difference((np.arange(100) < 60)[None], right[None]).low > 0.1
        True
    """
    num_first, n = first.shape
    correct = np.concatenate([first, second]).astype(np.int64)
    place = 1 << np.arange(len(correct))
    patterns = (np.arange(1 << len(correct))[:, None] & place) > 0
    counts = np.bincount(place @ correct, minlength=len(patterns))
    # The two added rows.
    counts[place[:num_first].sum()] += 1
    counts[place[num_first:].sum()] += 1
    used = np.flatnonzero(counts)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n + 2, counts[used] / (n + 2), size=num_resamples)
    # Differences of counts: as integers, they are exact, so an interval that ends at 0 ends exactly there.
    resampled = _differences(drawn @ patterns[used], num_first)
    centre = int(_differences(counts @ patterns, num_first))
    high, low = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return PairedDifference(
        difference=int(_differences(correct.sum(axis=1), num_first)) / n,
        low=float(2 * centre - low) / (n + 2),
        high=float(2 * centre - high) / (n + 2),
    )


def mean_difference(first: np.ndarray, second: np.ndarray, *, confidence: float = CONFIDENCE) -> PairedDifference:
    """Return the difference between the means of two encoders over the same n rows, second − first.

    The interval is that of the normal distribution, which the bootstrap of a mean approaches. Differences of 1 and of
    −1 are added, as in `best_difference`.

    Args:
        first: the value of each row, from 0 to 1, `(n,)`.
        second: the values of the second encoder `(n,)`.
        confidence: the confidence of the interval.
    """
    differences = np.concatenate([second - first, [1.0, -1.0]])
    half = NormalDist().inv_cdf((1 + confidence) / 2) * differences.std() / np.sqrt(len(differences))
    centre = differences.mean()
    return PairedDifference(
        difference=float((second - first).mean()), low=float(centre - half), high=float(centre + half)
    )


def is_above_chance(chance: float, differences: Callable[[float], list[PairedDifference]]) -> bool | None:
    """Return whether predictions are better than always answering the most frequent label; None if that is unknown.

    They are at chance if it is certain that they avoid less than half of the errors of the most frequent label. A few
    rows can show neither, even if all of them are predicted correctly. Nor can rows that all have this label.

    Args:
        chance: the score of always answering the most frequent label, from 0 to 1.
        differences: returns the difference between the scores of each encoder and `chance`, for a confidence.
    """
    if chance == 1:
        return None
    if any(difference.low > 0 for difference in differences(_CHANCE_CONFIDENCE)):
        return True
    return False if all(difference.high < (1 - chance) / 2 for difference in differences(CONFIDENCE)) else None


def unknown_note(chance: float, rows: int, *, predictions: str, answer: str) -> str:
    """Return a sentence for predictions of which it is unknown whether they are better than always the same label.

    Args:
        chance: the score of always answering the most frequent label.
        rows: the number of evaluation rows.
        predictions: the words for the predictions, with the verb.
        answer: the words for always answering the most frequent label, with `chance`.
    """
    if chance == 1:
        return "All evaluation rows have one label, so nothing can be better than always answering it."
    return f"It is unknown whether {predictions} better than {answer}: {counted(rows, 'row')} cannot show it."


def _differences(counts: np.ndarray, num_first: int) -> np.ndarray:
    """Return the highest count of the second encoder − that of the first: `(…, c + d) → (…)`."""
    found: np.ndarray = counts[..., num_first:].max(axis=-1) - counts[..., :num_first].max(axis=-1)
    return found
