"""Convert an inspection into tables. The command line and the HTML report render them. (In the report, a plot
replaces the table of active triplets.)"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tercet._nested_labels import ParentErrors
from tercet.inspection.batches import MARGINS, BatchSummary, Suggestion
from tercet.inspection.labels_to_add import LabelToAdd
from tercet.inspection.results import Inspection, ModelFindings
from tercet.inspection.texts import Example, TextSummary

# The maximum number of row numbers to show after a count, as in "6 (row 2, 4, 5, 6, 7, …)".
MAX_ROW_NUMBERS = 5


@dataclass(frozen=True)
class Items:
    """A cell with a list of items. A renderer joins the first items with commas."""

    items: tuple[str, ...]


Line: TypeAlias = str | Example
Cell: TypeAlias = Line | Items | tuple[Line, ...]
TableKey: TypeAlias = Literal[
    "texts",
    "contradictions",
    "lengths",
    "issues",
    "labels_to_add",
    "confusions",
    "parents",
    "near_duplicates",
    "batches",
    "settings",
]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: the heading.
        kind: what the cells contain: `number`, `data` (text from the data), `setting` (the name of a setting) or
            `words` (other text).
        line_names: one heading for each line of a cell. If given, the HTML report puts each line into its own column.
    """

    name: str = ""
    kind: Literal["words", "number", "data", "setting"] = "words"
    line_names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class InspectionTable:
    """A table of an inspection.

    Attributes:
        key: the identifier of the table. A renderer uses it to add the plots that belong to the table.
        section: the heading of the section of the report that contains the table.
        title: the title, with the number of rows shown if there are more.
        columns: the columns. A table of names and values has two columns with empty headings.
        rows: the rows to show. A cell with several lines is a tuple.
        summary: an explanation that only the report shows.
        no_rows: the text that the report shows if the table has no rows; "" leaves the table out.
        warning: a warning, shown below the table on the command line and at the top of the report; None without one.
    """

    key: TableKey
    section: str
    title: str
    columns: tuple[Column, ...]
    rows: list[tuple[Cell, ...]]
    summary: str = ""
    no_rows: str = ""
    warning: str | None = None


_NAME_AND_VALUE = (Column(), Column())


def inspection_tables(inspection: Inspection, max_rows: int) -> list[InspectionTable]:
    """Return the tables of an inspection in display order. Lists of findings have at most `max_rows` rows."""
    obstacle = inspection.obstacle
    warning = f"These data cannot be used for training: {obstacle}" if obstacle else None
    tables = [_texts(inspection.texts), _contradictions(inspection.texts, warning, max_rows)]
    findings = inspection.with_model
    if findings is None:
        return tables
    tables.append(_model(findings))
    if findings.labels_to_add is not None:
        tables.append(_labels_to_add(findings.labels_to_add, findings.model, max_rows))
    if findings.num_scored is not None:
        tables += [
            _label_issues(findings, findings.num_scored, max_rows),
            _confusions(findings, max_rows),
            *([] if findings.parents is None else [_parents(findings.parents, max_rows)]),
            _near_duplicates(findings, max_rows),
        ]
    if findings.batches is not None:
        tables += [_batches(findings.batches), _settings(findings.suggestions)]
    return tables


def row_numbers(rows: Sequence[int], max_rows: int) -> str:
    """Return the first `max_rows` row numbers, separated by commas, and "…" if there are more."""
    return ", ".join(map(str, rows[:max_rows])) + (", …" if len(rows) > max_rows else "")


def active_fractions(batches: BatchSummary) -> list[tuple[str, str, list[float]]]:
    """Return one curve for each distance and each of "all" (triplets) and "semi-hard".

    A curve consists of the name of the distance, "all" or "semi-hard", and the active fraction at each margin.
    """
    curves = []
    for distance in dict.fromkeys(fraction.distance for fraction in batches.active):
        fractions = [fraction for fraction in batches.active if fraction.distance == distance]
        curves.append((distance, "all", [fraction.all_triplets for fraction in fractions]))
        curves.append((distance, "semi-hard", [fraction.semi_hard for fraction in fractions]))
    return curves


