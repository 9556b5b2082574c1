"""Read files of comma-separated or tab-separated values. `separators.py` finds the separator."""

import csv
from array import array
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from tercet.data.formats.separators import (
    SEPARATOR_NAMES,
    Dialect,
    find_dialect,
    log_unquoted,
    may_be_unquoted,
    quote_use,
)
from tercet.data.formats.text_files import open_text
from tercet.data.tables.table import Columns, Content, repeated_column
from tercet.data.tables.text_column import PART, ColumnBuilder
from tercet.errors import DataError, counted, listed

# The maximum length of a field, in characters. The default of Python, 131,072, is too short for long documents.
_FIELD_LIMIT = 2**24


def read_csv(
    path: Path, *, header: bool = True, csv_separator: str | None = None, encoding: str | None = None
) -> Content:
    """Read a file of comma-separated values. Blank lines are skipped.

    Args:
        path: the file.
        header: whether the first line contains the column names. If False, the columns are named "0", "1" and so on.
        csv_separator: the separator of the columns; None finds it, see `find_dialect`.
        encoding: the encoding; None finds it, see `find_encoding`.
    """
    return read_separated(path, ",", header=header, csv_separator=csv_separator, encoding=encoding)


def read_tsv(
    path: Path, *, header: bool = True, csv_separator: str | None = None, encoding: str | None = None
) -> Content:
    """Read a file of tab-separated values. Blank lines are skipped. The arguments are those of `read_csv`."""
    return read_separated(path, "\t", header=header, csv_separator=csv_separator, encoding=encoding)


class _RowError(DataError):
    """An error for a row with another number of fields, or with a double quote where none can be."""


def read_separated(
    path: Path, default: str, *, header: bool, csv_separator: str | None = None, encoding: str | None = None
) -> Content:
    """Read a file of separated values. `default` is the separator that its file extension stands for.

    If double quotes cannot enclose fields, because rows would be invalid, they are characters like others. If they
    enclose fields in more lines than they make invalid, the invalid rows are errors.
    """
    csv.field_size_limit(_FIELD_LIMIT)
    with open_text(path, encoding) as file:
        dialect = find_dialect(file, path, default, csv_separator)
        try:
            return _read_rows(file, path, dialect, header=header)
        except _RowError as error:
            if not may_be_unquoted(dialect):
                raise
            file.seek(0)
            use = quote_use(islice(file, dialect.skipped, None), dialect)
            if use.encloses_fields:
                raise
            file.seek(0)
            unquoted = replace(dialect, quoted=False)
            try:
                content = _read_rows(file, path, unquoted, header=header)
            except DataError:
                raise error from None
        log_unquoted(path, unquoted, use.first_invalid + dialect.skipped)
        return content


def _read_rows(file: TextIO, path: Path, dialect: Dialect, *, header: bool) -> Content:
    columns: list[list[str]] = []
    builders: list[ColumnBuilder] = []
    names: list[str] = []
    lines = array("q")
    for _ in range(dialect.skipped):
        next(file)
    rows = dialect.rows(file)
    end = 0  # the last line of the row
    try:
        for row in rows:
            before, end = end, rows.line_num
            if not names:
                names = [str(index) for index in range(len(row))] if not header else row
                columns, builders = [[] for _ in row], [ColumnBuilder() for _ in row]
                if header:
                    if not row:
                        break
                    continue
            if not row:
                continue
            if len(row) != len(columns):
                line = rows.line_num + dialect.skipped
                message = _wrong_number(path, line, row, names, dialect, header=header)
                raise _RowError(message + _first_line(before + 1 + dialect.skipped, line))
            lines.append(rows.line_num + dialect.skipped)
            for column, value in zip(columns, row, strict=True):
                column.append(value)
            if len(columns[0]) == PART:
                _flush(columns, builders)
    except csv.Error as error:
        hints = {
            "unexpected end": "; a double quote was opened and not closed",
            "expected after": '; within a field in double quotes, write "" for a double quote',
        }
        hint = next((hint for part, hint in hints.items() if part in str(error)), "")
        reason, line = str(error).replace("\t", "\\t"), rows.line_num + dialect.skipped
        first = _first_line(end + 1 + dialect.skipped, line)
        raise _RowError(f"{path}, line {line}: {reason}{hint}{first}") from None
    if not any(name.strip() for name in names):
        wanted = "it must contain the names of the columns" if header else "it must contain data"
        raise DataError(f"{path}: the first line is empty or missing; {wanted}")
    _flush(columns, builders)
    return named_columns(path, names, [builder.column() for builder in builders]), lines


def _flush(columns: Sequence[list[str]], builders: Sequence[ColumnBuilder]) -> None:
    for column, builder in zip(columns, builders, strict=True):
        builder.extend(column)
        column.clear()


def named_columns(path: Path, names: Sequence[str], columns: Sequence[Sequence[Any]]) -> Columns:
    """Return the columns by name. Columns without a name are hidden; two of one name are an error if it is used."""
    position, twice = {}, set()
    for index, name in enumerate(names):
        if name in position:
            twice.add(name)
        else:
            position[name] = index

    def read(name: str) -> Sequence[Any]:
        if name in twice:
            raise repeated_column(f"{path}, line 1", name)
        return columns[position[name]]

    def read_all() -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for name, values in zip(names, columns, strict=True):
            # Excel and Kaggle write columns without a name and without a value.
            if not name.strip() and not any(values):
                continue
            if name in kept:
                raise repeated_column(f"{path}, line 1", name)
            kept[name] = values
        return kept

    named = [name for name in position if name.strip()]
    return Columns(named, read, len(columns[0]), read_all)


def _first_line(first: int, line: int) -> str:
    """Return where an invalid row of several lines begins: its first double quote was probably meant as a character."""
    return (
        "" if first == line else f"; the row begins in line {first}: look there for a double quote that is not closed"
    )


def _wrong_number(
    path: Path, line: int, row: Sequence[str], names: Sequence[str], dialect: Dialect, *, header: bool
) -> str:
    """Return the message for a row that has more or fewer fields than the first line."""
    first = "header" if header else "first line"
    message = f"{path}, line {line}: {counted(len(row), 'field')}, but the {first} has {len(names)}; "
    other = other_separator(names, dialect.separator) if header else None
    if other is not None:
        return (
            f"{message}the columns seem to be separated by {SEPARATOR_NAMES[other]} ({listed(names, 1)}), but not in "
            "every row; correct the rows, or pass csv_separator"
        )
    mark = {",": "a comma", "\t": "a tab"}.get(dialect.separator, repr(dialect.separator))
    if len(row) > len(names):
        return f'{message}put fields that contain {mark} in "double quotes"'
    if any(dialect.separator in field for field in row):
        return f"{message}double quotes enclose {mark}; close them before it, or add the missing fields"
    return f"{message}add the missing fields"


def other_separator(names: Sequence[str], separator: str) -> str | None:
    """Return the separator that the names of a header seem to have instead of `separator`, or None."""
    joined = separator.join(names)
    counts = {mark: joined.count(mark) for mark in SEPARATOR_NAMES if mark != separator}
    most = max(counts, key=lambda mark: counts[mark])
    return most if counts[most] >= len(names) else None
