"""Nested labels whose levels come apart: in several label columns, coarse to fine, or in a list in each cell.

join_label_columns  adds a column of nested labels to a table with a column for each level
join_label_lists    returns the values of a label column, each list as the nested label of its levels
"""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from tercet._texts import row_place
from tercet.data.columns.names import check_columns
from tercet.data.tables.cells import plain_values
from tercet.data.tables.table import Columns, Table
from tercet.errors import DataError, short_repr


def join_label_columns(table: Table, columns: Sequence[str], separator: str) -> Table:
    """Add a column of nested labels, whose name is that of its levels, such as "area/intent".

    A row without a value in the last columns has fewer levels. A row has no label if it has none in the first column,
    or a value behind a missing one.

    Args:
        table: the table.
        columns: the columns of the levels, the coarsest first.
        separator: the separator of the levels.

    Raises:
        DataError: a column does not exist. When the new column is read: a value contains the separator or is a list.
    """
    check_columns(columns, list(table.columns), table.source)
    base, name = table.columns, separator.join(columns)

    def read(wanted: str) -> Sequence[Any]:
        if wanted != name:
            return base[wanted]
        levels = [_levels(base[column], column, separator, table) for column in columns]
        return [_label(path, separator) for path in zip(*levels, strict=True)]

    joined = Columns([*base, name], read, len(table), table.complete_columns, read_rows=table.read_rows)
    return replace(table, columns=joined)


def join_label_lists(
    values: Iterable[Any],
    separator: str,
    source: str,
    lines: Sequence[int] | None = None,
    *,
    invalid: Callable[[Any], Any] | None = None,
) -> list[Any]:
    """Return the values of a label column, each list as the nested label of its levels; other values as they are.

    Missing items count as missing values in columns of levels: at the end they are left out, and a list with a value
    behind a missing one has no label.

    Args:
        values: the cells, the levels in a list with the coarsest first.
        separator: the separator of the levels.
        source: the file or data set, for messages.
        lines: the line number of each row in its file, for messages; None names the row instead.
        invalid: returns the label of a cell that is not a path; None raises an error.

    Raises:
        DataError: `invalid` is None, and a level contains the separator or is itself a list or a dictionary, or a cell
            is a set.

    Example:
        >>> join_label_lists([["north", "sales", "north"], ["a", None], ["a", None, "b"], "c/d"], "/", "my data")
        ['north/sales/north', 'a', None, 'c/d']
    """

    def label(row: int, value: Any) -> Any:
        try:
            return _label_of_cell(value, separator, source, row, lines)
        except DataError:
            if invalid is None:
                raise
            return invalid(value)

    return [label(row, value) for row, value in enumerate(values)]


def _label_of_cell(value: Any, separator: str, source: str, row: int, lines: Sequence[int] | None) -> Any:
    cell = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(cell, (list, tuple, set, frozenset)):
        return value
    place = row_place(source, row, lines)
    if isinstance(cell, (set, frozenset)):
        raise DataError(
            f"{place}: the label is a set, whose levels have no order; pass a list, the coarsest level first"
        )
    if any(isinstance(item, (list, tuple, dict)) for item in cell):
        raise DataError(f"{place}: the label is {short_repr(cell)}; each level must be a string or an integer")
    levels = plain_values(cell)
    for level in levels:
        if _contains(level, separator):
            raise DataError(f"{place}: the level {short_repr(level)} {_other_separator(separator)}")
    return _label([_name(level) for level in levels], separator)


def _levels(values: Sequence[Any], column: str, separator: str, table: Table) -> list[str | None]:
    plain = plain_values(values)
    for row, value in enumerate(plain):
        if isinstance(value, tuple) or _contains(value, separator):
            why = (
                "has several values, but each label column has one level; pass this column alone as label_column"
                if isinstance(value, tuple)
                else _other_separator(separator)
            )
            place = row_place(table.source, row, table.places)
            raise DataError(f"{place}: {short_repr(value)} in column {short_repr(column)} {why}")
    return [_name(value) for value in plain]


def _contains(level: Any, separator: str) -> bool:
    return isinstance(level, str) and separator in level


def _other_separator(separator: str) -> str:
    return f"contains the separator {separator!r}; pass another label_levels, a character that no level has"


def _name(level: Any) -> str | None:
    return None if level is None else unicodedata.normalize("NFC", str(level)).strip()


def _label(path: Sequence[str | None], separator: str) -> str | None:
    """Return the label of a path; None if a level before its last one is missing."""
    depth = next((level for level, value in enumerate(path) if value is None), len(path))
    if depth == 0 or any(value is not None for value in path[depth:]):
        return None
    return separator.join(value for value in path[:depth] if value is not None)
