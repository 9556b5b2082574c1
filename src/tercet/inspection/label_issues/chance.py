"""Find out whether labels follow from the sentences, or look wrong as often as labels at random.

is_at_chance    by the number of label issues
follow_by_rank  by the rank of each sentence among all, for its label
"""

import math

import numpy as np

# Standard deviations for a confidence of 99 % and of 95 %, on one side.
_SURE, _LIKELY = 2.326, 1.645
# A sum of mean ranks that is higher by this number of standard errors is beyond noise. Folds share most rows to fit to,
# so the sums of labels at random vary up to 1.5 times as much as those of independent ranks.
_STANDARD_ERRORS = 5.0


def is_at_chance(issues: int, scored: int, chance_errors: int) -> bool:
    """Return whether the labels are at chance.

    Two things must hold, as for the outcome "at chance" of a training: the label issues are not fewer than the errors
    of always answering the most frequent label, with 99 % confidence; and they are more than half of these errors,
    with 95 % confidence. A few sentences can show neither.

    Args:
        issues: the number of sentences with a label issue.
        scored: the number of scored sentences.
        chance_errors: the number of scored sentences that do not have the most frequent label.

    Example:
        >>> is_at_chance(240, 500, 250), is_at_chance(150, 500, 250)
        (True, False)
    """
    if chance_errors == 0:
        return False
    fewer = chance_errors - _SURE * _deviation(chance_errors, scored)
    half = chance_errors / 2 + _LIKELY * _deviation(chance_errors / 2, scored)
    return issues >= fewer and issues > half


def follow_by_rank(label_ids: np.ndarray, given_rank: np.ndarray) -> bool:
    """Return whether sentences rank above others for their label, beyond noise, if each label counts equally.

    If one label has most sentences, those of rare labels are seldom likelier to have these, so nearly all of them are
    label issues. They may still be likelier to have their label than other sentences are. The standard error is that
    of labels at random, whose ranks are uniform.

    Args:
        label_ids: the label id of each sentence `(n,)`.
        given_rank: the rank of each sentence for its label, −0.5 to 0.5 `(n,)`; see `LabelLogOdds`. NaN is left out.

    Example:
        >>> import numpy as np
        >>> label_ids, ranks = np.repeat([0, 1], [180, 20]), np.repeat([0.0, 0.45], [180, 20])
        >>> follow_by_rank(label_ids, ranks), follow_by_rank(label_ids, -ranks)
        (True, False)
    """
    known = ~np.isnan(given_rank)
    _, places, counts = np.unique(label_ids[known], return_inverse=True, return_counts=True)
    means = np.bincount(places, weights=given_rank[known]) / counts
    # The variance of a uniform rank is 1/12.
    return bool(means.sum() > _STANDARD_ERRORS * np.sqrt((1 / (12 * counts)).sum()))


def _deviation(expected: float, number: int) -> float:
    """Return the standard deviation of a number of errors."""
    return math.sqrt(expected * (1 - expected / number))
