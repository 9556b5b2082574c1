"""The tables of what a model finds: lengths, label issues, labels to add, confused labels, near-duplicates."""

from collections.abc import Sequence

from tercet._tree_errors import ParentErrors, errors_by_level, most_errors
from tercet.errors import counted, is_or_are
from tercet.inspection.labels_to_add import LabelToAdd
from tercet.inspection.results import ModelFindings
from tercet.inspection.table import NAME_AND_VALUE, Column, InspectionTable, TableKey, first_rows_table
from tercet.inspection.texts import Example


def lengths_table(findings: ModelFindings) -> InspectionTable:
    """Return the lengths of the sentences, and the number of findings."""
    lengths, issues, scored = findings.lengths, len(findings.label_issues), findings.num_scored
    percentiles = ", ".join(f"{percent}% up to {tokens}" for percent, tokens in lengths.percentiles.items())
    rows = [
        ("tokens per sentence", f"mean {lengths.mean:.1f}, {percentiles}, longest {lengths.longest:,}"),
        ("truncated sentences", f"{lengths.truncated:,} (limit {lengths.limit or 'none'})"),
        ("unknown tokens", f"{lengths.unknown_fraction:.1%}"),
    ]
    if scored is not None:
        rows += [
            ("label issues", f"{issues:,} of {scored:,} ({issues / scored if scored else 0.0:.1%})"),
            *([] if findings.parents is None else [("label issues by level", _by_level(findings.parents))]),
            ("pairs of confused labels", f"{len(findings.confusions):,}"),
            ("near-duplicates under two labels", f"{len(findings.near_duplicates):,}"),
        ]
    if findings.labels_to_add is not None:
        rows.append(("labels to add", f"{len(findings.labels_to_add):,}"))
    title = f"Measured with the model {findings.model}"
    return first_rows_table("lengths", "Lengths", title, NAME_AND_VALUE, rows, warning=findings.warning)


def label_issues_table(findings: ModelFindings, num_scored: int, max_rows: int) -> InspectionTable:
    """Return the sentences whose label is probably wrong."""
    found = findings.label_issues
    return _suggestions_table(
        "issues",
        "Label issues",
        "Label issues, the most likely first",
        ("label", "suggested label"),
        [(issue, issue.suggested_label, issue.log_odds) for issue in found],
        max_rows,
        summary=f"{len(found):,} of {num_scored:,} labels look{'s' if len(found) == 1 else ''} wrong, according to the "
        f"embeddings of {findings.model} "
        "and the labels of the other sentences. The log-odds are the natural logarithm of how many times likelier the "
        "suggested label is than the given one.",
        no_rows="No label issues were found." if num_scored else "No label could be checked.",
    )


def labels_to_add_table(found: Sequence[LabelToAdd], model: str, max_rows: int) -> InspectionTable:
    """Return the labels that sentences probably lack."""
    return _suggestions_table(
        "labels_to_add",
        "Labels to add",
        "Labels that sentences probably lack, the most likely first",
        ("labels", "label to add"),
        [(one, one.label_to_add, one.log_odds) for one in found],
        max_rows,
        summary=f"{counted(len(found), 'label')} {is_or_are(len(found))} probably missing, according to the labels of "
        f"the 10 nearest neighbours of each sentence in the embeddings of {model}. The log-odds are the natural "
        "logarithm of how many times likelier it is that the sentence has the label.",
        no_rows="No missing labels were found.",
    )


def _suggestions_table(
    key: TableKey,
    section: str,
    title: str,
    label_headings: tuple[str, str],
    suggestions: Sequence[tuple[Example, str, float]],
    max_rows: int,
    *,
    summary: str,
    no_rows: str,
) -> InspectionTable:
    """Return a table of sentences, each with a label that is suggested for it and its log-odds."""
    columns = (
        Column("row", "number"),
        Column("text", "data"),
        *(Column(heading, "data") for heading in label_headings),
        Column("log-odds", "number"),
    )
    rows = [(str(found.row), found.text, found.label, label, f"{odds:.2f}") for found, label, odds in suggestions]
    return first_rows_table(key, section, title, columns, rows, max_rows, summary=summary, no_rows=no_rows)


def confusions_table(findings: ModelFindings, max_rows: int) -> InspectionTable:
    """Return the pairs of labels with label issues between them."""
    return first_rows_table(
        "confusions",
        "Confused labels",
        "Confused labels, the most label issues first",
        (
            Column("labels", "data"),
            Column("issues", "number"),
            Column("fraction", "number"),
            Column("examples", "data"),
        ),
        [
            (pair.labels, f"{pair.issues[0]} / {pair.issues[1]}", _percent(pair.fraction), tuple(pair.examples))
            for pair in findings.confusions
        ],
        max_rows,
        no_rows="No confused labels were found.",
    )


def _percent(fraction: float) -> str:
    return "<1%" if 0 < fraction < 0.01 else f"{fraction:.0%}"


def parents_table(parents: Sequence[ParentErrors], max_rows: int) -> InspectionTable:
    """Return the number of label issues within and across the parents of nested labels, a tree."""
    shown = most_errors(parents, max_rows)
    which = "" if len(shown) == len(parents) else f" (the {len(shown)} of {len(parents):,} with the most)"
    return InspectionTable(
        key="parents",
        section="Confused labels",
        title=f"Label issues within and across parents, the most issues first{which}",
        columns=(
            Column("parent", "data"),
            *(Column(name, "number") for name in ("labels", "sentences", "issues within", "issues across")),
            Column("most often", "data"),
        ),
        rows=[
            (found.parent, *(f"{n:,}" for n in (found.labels, found.sentences, found.within, found.across)),
             found.most_often or "–")
            for found in shown
        ],
        levels=tuple(found.level for found in shown),
        summary="A parent is a coarser level of a label. Within: another label of the same parent is suggested. "
        "Across: a label of another parent at this level, most often of the one in the last column. "
        f"Issues by the coarsest level that differs: {_by_level(parents)}.",
    )  # fmt: skip


def _by_level(parents: Sequence[ParentErrors]) -> str:
    return ", ".join(f"level {level}: {number:,}" for level, number in enumerate(errors_by_level(parents), 1))


def near_duplicates_table(findings: ModelFindings, max_rows: int) -> InspectionTable:
    """Return the pairs of almost equal sentences with different labels."""
    return first_rows_table(
        "near_duplicates",
        "Near-duplicates under two labels",
        "Near-duplicates under two labels, the most similar first",
        (Column("similarity", "number"), Column("sentences", "data", ("sentence", "sentence"))),
        [(f"{pair.similarity:.3f}", (pair.first, pair.second)) for pair in findings.near_duplicates],
        max_rows,
        no_rows="No near-duplicates with different labels were found.",
    )
