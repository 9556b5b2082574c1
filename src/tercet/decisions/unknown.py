"""Tune the detection of unknown sentences to examples: texts that are known to belong to no label."""

import numpy as np

from tercet.decisions.novelty import Familiarity


def tuned_to(known: np.ndarray, unknown: np.ndarray) -> tuple[Familiarity, float]:
    """Return a familiarity that separates known and unknown rows, and the limit of the novelty.

    The weights of the quantities are those of a logistic regression between the two kinds of rows, none below 0. The
    limit is the one with the highest mean of the two fractions that are recognised.

    Args:
        known: the quantities of rows with known labels, which the classifier has not seen `(n, q)`.
        unknown: the quantities of rows that belong to no label `(m, q)`.
    """
    from sklearn.linear_model import LogisticRegression

    plain = Familiarity.of(known)
    rows = np.concatenate([known - plain.mean, unknown - plain.mean]) / plain.std
    is_known = np.arange(len(rows)) < len(known)
    # A strong penalty keeps the weights nearly equal if there are few unknown rows.
    model = LogisticRegression(class_weight="balanced", C=0.1 * len(unknown) / len(rows)).fit(rows, is_known)
    weights = np.clip(model.coef_[0], 0, None)
    familiarity = plain if weights.sum() == 0 else Familiarity.of(known, weights / weights.sum())
    novelty, novelty_unknown = familiarity.novelty(known), familiarity.novelty(unknown)
    limits = np.unique(np.concatenate([novelty, novelty_unknown]))
    kept = np.searchsorted(np.sort(novelty), limits, side="right") / len(known)
    found = 1 - np.searchsorted(np.sort(novelty_unknown), limits, side="right") / len(unknown)
    return familiarity, float(limits[int(np.argmax(kept + found))])
