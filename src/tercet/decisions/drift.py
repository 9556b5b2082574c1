"""Detect drift: new sentences that are unlike the training sentences, so that no promise holds for them."""

import numpy as np
from scipy.stats import betabinom

# New data are different if the number of sentences above this novelty is at least `_UNFAMILIAR_FACTOR` times the
# expected one, and as high a number is less probable than `_UNFAMILIAR_P_VALUE`.
UNFAMILIAR_NOVELTY = 0.95
_UNFAMILIAR_P_VALUE = 1e-4
_UNFAMILIAR_FACTOR = 2.0
_MIN_ROWS = 30


def too_many_unfamiliar(novelty: np.ndarray, calibration_rows: int) -> bool:
    """Return whether far more rows than expected are unlike the training sentences.

    Of rows like the training data, about 5 % have a novelty above 0.95. Exactly, these are less familiar than the k
    least familiar of n calibration rows, so that their number among m new rows has the distribution BetaBinomial(m, k,
    n + 1 − k). New data are different if the number is at least twice the expected one, and as high a number has a
    probability below 0.0001.

    Args:
        novelty: the novelty of each new row `(m,)`; NaN if it cannot be measured.
        calibration_rows: the number of rows by which it was measured, n.
    """
    known = novelty[~np.isnan(novelty)]
    tail = int(np.ceil((1 - UNFAMILIAR_NOVELTY) * (calibration_rows + 1) - 1e-9)) - 1
    if len(known) < _MIN_ROWS or tail < 1:
        return False
    number = int((known > UNFAMILIAR_NOVELTY + 1e-9).sum())
    return bool(
        number >= _UNFAMILIAR_FACTOR * (1 - UNFAMILIAR_NOVELTY) * len(known)
        and betabinom.sf(number - 1, len(known), tail, calibration_rows + 1 - tail) < _UNFAMILIAR_P_VALUE
    )


def unfamiliar_message(novelty: np.ndarray, *, is_limited: bool, how_to_limit: str = "pass max_novelty='auto'") -> str:
    """Return a warning that rows are unlike the training sentences, see `too_many_unfamiliar`.

    Args:
        novelty: the novelty of each row `(n,)`.
        is_limited: whether rows above a limit of the novelty get no answer.
        how_to_limit: how to set such a limit.
    """
    known = novelty[~np.isnan(novelty)]
    limit = "" if is_limited else f"{how_to_limit} to give them no answer, or "
    return (
        f"{np.mean(known > UNFAMILIAR_NOVELTY):.1%} of {len(known):,} sentences have a novelty above "
        f"{UNFAMILIAR_NOVELTY}, but only {1 - UNFAMILIAR_NOVELTY:.0%} of sentences like those of the training data "
        "have: they are different, so the measured precision and coverage do not hold for them; "
        f"{limit}label some of them and fit the classifier again"
    )
