"""Answer with the parent of a nested label, such as "billing", where "billing/refund" is too unsure.

The confidence of an ancestor is the sum of the probabilities of all labels below it. Each step up has its own
threshold, from the calibration rows that have no answer yet, by the same bound as that of the labels
(`thresholds.py`). With s steps, each threshold is tested at α / (s + 1). So all of them hold together with the
probability 1 − α.

That the rows without an answer depend on the threshold of the labels does not weaken the bound. This threshold is the
lowest one that passes, so the tests below it have failed. Given that, right labels are rarer among these rows, and with
them right ancestors, because a right label has a right ancestor (Harris 1960). The count of right ancestors is then
smaller than in fresh rows, and the test more cautious.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tercet._nested_labels import join_path, path_of
from tercet.decisions.calibration import round_confidence
from tercet.decisions.results import BETWEEN_LABELS
from tercet.decisions.thresholds import ALPHA, best_precision, choose_threshold


@dataclass(frozen=True, kw_only=True)
class Ancestors:
    """The ancestors of nested labels.

    Attributes:
        names: the names of the ancestors, by their id.
        of_label: the id of the ancestor of each label after each of s steps up `(s, num_labels)`; −1 for none.
        members: whether a label is below an ancestor `(num_ancestors, num_labels)`.
    """

    names: list[str]
    of_label: np.ndarray
    members: np.ndarray

    @classmethod
    def of(cls, labels: Sequence[str], separator: str) -> "Ancestors | None":
        """Return the ancestors of labels; None if no label has one."""
        paths = [path_of(label, separator) for label in labels]
        prefixes = list(dict.fromkeys(path[:depth] for path in paths for depth in range(len(path) - 1, 0, -1)))
        if not prefixes:
            return None
        number = {prefix: at for at, prefix in enumerate(prefixes)}
        steps = range(1, max(map(len, paths)))
        return cls(
            names=[join_path(prefix, separator) for prefix in prefixes],
            of_label=np.array([[number.get(path[:-up], -1) for path in paths] for up in steps]),
            members=np.array([[path[: len(prefix)] == prefix for path in paths] for prefix in prefixes]),
        )

    def confidence(self, log_probabilities: Tensor, predicted_ids: np.ndarray) -> np.ndarray:
        """Return the probability of the ancestor of each predicted label, after each step; 0 where there is none.

        Args:
            log_probabilities: those of all labels `(n, num_labels)`.
            predicted_ids: the likeliest label of each row `(n,)`.

        Returns:
            `(s, n)`.
        """
        members = torch.from_numpy(self.members[:, : log_probabilities.shape[1]].T.astype(np.float64))
        sums = (log_probabilities.double().exp() @ members).clamp(max=1.0).numpy()
        ids = self.of_label[:, predicted_ids]
        return np.where(ids >= 0, sums[np.arange(len(sums)), ids], 0.0)

    def are_right(self, label_ids: np.ndarray, predicted_ids: np.ndarray) -> np.ndarray:
        """Return whether the given label is below the ancestor of the predicted one, after each step: bool `(s, n)`."""
        ids = self.of_label[:, predicted_ids]
        right: np.ndarray = (ids >= 0) & self.members[ids, label_ids]
        return right


def level_alpha(steps: int) -> float:
    """Return α of each threshold, so that those of the labels and of all steps up hold together with 1 − `ALPHA`."""
    return ALPHA / (1 + steps)


def ancestor_thresholds(
    confidence: np.ndarray, right: np.ndarray, open_rows: np.ndarray, min_precision: float, alpha: float
) -> list[float | None]:
    """Return the threshold of each step up; None for a step that cannot be shown to have this precision.

    Args:
        confidence: the confidence of the ancestors of n calibration rows `(s, n)`; 0 where there is none.
        right: whether they are right `(s, n)`.
        open_rows: whether a row may be answered and has no answer yet `(n,)`.
        min_precision: the precision of the answers of each step.
        alpha: the probability with which the precision of a step may be lower.
    """
    found: list[float | None] = []
    for step, values in enumerate(round_confidence(confidence)):
        rows = open_rows & (values > 0)
        threshold = choose_threshold(values[rows], right[step][rows], min_precision, alpha=alpha)
        found.append(threshold)
        if threshold is not None:
            open_rows = open_rows & ~(rows & (values >= threshold))
    return found


def best_with_ancestors(
    best: float, confidence: np.ndarray, right: np.ndarray, allowed: np.ndarray, alpha: float
) -> float:
    """Return the highest precision that the labels or a step up can be promised to have; NaN for none.

    Above it no threshold passes, so no step takes rows from the next one, and each is tried with all rows.

    Args:
        best: that of the labels; NaN for none.
        confidence: see `ancestor_thresholds`; so are `right` and `alpha`.
        right: whether the ancestors are right `(s, n)`.
        allowed: whether a row may be answered `(n,)`.
        alpha: the probability with which the precision of a step may be lower.
    """
    for values, is_right in zip(round_confidence(confidence), right, strict=True):
        rows = allowed & (values > 0)
        best = float(np.fmax(best, best_precision(values[rows], is_right[rows], alpha=alpha)))
    return best


def steps_up(confidence: np.ndarray, thresholds: Sequence[float | None], reasons: Sequence[str | None]) -> np.ndarray:
    """Return the number of levels that each answer leaves out `(n,)`; 0 for a label and for no answer.

    Args:
        confidence: the confidence of the ancestors `(s, n)`; 0 where there is none.
        thresholds: that of each step; None for a step without answers.
        reasons: why the label is no answer; only rows between labels may be answered with an ancestor.
    """
    open_rows = np.array([reason == BETWEEN_LABELS for reason in reasons], dtype=bool)
    steps = np.zeros(len(open_rows), dtype=np.int64)
    for step, (values, threshold) in enumerate(zip(round_confidence(confidence), thresholds, strict=True)):
        if threshold is not None:
            steps[open_rows & (steps == 0) & (values > 0) & (values >= threshold)] = step + 1
    return steps


def right_at_level(steps: np.ndarray, correct: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return whether the answer of each row is right at its level, bool `(n,)`.

    Args:
        steps: the number of levels that the answer leaves out `(n,)`.
        correct: whether the label is right `(n,)`.
        right: whether the ancestor after each step is right `(s, n)`.
    """
    at_level: np.ndarray = np.concatenate([correct[None], right])[steps, np.arange(len(steps))]
    return at_level
