"""The record of the classifier that is saved with a model."""

from dataclasses import dataclass, field
from typing import Any

# The `basis` of accuracies that are known to be too high.
TRAINED_ON_BASIS = "out-of-fold predictions for rows that the encoder was trained on"


@dataclass(kw_only=True)
class ClassifierRecord:
    """The choice of a classifier of labels, and its promises.

    Attributes:
        members: the names of the chosen classifiers, whose log-probabilities are averaged.
        accuracy: the accuracy of each candidate, and of the choice (`chosen`), on rows that it was not fitted to.
        basis: which rows these are.
        calibration_rows: their number.
        calibrated: whether the encoder was not trained on these rows either. Only then a precision is promised.
        rows: the number of training rows.
        labels: the number of labels.
        has_texts: whether the texts of the training rows are saved with the classifier.
        promises: for each of several precisions, the fields of a `tercet.decisions.Promise` and its `sentence`; empty
            if the classifier is not calibrated.
    """

    members: list[str]
    accuracy: dict[str, float]
    basis: str
    calibration_rows: int
    calibrated: bool
    rows: int
    labels: int
    has_texts: bool = False
    promises: list[dict[str, Any]] = field(default_factory=list)

    def describe(self) -> list[str]:
        """Return lines on the choice and the promises."""
        chosen = " and ".join(_in_words(name) for name in self.members)
        mean = " (the mean of their log-probabilities)" if len(self.members) > 1 else ""
        others = ", ".join(
            f"{_in_words(name)} {100 * value:.1f} %" for name, value in self.accuracy.items() if name != "chosen"
        )
        lines = [f"Classifier of {self.labels:,} labels from {self.rows:,} sentences: {chosen}{mean}"]
        if "chosen" in self.accuracy:
            lines.append(
                f"Accuracy {100 * self.accuracy['chosen']:.1f} % on {self.calibration_rows:,} {self.basis}"
                + self._doubt()
                + (f"; {others}" if others else "")
            )
        return lines + [promise["sentence"] for promise in self.promises]

    def _doubt(self) -> str:
        """Return a remark on the accuracy if it is too high, or may be."""
        if self.calibrated:
            return ""
        known = self.basis == TRAINED_ON_BASIS
        return ", so it is too high" if known else " (too high if the encoder was trained on them)"


def _in_words(name: str) -> str:
    return name.replace("_", " ")