def _texts(texts: TextSummary) -> InspectionTable:
    labels = texts.labels
    rows = [
        ("rows", f"{texts.rows:,}"),
        ("labels", f"{labels.count:,}"),
        ("smallest label", _size(labels.smallest)),
        ("median label", f"{labels.median:,g}"),
        ("largest label", _size(labels.largest)),
        ("labels with one sentence", f"{labels.singletons:,}"),
        ("empty texts", _counted(texts.empty)),
        ("missing labels", _counted(texts.missing_labels)),
        ("duplicates under the same label", _counted(texts.duplicates)),
        ("texts under several labels", f"{len(texts.contradictions):,}"),
        ("several labels in one cell", _examples([repr(label) for label in texts.combined_labels])),
        ("labels written in several forms", _examples([", ".join(map(repr, group)) for group in texts.similar_labels])),
    ]
    title = "Texts and labels (row 0 is the first row of data)"
    return _table("texts", "Texts and labels", title, _NAME_AND_VALUE, rows)


def _contradictions(texts: TextSummary, warning: str | None, max_rows: int) -> InspectionTable:
    return _table(
        "contradictions",
        "Texts and labels",
        "Texts under several labels",
        (Column("rows"), Column("text", "data"), Column("labels", "data")),
        [
            (Items(tuple(map(str, found.rows))), found.text, Items(tuple(found.labels)))
            for found in texts.contradictions
        ],
        max_rows,
        warning=warning,
    )


def _model(findings: ModelFindings) -> InspectionTable:
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
            ("pairs of confused labels", f"{len(findings.confusions):,}"),
            ("near-duplicates under two labels", f"{len(findings.near_duplicates):,}"),
        ]
    if findings.labels_to_add is not None:
        rows.append(("labels to add", f"{len(findings.labels_to_add):,}"))
    title = f"Measured with the model {findings.model}"
    return _table("lengths", "Lengths", title, _NAME_AND_VALUE, rows, warning=findings.warning)


def _label_issues(findings: ModelFindings, num_scored: int, max_rows: int) -> InspectionTable:
    found = findings.label_issues
    return _table(
        "issues",
        "Label issues",
        "Label issues, the most likely first",
        (
            Column("row", "number"),
            Column("text", "data"),
            Column("label", "data"),
            Column("suggested label", "data"),
            Column("log-odds", "number"),
        ),
        [(str(issue.row), issue.text, issue.label, issue.suggested_label, f"{issue.log_odds:.2f}") for issue in found],
        max_rows,
        summary=f"{len(found):,} of {num_scored:,} labels look wrong, according to the embeddings of {findings.model} "
        "and the labels of the other sentences. The log-odds are the natural logarithm of how many times likelier the "
        "suggested label is than the given one.",
        no_rows="No label issues were found." if num_scored else "No label could be checked.",
    )


def _labels_to_add(found: Sequence[LabelToAdd], model: str, max_rows: int) -> InspectionTable:
    return _table(
        "labels_to_add",
        "Labels to add",
        "Labels that sentences probably lack, the most likely first",
        (
            Column("row", "number"),
            Column("text", "data"),
            Column("labels", "data"),
            Column("label to add", "data"),
            Column("log-odds", "number"),
        ),
        [(str(one.row), one.text, one.label, one.label_to_add, f"{one.log_odds:.2f}") for one in found],
        max_rows,
        summary=f"{len(found):,} labels are probably missing, according to the labels of the 10 nearest neighbours of "
        f"each sentence in the embeddings of {model}. The log-odds are the natural logarithm of how many times "
        "likelier it is that the sentence has the label.",
        no_rows="No missing labels were found.",
    )


def _confusions(findings: ModelFindings, max_rows: int) -> InspectionTable:
    return _table(
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
            (pair.labels, f"{pair.issues[0]} / {pair.issues[1]}", f"{pair.fraction:.0%}", tuple(pair.examples))
            for pair in findings.confusions
        ],
        max_rows,
        no_rows="No confused labels were found.",
    )


