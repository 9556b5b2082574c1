"""Find out whether predictions are better than at random, also if one label has most rows."""

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
