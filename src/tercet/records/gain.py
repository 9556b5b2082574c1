"""Records of whether training was worth it: the trained against the untouched encoder on the same rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tercet.records.reading import known_fields


@dataclass(kw_only=True)
class ClassifierScores:
    """The scores of a classifier of embeddings on the evaluation rows.

    Attributes:
        accuracy: the fraction of rows whose label is predicted.
        macro_f1: the mean F1 over the labels that are given or predicted.
    """

    accuracy: float
    macro_f1: float


@dataclass(kw_only=True)
class EncoderScores:
    """The scores of an encoder on the evaluation rows, against the training or reference rows.

    Attributes:
        map_at_r: MAP@R.
        classifiers: the scores by the key of the classifier in `tercet.catalogue.CLASSIFIERS`.
        recall_at_10: recall@10; None in records of older versions.
    """

    map_at_r: float
    classifiers: dict[str, ClassifierScores]
    recall_at_10: float | None = None

    @property
    def best(self) -> str:
        """The key of the classifier with the highest accuracy; of equal ones, that with the highest macro-F1."""
        return max(self.classifiers, key=lambda key: (self.classifiers[key].accuracy, self.classifiers[key].macro_f1))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "EncoderScores":
        """Return the scores in a record. Ignore unknown fields."""
        classifiers = {
            key: ClassifierScores(**known_fields(ClassifierScores, scores))
            for key, scores in content["classifiers"].items()
        }
        return cls(**{**known_fields(cls, content), "classifiers": classifiers})


@dataclass(kw_only=True)
class PairedDifference:
    """The difference between two encoders on the same rows, trained − untouched, with a 95 % confidence interval.

    Attributes:
        difference: the difference on the evaluation rows.
        low: the lower end of the interval.
        high: the upper end of the interval.
    """

    difference: float
    low: float
    high: float


@dataclass(kw_only=True)
class SavedClassifierScores:
    """The scores of the classifier that is saved with the trained model, on the same evaluation rows.

    Attributes:
        members: the names of the classifiers whose log-probabilities it averages.
        accuracy: the fraction of rows whose label is predicted.
        macro_f1: the mean F1 over the labels that are given or predicted.
        chosen_on_rows: whether the members were chosen on these rows. The rows joined its training rows afterwards, and
            the scores are those before.
    """

    members: list[str]
    accuracy: float
    macro_f1: float
    chosen_on_rows: bool

    def describe(self) -> str:
        """Return a sentence on the classifier and its accuracy."""
        members = " and ".join(name.replace("_", " ") for name in self.members)
        chosen = (
            "; it was chosen on these sentences, so its accuracy on new sentences may be lower"
            if self.chosen_on_rows
            else ""
        )
        return f"The saved classifier, which tercet classify uses ({members}), reaches {self.accuracy:.1%}{chosen}."


@dataclass(kw_only=True)
class TrainingGain:
    """The comparison of the trained with the untouched encoder: was the training worth it?

    Evaluation rows are classified by the training (or reference) rows. The best of the classifiers of one encoder is
    compared with the best of the other.

    Attributes:
        rows: the number of evaluation rows.
        labels: the number of labels of the training rows.
        most_frequent_accuracy: the accuracy of a classifier that always answers the most frequent training label.
        untouched: the scores of the untouched encoder.
        trained: the scores of the trained encoder.
        accuracy: the difference between the accuracies of the best classifier of each encoder. Its interval takes into
            account that the best classifiers were found on the same rows.
        map_at_r: the difference of MAP@R.
        outcome: `worth it`: the accuracy rose beyond noise. `no difference`: it did not change beyond noise. `worse`:
            it fell beyond noise. `already separated`: the untouched encoder classifies almost all rows correctly, and
            training changed that within noise. `at chance`: no classifier is better than the most frequent label, or
            than at random if each label counts equally. If the rows are too few to know that, the outcome is another
            one, and the sentence says so.
        sentence: the outcome in words, with the numbers.
        fitted_rows: the number of training rows to which the logistic regression was fitted if there are too many for
            all of them, 0 if it was left out; None if it was fitted to all rows.
        saved: the scores of the classifier that is saved with the trained model; None without one, or if it was not
            measured on the same rows.
        macro_f1: the difference between the highest macro-F1 of each encoder; None in records of older versions.
        recall_at_10: the difference of recall@10; None in records of older versions.
    """

    rows: int
    labels: int
    most_frequent_accuracy: float
    untouched: EncoderScores
    trained: EncoderScores
    accuracy: PairedDifference
    map_at_r: PairedDifference
    outcome: Literal["worth it", "no difference", "worse", "already separated", "at chance"]
    sentence: str
    fitted_rows: int | None = None
    saved: SavedClassifierScores | None = None
    macro_f1: PairedDifference | None = None
    recall_at_10: PairedDifference | None = None

    @property
    def prefers_untouched(self) -> bool:
        """True if a classifier on the untouched encoder is at least as good, so the sentence advises to take it."""
        return self.outcome in ("no difference", "worse", "already separated")

    @property
    def title(self) -> str:
        """The title of the table of scores."""
        return f"Was it worth it? {self.rows:,} evaluation sentences, classified by the training sentences"

    @property
    def note(self) -> str:
        """A note for the line below the table: how the classifiers were chosen and fitted."""
        fitted = {None: "", 0: " The logistic regression is left out: there are too many labels for it."}.get(
            self.fitted_rows, f" The logistic regression is fitted to a sample of {self.fitted_rows or 0:,} sentences."
        )
        return (
            "The best classifier of each encoder is chosen on the evaluation sentences; the interval takes that into "
            f"account.{fitted}{'' if self.saved is None else f' {self.saved.describe()}'}"
        )

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TrainingGain":
        """Return the comparison in a record. Ignore unknown fields."""
        known = known_fields(cls, content)
        for key in ("untouched", "trained"):
            known[key] = EncoderScores.from_dict(known[key])
        for key in ("accuracy", "map_at_r", "macro_f1", "recall_at_10"):
            if known.get(key) is None:  # as in records of older versions
                continue
            known[key] = PairedDifference(**known_fields(PairedDifference, known[key]))
        if known.get("saved") is not None:
            known["saved"] = SavedClassifierScores(**known_fields(SavedClassifierScores, known["saved"]))
        return cls(**known)


def gain_of(content: Mapping[str, Any]) -> TrainingGain | None:
    """Return the field `gain` of a record, which records of version 0.1.0 do not have."""
    return None if content.get("gain") is None else TrainingGain.from_dict(content["gain"])
