"""Decide between heads and no head by their scores in cross-validation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tercet.evaluation.chance import finds_labels
from tercet.heads.training import HeadSettings

# A difference of this number of standard errors is beyond noise, with 95 % confidence.
_STANDARD_ERRORS = 2.0
# A head may find this fraction of labels less than a regression, because it raises MAP@R. With other folds, the
# difference changes by about as much (dev/LOG.md).
_MAX_LOSS_OF_ACCURACY = 0.005


@dataclass(frozen=True, kw_only=True)
class HeadScore:
    """The score of a candidate in cross-validation.

    Attributes:
        settings: the settings of the training of the head; None for no head.
        map_at_r: MAP@R of the held-out rows, against the rows of the other folds; of nested labels, the mean over the
            levels.
        accuracy: the accuracy of 5 nearest neighbours or of class means, whichever is higher; None if rows have several
            labels.
        score: (2 × accuracy + MAP@R) / 3, so that half a point of accuracy counts as much as a point of MAP@R; MAP@R
            without an accuracy.
        standard_error: the standard error of the difference in the score to no head; 0 for no head.
    """

    settings: HeadSettings | None
    map_at_r: float
    accuracy: float | None
    score: float
    standard_error: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredRows:
    """The n rows that were scored in cross-validation.

    Attributes:
        label_ids: the label id of each row `(n,)`.
        correct: 1 or 0 for whether each of c classifiers gives each row its label `(c, n)`: two after each head and two
            without one. Empty, `(0, n)`, if rows have several labels.
        regression_accuracy: the accuracy of a logistic regression on the embeddings without a head; None if it was not
            asked for, or cannot be fitted.
    """

    label_ids: np.ndarray
    correct: np.ndarray
    regression_accuracy: float | None = None


def decide(
    scores: Sequence[HeadScore],
    candidates: Sequence[HeadSettings],
    metric: str,
    *,
    scored: ScoredRows | None,
    allow_none: bool,
) -> tuple[HeadSettings | None, str]:
    """Return the settings of the winner, None for no head, and the reason.

    Args:
        scores: the scores of no head and of each candidate; empty if there are too few rows.
        candidates: the settings of the heads.
        metric: the name of `map_at_r` in the reason.
        scored: the scored rows; None without scores.
        allow_none: whether no head may win. If `scored` has the accuracy of a regression, no head wins against one
            whose accuracy is lower by more than half a point.
    """
    if scored is None:
        why = "because it cannot be measured whether one helps: the rows are too few, or do not form triplets in folds"
        if allow_none:
            return None, f"no head, {why}"
        # Of all candidates, the most dropout changes the embeddings least.
        gentle = max(candidates, key=lambda candidate: candidate.dropout)
        return gentle, f"a head with dropout {gentle.dropout:g}, {why}"
    none, best = scores[0], max(scores[1:], key=lambda candidate: candidate.score)
    assert best.settings is not None
    measured = (
        f"in cross-validation over training rows, {metric} is {best.map_at_r:.3f} with it and {none.map_at_r:.3f} "
        "without a head"
    )
    if best.accuracy is not None and none.accuracy is not None:
        measured += f", and the accuracy {100 * best.accuracy:.1f} % and {100 * none.accuracy:.1f} %"
    head, noise = f"dropout {best.settings.dropout:g}", _STANDARD_ERRORS * best.standard_error
    if allow_none and best.score <= none.score + noise:
        return None, f"no head, because the best one ({head}) is not better beyond noise: {measured}"
    frequent = float(np.bincount(scored.label_ids).max()) / len(scored.label_ids)
    if (
        allow_none
        and _is_at_chance([score.accuracy for score in scores], frequent, len(scored.label_ids))
        and not finds_labels(scored.label_ids, scored.correct)
    ):
        return None, (
            f"no head, because the labels are at chance (always giving the most frequent label is right for "
            f"{100 * frequent:.1f} %), and MAP@R rises for such labels, too; with the best one ({head}), {measured}"
        )
    regression = scored.regression_accuracy
    if (
        allow_none
        and regression is not None
        and best.accuracy is not None
        and best.accuracy < regression - _MAX_LOSS_OF_ACCURACY
    ):
        return None, (
            f"no head, because the best one ({head}) finds fewer labels than a logistic regression without a head "
            f"({100 * regression:.1f} %): {measured}"
        )
    worse = "; without a head, it would be better" if best.score < none.score - noise else ""
    return best.settings, f"a head with {head}: {measured}{worse}"


def _is_at_chance(accuracies: Sequence[float | None], frequent: float, scored: int) -> bool:
    """Return whether no accuracy is better than always giving the most frequent label, and that is known.

    `frequent` is the fraction of the `scored` rows with that label, which is smaller than in all rows if these were
    sampled.

    MAP@R cannot show it: a head moves the training rows of a label into one place, so a new row finds only relevant
    rows or none. With two labels at random, MAP@R rises from 0.26 to 0.5.
    """
    known = [accuracy for accuracy in accuracies if accuracy is not None]
    if not known or frequent == 1:
        return False
    noise = _STANDARD_ERRORS * math.sqrt(frequent * (1 - frequent) / scored)
    # As for the outcome "at chance" of a training: not better, and less than half of the errors are avoided.
    return max(known) <= frequent + noise and max(known) + noise < (1 + frequent) / 2
