"""Compute a confidence interval of the difference in macro-F1 between two encoders on the same rows.

Accuracy counts each row equally, macro-F1 each label. So training on labels of which a few have most rows may keep the
accuracy and lose the labels with few rows.
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

    The interval is the basic bootstrap interval, as in `tercet.evaluation.bootstrap`: each resample draws n of the n
    rows, the same for both encoders, and chooses the best classifiers again.

    Args:
        label_ids: the given label ids `(n,)`.
        first: the label ids that each classifier of the first encoder predicts, arrays `(n,)`.
        second: those of the classifiers of the second encoder.
        num_resamples: the number of resamples.
        seed: the seed of the resamples.

    Example:
        >>> import numpy as np
        >>> label_ids = np.arange(100) % 4
        >>> macro_f1_difference(label_ids, [np.zeros(100, dtype=int)], [label_ids]).low > 0.8
        True
    """
    _, places = np.unique(np.concatenate([label_ids, *first, *second]), return_inverse=True)
    given, *predicted = places.reshape(-1, len(label_ids))
    # The order of the rows must not decide which ones a resample draws.
    order = np.lexsort((given, *predicted))
    given, predicted = given[order], [rows[order] for rows in predicted]
    found = _difference(given, predicted, len(first))
    rng = np.random.default_rng(seed)
    resampled = []
    for _ in range(num_resamples):
        drawn = rng.integers(0, len(given), len(given))
        resampled.append(_difference(given[drawn], [rows[drawn] for rows in predicted], len(first)))
    high, low = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return PairedDifference(difference=found, low=float(2 * found - low), high=float(2 * found - high))


def _difference(given: np.ndarray, predicted: Sequence[np.ndarray], num_first: int) -> float:
    """Return the best macro-F1 of the classifiers from `num_first` on, minus that of those before."""
    scores = [_macro_f1(given, rows) for rows in predicted]
    return max(scores[num_first:]) - max(scores[:num_first])


def _macro_f1(given: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean F1 over the labels that are given or predicted."""
    size = max(given.max(), predicted.max()) + 1
    total = np.bincount(given, minlength=size) + np.bincount(predicted, minlength=size)
    right = np.bincount(given[given == predicted], minlength=size)
    used = total > 0
    return float((2 * right[used] / total[used]).mean())
