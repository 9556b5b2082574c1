"""Compute a confidence interval of the difference in macro-F1 between two encoders on the same rows.

Accuracy counts each row equally, macro-F1 each label. So training on labels of which a few have most rows may keep the
accuracy and lose the labels with few rows.

A bootstrap cannot tell this from noise. If a label has one row, its F1 is the same in each resample that contains the
row, so its change looks certain: of two equally good encoders with such a label, 21 % of the basic bootstrap intervals
were below 0 instead of 2.5 %. So the rows exchange their predictions instead. If the encoders are equally good, the
difference is as likely to be that of the rows after any exchange.

Source: Yeh 2000, "More accurate tests for the statistical significance of result differences" (randomization tests of
F1).
"""

from collections.abc import Sequence

import numpy as np

from tercet.evaluation.bootstrap import CONFIDENCE
from tercet.records import PairedDifference

_NUM_RESAMPLES = 1_000


def macro_f1_difference(
    label_ids: np.ndarray,
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    *,
    num_resamples: int = _NUM_RESAMPLES,
    seed: int = 0,
) -> PairedDifference:
    """Return the difference in macro-F1 between the best classifier of two encoders, second − first.

    Each resample exchanges the predictions of the encoders for each row with a probability of one half. The interval is
    the difference ± the distance from 0 that 95 % of the differences of the resamples do not exceed.

    Args:
        label_ids: the given label ids `(n,)`.
        first: the label ids that each classifier of the first encoder predicts, arrays `(n,)`.
        second: those of the classifiers of the second encoder, in the same order. One encoder may lack the last ones.
        num_resamples: the number of resamples.
        seed: the seed of the resamples.

    Example:
        >>> import numpy as np
        >>> label_ids = np.arange(100) % 4
        >>> macro_f1_difference(label_ids, [np.zeros(100, dtype=int)], [label_ids]).low > 0.6
        True
    """
    number = max(len(first), len(second))
    both = [_repeat_last(part, number) for part in (first, second)]
    _, places = np.unique(np.concatenate([label_ids, *both[0], *both[1]]), return_inverse=True)
    places = places.reshape(-1, len(label_ids))
    # The order of the rows must not decide which ones a resample exchanges.
    given, *predicted = places[:, np.lexsort(places)]
    before, after = np.stack(predicted[:number]), np.stack(predicted[number:])
    found = _best(given, after) - _best(given, before)
    rng = np.random.default_rng(seed)
    resampled = []
    for _ in range(num_resamples):
        exchanged = rng.random(len(given)) < 0.5
        pair = np.where(exchanged, after, before), np.where(exchanged, before, after)
        resampled.append(abs(_best(given, pair[1]) - _best(given, pair[0])))
    # Without interpolation, an interval that ends at 0 ends exactly there.
    noise = float(np.quantile(resampled, CONFIDENCE, method="higher"))
    return PairedDifference(difference=found, low=found - noise, high=found + noise)


def _repeat_last(predicted: Sequence[np.ndarray], number: int) -> list[np.ndarray]:
    """Repeat the last classifier up to a number of classifiers. This does not change the best macro-F1."""
    return [*predicted, *[predicted[-1]] * (number - len(predicted))]


def _best(given: np.ndarray, predicted: np.ndarray) -> float:
    """Return the highest macro-F1 of the classifiers `(c, n)`."""
    return max(_macro_f1(given, rows) for rows in predicted)


def _macro_f1(given: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean F1 over the labels that are given or predicted."""
    size = max(given.max(), predicted.max()) + 1
    total = np.bincount(given, minlength=size) + np.bincount(predicted, minlength=size)
    right = np.bincount(given[given == predicted], minlength=size)
    used = total > 0
    return float((2 * right[used] / total[used]).mean())
