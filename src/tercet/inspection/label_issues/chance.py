"""Find out whether labels follow from the sentences, or look wrong as often as labels at random."""

import math

# Standard deviations for a confidence of 99 % and of 95 %, on one side.
_SURE, _LIKELY = 2.326, 1.645


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


def _deviation(expected: float, number: int) -> float:
    """Return the standard deviation of a number of errors."""
    return math.sqrt(expected * (1 - expected / number))
