"""Records of what was measured: metrics before and after training, and the rows over which they are averaged."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tercet.records.reading import known_fields

Metrics = dict[str, float]


@dataclass(kw_only=True)
class RowCounts:
    """The number of rows of evaluation data that are measured, and of those that are left out, by reason.

    `rows` is the sum of `measured` and of the five reasons.

    Attributes:
        rows: the rows of the evaluation data.
        measured: the rows over which the metrics are averaged.
        overlapping: left out, because the training or reference data contain a copy of the text.
        copies: left out, because an earlier row has a copy of the text and the same label.
        unknown_labels: left out, because no training or reference row has the label.
        unpaired: left out, because no other evaluation row has the label. Only the protocol `among_themselves` needs a
            second row.
        equal_texts: left out, because two texts of the triplet are copies, so that no model can change the result.
        few_relevant: of the measured rows, those with fewer than 3 rows of their label to find. Of the 5 nearest rows
            that vote in `knn_accuracy`, these cannot be the majority.
        reference: the training or reference rows that are ranked; None if the evaluation rows are ranked.
    """

    rows: int
    measured: int
    overlapping: int = 0
    copies: int = 0
    unknown_labels: int = 0
    unpaired: int = 0
    equal_texts: int = 0
    few_relevant: int = 0
    reference: int | None = None

    @property
    def left_out(self) -> int:
        """The number of rows that are not measured."""
        return self.rows - self.measured

    def describe(self, reference: str = "the training data") -> str:
        """Return how many rows are measured, and why the others are left out, as one line."""
        reasons = {
            f"with a text that is in {reference}": self.overlapping,
            "that repeat an earlier text with the same label": self.copies,
            f"with a label that is not in {reference}": self.unknown_labels,
            "whose label has no other row": self.unpaired,
            "with a text twice in the triplet": self.equal_texts,
        }
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)
        measured = (
            f"{self.measured:,} of {self.rows:,} rows; left out: {left_out}"
            if left_out
            else f"{self.rows:,} row{'s' * (self.rows != 1)}"
        )
        if 2 * self.few_relevant <= self.measured:
            return measured
        return (
            f"{measured}. Do not use kNN accuracy here: {self.few_relevant:,} rows have fewer than 3 rows of their "
            "label to find, and 5 vote"
        )


@dataclass(kw_only=True)
class EvaluationRecord:
    """The metrics of a model before and after training, measured by one protocol.

    Attributes:
        before: the metrics before training; None if they are unknown.
        after: the metrics of the saved model; None if they are unknown.
        rows: the rows that were measured, and those that were left out; None if they were not recorded.
    """

    before: Metrics | None = None
    after: Metrics | None = None
    rows: RowCounts | None = None

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "EvaluationRecord":
        """Return the evaluation in a record. Ignore unknown fields."""
        known = known_fields(cls, content)
        if known.get("rows") is not None:
            known["rows"] = RowCounts(**known_fields(RowCounts, known["rows"]))
        return cls(**known)


def evaluation_of(content: Mapping[str, Any]) -> dict[str, EvaluationRecord]:
    """Return the field `evaluation` of a record.

    Before format 3, records had the metrics `before` and `after` of one protocol. Labelled evaluation rows were ranked
    among themselves.
    """
    if "evaluation" in content:
        return {key: EvaluationRecord.from_dict(part) for key, part in content["evaluation"].items()}
    before, after = content.get("before"), content.get("after")
    if before is None and after is None:
        return {}
    protocol = "among_themselves" if "map@r" in (after or before or {}) else "triplets"
    return {protocol: EvaluationRecord(before=before, after=after)}
