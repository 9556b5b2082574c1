"""The tables of texts and labels, which need no model."""

from collections.abc import Sequence

from tercet._texts import shown_numbers
from tercet.inspection.table import (
    NAME_AND_VALUE,
    Column,
    InspectionTable,
    Items,
    first_rows_table,
)
from tercet.inspection.texts import TextSummary


def texts_table(texts: TextSummary) -> InspectionTable:
    """Return the sizes of labels, and the number of rows with each problem."""
    labels = texts.labels
    rows = [
        ("rows", f"{texts.rows:,}"),
        ("labels", f"{labels.count:,}"),
        ("smallest label", _size(labels.smallest)),
        ("median label", f"{labels.median:,.1f}".removesuffix(".0")),
        ("largest label", _size(labels.largest)),
        ("labels with one sentence", f"{labels.singletons:,}"),
        ("empty texts", _counted(texts.empty)),
        ("missing labels", _counted(texts.missing_labels)),
        ("duplicates under the same label", _counted(texts.duplicates)),
        ("texts under several labels", f"{len(texts.contradictions):,}"),
        # `repr` shows characters that are invisible or look alike.
        ("several labels in one cell", _examples([repr(label) for label in texts.combined_labels])),
        ("labels written in several forms", _examples([", ".join(map(repr, group)) for group in texts.similar_labels])),
    ]
    title = "Texts and labels (row 0 is the first row of data)"
    return first_rows_table("texts", "Texts and labels", title, NAME_AND_VALUE, rows)


def contradictions_table(texts: TextSummary, warning: str | None, max_rows: int) -> InspectionTable:
    """Return the texts that have several labels."""
    return first_rows_table(
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


def _size(label: tuple[str, int] | None) -> str:
    return "–" if label is None else f"{label[1]:,} ({label[0]})"


def _counted(rows: Sequence[int]) -> str:
    return f"{len(rows):,} (row {shown_numbers(rows)})" if rows else "0"


def _examples(labels: Sequence[str]) -> str:
    """Return the number of labels and the first one."""
    return f"{len(labels):,} ({labels[0]}{', …' if len(labels) > 1 else ''})" if labels else "0"