def _parents(parents: Sequence[ParentErrors], max_rows: int) -> InspectionTable:
    return _table(
        "parents",
        "Confused labels",
        "Label issues within and across parents, the most issues first",
        (
            Column("parent", "data"),
            *(Column(name, "number") for name in ("labels", "sentences", "issues within", "issues across")),
            Column("most often", "data"),
        ),
        [
            (found.parent, *(f"{n:,}" for n in (found.labels, found.sentences, found.within, found.across)),
             found.most_often or "–")
            for found in parents
        ],
        max_rows,
        summary="A parent is the coarsest level of a label. Within: another label of the same parent is suggested. "
        "Across: a label of another parent, most often of the one in the last column.",
    )  # fmt: skip


def _near_duplicates(findings: ModelFindings, max_rows: int) -> InspectionTable:
    return _table(
        "near_duplicates",
        "Near-duplicates under two labels",
        "Near-duplicates under two labels, the most similar first",
        (Column("similarity", "number"), Column("sentences", "data", ("sentence", "sentence"))),
        [(f"{pair.similarity:.3f}", (pair.first, pair.second)) for pair in findings.near_duplicates],
        max_rows,
        no_rows="No near-duplicates with different labels were found.",
    )


def _batches(batches: BatchSummary) -> InspectionTable:
    rows = [
        (distance if kind == "all" else "", kind, *(f"{fraction:.0%}" for fraction in fractions))
        for distance, kind, fractions in active_fractions(batches)
    ]
    mean = f"{batches.labels:.1f} labels and {batches.valid_triplets:,.0f} triplets"
    return _table(
        "batches",
        "Active triplets in a batch",
        f"A batch of {batches.batch_size} has {mean} on average; fraction of triplets with a loss above 0, by margin",
        (Column("distance"), Column("triplets"), *(Column(f"{margin:g}", "number") for margin in MARGINS)),
        rows,
        summary=f"{batches.num_batches:,} of {batches.batches_per_epoch:,} batches of an epoch measured, each "
        f"with {batches.batch_size} sentences. A batch has {mean} on average. The plot shows the fraction of active "
        "triplets (loss above 0) at each margin.",
    )


def _settings(suggestions: Iterable[Suggestion]) -> InspectionTable:
    rows = [
        (found.setting, f"{found.value:g}" if isinstance(found.value, (int, float)) else found.value, found.reason)
        for found in suggestions
    ]
    columns = (Column("setting", "setting"), Column("value"), Column("reason"))
    return _table("settings", "Suggested settings", "Suggested settings for tercet train", columns, rows)


def _table(
    key: TableKey,
    section: str,
    title: str,
    columns: tuple[Column, ...],
    rows: Sequence[tuple[Cell, ...]],
    max_rows: int | None = None,
    *,
    summary: str = "",
    no_rows: str = "",
    warning: str | None = None,
) -> InspectionTable:
    """Return a table of the first `max_rows` rows. If there are more, its title has their number."""
    if max_rows is not None and len(rows) > max_rows:
        title = f"{title} (the first {max_rows} of {len(rows):,})"
    return InspectionTable(
        key=key,
        section=section,
        title=title,
        columns=columns,
        rows=list(rows[:max_rows]),
        summary=summary,
        no_rows=no_rows,
        warning=warning,
    )


def _size(label: tuple[str, int] | None) -> str:
    return "–" if label is None else f"{label[1]:,} ({label[0]})"


def _counted(rows: Sequence[int]) -> str:
    return f"{len(rows):,} (row {row_numbers(rows, MAX_ROW_NUMBERS)})" if rows else "0"


def _examples(labels: Sequence[str]) -> str:
    """Return the number of labels with the first of them. `repr` shows what the eye does not see."""
    return f"{len(labels):,} ({labels[0]}{', …' if len(labels) > 1 else ''})" if labels else "0"
