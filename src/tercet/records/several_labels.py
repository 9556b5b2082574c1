"""Records of what was measured on rows with several labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tercet.records.gain import PairedDifference, TrainingGain, gain_of
from tercet.records.reading import known_fields


@dataclass(kw_only=True)
class SeveralLabelsScores:
    """The scores of an encoder on evaluation rows with several labels, against the training or reference rows.

    The labels of a row are predicted by binary relevance: a logistic regression for each label.

    Attributes:
        map_at_r: MAP@R of the embeddings.
        logistic_map_at_r: MAP@R if the predicted probabilities of the labels take the place of the embeddings.
        f1: the mean over the rows of the F1 of their labels: 2 × right labels / (given + predicted labels).
        micro_f1: the same for the labels of all rows together.
        macro_f1: the mean over the labels that are given or predicted of the F1 of their rows.
    """

    map_at_r: float
    logistic_map_at_r: float
    f1: float
    micro_f1: float
    macro_f1: float

    def by_title(self) -> dict[str, float]:
        """Return the scores by their titles in tables."""
        return {
            "F1 of a sentence": self.f1,
            "micro-F1": self.micro_f1,
            "macro-F1": self.macro_f1,
            "MAP@R, embeddings": self.map_at_r,
            "MAP@R, probabilities": self.logistic_map_at_r,
        }


@dataclass(kw_only=True)
class SeveralLabelsGain:
    """The comparison of the trained with the untouched encoder on rows with several labels: was the training worth it?

    Attributes:
        rows: the number of evaluation rows.
        labels: the number of labels of the training rows.
        most_frequent_f1: the mean F1 of a row if the most frequent training label is always predicted.
        untouched: the scores of the untouched encoder.
        trained: the scores of the trained encoder.
        f1: the difference of the mean F1 of a row.
        map_at_r: the difference of MAP@R of the better ranking of each encoder: by embeddings, or by probabilities.
        outcome: `worth it`: one of both differences is above 0 beyond noise, and none below. `worse`: one is below, and
            none above. `mixed`: one is above, and one below. `no difference`: both may be noise. `at chance`: neither
            encoder predicts labels better than the most frequent label, or ranks the rows for each label better than
            at random; not used if the rows are too few to know it.
        sentence: the outcome in words, with the numbers.
        fitted_rows: the number of training rows to which the regressions were fitted; None for all.
    """

    rows: int
    labels: int
    most_frequent_f1: float
    untouched: SeveralLabelsScores
    trained: SeveralLabelsScores
    f1: PairedDifference
    map_at_r: PairedDifference
    outcome: Literal["worth it", "worse", "mixed", "no difference", "at chance"]
    sentence: str
    fitted_rows: int | None = None

    @property
    def title(self) -> str:
        """The title of the table of scores."""
        return f"Was it worth it? {self.rows:,} evaluation sentences, with the labels of the training sentences"

    @property
    def note(self) -> str:
        """A note for the line below the table."""
        sample = "" if self.fitted_rows is None else f", fitted to a sample of {self.fitted_rows:,} sentences"
        return (
            f"Labels are predicted by a logistic regression for each label{sample}: those with a probability of one "
            "half or more, and always the likeliest. The better ranking of each encoder is chosen on the evaluation "
            "sentences; the interval does not take that into account."
        )

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "SeveralLabelsGain":
        """Return the comparison in a record. Ignore unknown fields."""
        known = known_fields(cls, content)
        for key in ("untouched", "trained"):
            known[key] = SeveralLabelsScores(**known_fields(SeveralLabelsScores, known[key]))
        for key in ("f1", "map_at_r"):
            known[key] = PairedDifference(**known_fields(PairedDifference, known[key]))
        return cls(**known)


def any_gain_of(content: Mapping[str, Any]) -> TrainingGain | SeveralLabelsGain | None:
    """Return the field `gain` of a record of a training run."""
    gain = content.get("gain")
    return SeveralLabelsGain.from_dict(gain) if gain is not None and "f1" in gain else gain_of(content)
