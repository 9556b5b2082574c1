"""The dataclasses that an inspection returns."""

from dataclasses import asdict, dataclass, field
from typing import Any

from tercet._tree_errors import ParentErrors
from tercet.inspection.batches import BatchSummary, Suggestion
from tercet.inspection.label_issues.issues import LabelIssue
from tercet.inspection.labels_to_add import LabelToAdd
from tercet.inspection.lengths import TokenLengths
from tercet.inspection.texts import Example, TextSummary


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Two labels of which at least one has label issues that suggest the other one.

    Attributes:
        labels: the names of the two labels.
        issues: two numbers of label issues: sentences with the first label for which the second one is suggested, and
            sentences with the second label for which the first one is suggested.
        fraction: the sum of `issues` divided by the number of all sentences of the two labels.
        examples: the sentence with the largest log-odds of each direction that has issues, so one or two sentences.
    """

    labels: tuple[str, str]
    issues: tuple[int, int]
    fraction: float
    examples: list[Example]


@dataclass(frozen=True, kw_only=True)
class NearDuplicate:
    """Two sentences with different labels and different texts whose embeddings are almost equal.

    Attributes:
        similarity: the cosine similarity of the centred embeddings.
        first: the sentence with the smaller row number.
        second: the other sentence.
    """

    similarity: float
    first: Example
    second: Example


@dataclass(frozen=True, kw_only=True)
class ModelFindings:
    """The findings that need a model.

    Attributes:
        model: the name of the model.
        lengths: statistics of the number of tokens per sentence.
        warning: why labels could not be checked, or why the lists of label issues and confused labels are unreliable;
            None if neither is so.
        num_scored: the number of sentences whose label could be checked. A label cannot be checked if all its sentences
            are in one fold, or if the other folds have only one label. None if different texts all have the same
            embedding; then no label was checked, and the lists are empty.
        fitted: whether the label check used the logistic regression. False if there are too many rows and labels for
            it; then only the nearest neighbours were asked.
        label_issues: the sentences whose label is probably wrong, the largest log-odds first.
        confusions: the pairs of confused labels, the most label issues first.
        parents: for nested labels, the label issues within and across the parents of each level; None for other labels.
        near_duplicates: pairs of almost equal sentences with different labels, the most similar first.
        batches: statistics of the batches; None if the data cannot be used for training or `num_scored` is None.
        suggestions: suggested settings for a first training run; empty if `batches` is None.
        labels_to_add: if sentences may have several labels, those that they probably lack, the largest log-odds first;
            the lists above are then empty, and `num_scored` is None. None if a sentence has one label, or if different
            texts all have the same embedding.
    """

    model: str
    lengths: TokenLengths
    warning: str | None = None
    num_scored: int | None = None
    fitted: bool = True
    label_issues: list[LabelIssue] = field(default_factory=list)
    confusions: list[Confusion] = field(default_factory=list)
    near_duplicates: list[NearDuplicate] = field(default_factory=list)
    parents: list[ParentErrors] | None = None
    batches: BatchSummary | None = None
    suggestions: list[Suggestion] = field(default_factory=list)
    labels_to_add: list[LabelToAdd] | None = None

    @property
    def labels_look_wrong(self) -> bool:
        """True if most labels look wrong, or as many as with labels at random; then `warning` says so."""
        return self.warning is not None and self.fitted and bool(self.label_issues)


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The result of `inspect`.

    Attributes:
        source: the name of the data.
        texts: the counts that need no model.
        obstacle: why the data cannot be used for training; None if they can be used.
        with_model: the findings that need a model; None if no model was given or all texts are empty.
    """

    source: str
    texts: TextSummary
    obstacle: str | None = None
    with_model: ModelFindings | None = None

    def to_dict(self, max_items: int | None = None) -> dict[str, Any]:
        """Return the inspection as JSON values.

        The item `counts` has the complete lengths of the lists `empty`, `missing_labels`, `duplicates`,
        `contradictions`, `combined_labels`, `similar_labels`, `label_issues`, `confusions`, `near_duplicates` and
        `labels_to_add`; the last four only if there are findings with a model.

        Args:
            max_items: the maximum number of items to keep of each of these lists; None keeps all.
        """
        result = asdict(self)
        counts = result["counts"] = {}
        for part, names in (
            (
                result["texts"],
                ("empty", "missing_labels", "duplicates", "contradictions", "combined_labels", "similar_labels"),
            ),
            (result["with_model"] or {}, ("label_issues", "confusions", "near_duplicates", "labels_to_add")),
        ):
            for name in names:
                if part.get(name) is not None:
                    counts[name] = len(part[name])
                    part[name] = part[name][:max_items]
        return result
