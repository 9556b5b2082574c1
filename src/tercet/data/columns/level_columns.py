"""Several label columns, coarse to fine, as one column of nested labels."""

import unicodedata
from collections.abc import Sequence
from typing import Any

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

    joined = Columns([*base, name], read, len(table), table.complete_columns)
    return Table(table.source, joined, table.lines, table.guessed_header, table.rows)


def _levels(values: Sequence[Any], column: str, separator: str, table: Table) -> list[str | None]:
    plain = plain_values(values)
    for row, value in enumerate(plain):
        if isinstance(value, tuple) or (isinstance(value, str) and separator in value):
            place = f"row {table.row_number(row)}" if table.lines is None else f"line {table.lines[row]}"
            why = (
                "has several values, but each label column has one level; pass this column alone as label_column"
                if isinstance(value, tuple)
                else f"contains the separator {separator!r}; pass another label_levels, a character that no level has"
            )
            raise DataError(f"{table.source}, {place}: {short_repr(value)} in column {short_repr(column)} {why}")
    return [None if value is None else unicodedata.normalize("NFC", str(value)).strip() for value in plain]


def _label(path: Sequence[str | None], separator: str) -> str | None:
    """Return the label of a path; None if a level before its last one is missing."""
    depth = next((level for level, value in enumerate(path) if value is None), len(path))
    if depth == 0 or any(value is not None for value in path[depth:]):
        return None
    return separator.join(value for value in path[:depth] if value is not None)
