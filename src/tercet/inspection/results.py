"""The result of an inspection, as dataclasses."""

from dataclasses import asdict, dataclass, field
from typing import Any

from tercet.inspection.batches import BatchSummary, Suggestion
from tercet.inspection.label_issues.issues import LabelIssue
from tercet.inspection.lengths import TokenLengths
from tercet.inspection.texts import TextSummary


@dataclass(frozen=True, kw_only=True)
class Example:
    """A sentence of the data; rows are numbered from 0, the first row of data."""

    row: int
    text: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Two labels that are confused with each other.

    Attributes:
        labels: the two labels.
        issues: the number of sentences of the first label that look like the second, and the other way round.
        fraction: both numbers together, as a fraction of all sentences of the two labels.
        examples: for each of the two directions, the sentence with the largest log-odds, if there is one.
    """

    labels: tuple[str, str]
    issues: tuple[int, int]
    fraction: float
    examples: list[Example]


@dataclass(frozen=True, kw_only=True)
class NearDuplicate:
    """Two sentences under two labels that are nearly the same to the model."""

    similarity: float
    first: Example
    second: Example


@dataclass(frozen=True, kw_only=True)
class ModelFindings:
    """Findings that need a model.

    Attributes:
        model: its name.
        lengths: token counts of the sentences.
        warning: what makes the other findings unreliable; None if nothing does.
        num_scored: the number of sentences whose label could be checked; a label whose sentences are all in one fold
            cannot. None if all sentences have the same embedding, and then the lists are empty.
        label_issues: the sentences whose label is probably wrong, the largest log-odds first.
        confusions: the pairs of confused labels, the most label issues first.
        near_duplicates: the most similar first.
        batches: None if no batch can contain a triplet.
        suggestions: settings of a first training run.
    """

    model: str
    lengths: TokenLengths
    warning: str | None = None
    num_scored: int | None = None
    label_issues: list[LabelIssue] = field(default_factory=list)
    confusions: list[Confusion] = field(default_factory=list)
    near_duplicates: list[NearDuplicate] = field(default_factory=list)
    batches: BatchSummary | None = None
    suggestions: list[Suggestion] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The result of `inspect`.

    Attributes:
        source: where the data came from.
        texts: what was counted without a model.
        obstacle: why the data cannot be used for training; None if they can.
        with_model: what was found with a model; None if there was no model, or no row with a text.
    """

    source: str
    texts: TextSummary
    obstacle: str | None = None
    with_model: ModelFindings | None = None

    def to_dict(self, max_items: int | None = None) -> dict[str, Any]:
        """Return the inspection as JSON values.

        Args:
            max_items: the maximum number of items of each list whose length is in `counts`; None keeps all.
        """
        result = asdict(self)
        counts = result["counts"] = {}
        for part, names in (
            (result["texts"], ("empty", "duplicates", "contradictions")),
            (result["with_model"] or {}, ("label_issues", "confusions", "near_duplicates")),
        ):
            for name in names:
                if name in part:
                    counts[name] = len(part[name])
                    part[name] = part[name][:max_items]
        return result
