"""A table of an inspection: columns, cells and rows, which the command line and the report render."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tercet.inspection.texts import Example


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
        kind: what the cells contain: `number`, `data` (text from the data), `setting` (the name of a setting),
            `reason` (a sentence that is never cut) or `words` (other text).
        line_names: one heading for each line of a cell. If given, the HTML report puts each line into its own column.
    """

    name: str = ""
    kind: Literal["words", "number", "data", "setting", "reason"] = "words"
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
        levels: the level of each row in a tree, see `tercet.report.page_table.Table`; empty for other tables.
        summary: an explanation that only the report shows.
        no_rows: the text that the report shows if the table has no rows; "" leaves the table out.
        warning: a warning, shown below the table on the command line and at the top of the report; None without one.
    """

    key: TableKey
    section: str
    title: str
    columns: tuple[Column, ...]
    rows: list[tuple[Cell, ...]]
    levels: tuple[int, ...] = ()
    summary: str = ""
    no_rows: str = ""
    warning: str | None = None


NAME_AND_VALUE = (Column(), Column())


def first_rows_table(
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
