"""Find out whether predictions are better than at random, also if one label has most rows.

finds_labels      of rows with one label each, by the recall of each label
finds_label_sets  of rows with several labels, by the ranking of the rows for each label
"""

import numpy as np

# A mean recall that is higher by this number of standard errors is beyond noise. An encoder that has learned anything
# is far better. Of labels at random, the best of about ten classifiers is better by three standard errors now and then.
_STANDARD_ERRORS = 4.0


def finds_labels(label_ids: np.ndarray, correct: np.ndarray) -> bool:
    """Return whether a classifier is better than at random if each label counts equally, beyond noise.

    If one label has most rows, an accuracy below that of always giving it may still come from knowledge of the labels.
    The mean recall over the labels shows this: if predictions do not depend on the row, it is 1 / (number of labels),
    however often they give each label.

    Args:
        label_ids: the label id of each row `(n,)`.
        correct: 1 or 0 for whether each of c classifiers gives each row its label `(c, n)`; c may be 0.

    Example:
        >>> import numpy as np
        >>> label_ids = np.repeat([0, 1], [900, 100])
        >>> always_0, half_of_1 = label_ids == 0, (np.arange(1000) > 50) & (np.arange(1000) < 950)
        >>> finds_labels(label_ids, always_0[None]), finds_labels(label_ids, half_of_1[None])
        (False, True)
    """
    _, places, counts = np.unique(label_ids, return_inverse=True, return_counts=True)
    found = np.array([np.bincount(places, weights=rows) for rows in correct]).reshape(-1, len(counts))
    # Without the added rows, the recall of a label with one row would have no error.
    expected = (found + 1) / (counts + 2)
    errors = np.sqrt((expected * (1 - expected) / counts).sum(axis=1)) / len(counts)
    return bool(((found / counts).mean(axis=1) > 1 / len(counts) + _STANDARD_ERRORS * errors).any())


def finds_label_sets(given: np.ndarray, scores: np.ndarray) -> bool:
    """Return whether scores rank the rows with a label above those without it, beyond noise.

    Each label counts equally. If one label is on most rows, rare labels seldom get a probability of one half, so they
    are not predicted. Their rows may still have a higher probability than others. The mean over the labels of the area
    under the ROC curve shows this. It is 1/2 for scores that do not depend on the labels. Its standard error is that
    over all assignments of the rows of `given` to the rows of `scores`, so labels that occur together count as such.

    Args:
        given: whether each row has each label, bool `(n, num_labels)`. Labels of no row, or of all rows, do not count.
        scores: the score of each label for each row `(n, num_labels)`.

    Source: Hoeffding 1951, "A combinatorial central limit theorem" (the variance over all assignments).

    Example:
        >>> import numpy as np
        >>> given = np.repeat([[True, False], [True, True]], [180, 20], axis=0)
        >>> scores = np.column_stack([np.full(200, 0.99), np.where(np.arange(200) < 150, 0.05, 0.2)])
        >>> finds_label_sets(given, scores), finds_label_sets(given, np.full((200, 2), 0.5))
        (True, False)
    """
    counts = given.sum(axis=0)
    counted = (counts > 0) & (counts < len(given))
    given, counts = given[:, counted], counts[counted]
    ranks = np.array([_centred_ranks(column) for column in scores[:, counted].T]).reshape(-1, len(given)).T
    weights = 1 / (counts * (len(given) - counts))  # The sum of the ranks times this is the area − 1/2.
    weighted = (given - given.mean(axis=0)) * weights
    excess = (weighted * ranks).sum()
    variance = ((weighted.T @ weighted) * (ranks.T @ ranks)).sum() / (len(given) - 1) if len(given) > 1 else 0.0
    return bool(excess > _STANDARD_ERRORS * np.sqrt(variance))


def _centred_ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value minus the mean rank `(n,)`. Equal values have the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[places] - (len(values) + 1) / 2
    return ranks
