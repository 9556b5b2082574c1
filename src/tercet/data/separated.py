"""Read files of comma-separated or tab-separated values."""

import csv
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tercet.data.table import Columns, Content
from tercet.data.text_files import open_text
from tercet.errors import DataError, listed, short_repr

# The maximum length of a field, in characters. The default of Python, 131,072, is too short for long documents.
_FIELD_LIMIT = 2**24
_SEPARATOR_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}


def read_csv(path: Path, *, header: bool = True) -> Content:
    """Read a file of comma-separated values. Blank lines are skipped.

    Args:
        path: the file.
        header: whether the first line contains the column names. If False, the columns are named "0", "1" and so on.
    """
    return _read_separated(path, ",", header=header)


def read_tsv(path: Path, *, header: bool = True) -> Content:
    """Read a file of tab-separated values. Blank lines are skipped.

    Args:
        path: the file.
        header: whether the first line contains the column names. If False, the columns are named "0", "1" and so on.
    """
    return _read_separated(path, "\t", header=header)


def _read_separated(path: Path, separator: str, *, header: bool) -> Content:
    csv.field_size_limit(_FIELD_LIMIT)
    columns: list[list[str]] = []
    names: list[str] = []
    lines = array("q")
    with open_text(path) as file:
        rows = csv.reader(file, delimiter=separator, strict=True)
        try:
            for row in rows:
                if not names:
                    names = [str(index) for index in range(len(row))] if not header else row
                    columns = [[] for _ in row]
                    if header:
                        if not row:
                            break
                        continue
                if not row:
                    continue
                if len(row) != len(columns):
                    raise DataError(_wrong_number(path, rows.line_num, row, names, separator, header=header))
                lines.append(rows.line_num)
                for column, value in zip(columns, row, strict=True):
                    column.append(value)
        except csv.Error as error:
            hint = "; a double quote was opened and not closed" if "unexpected end" in str(error) else ""
            reason = str(error).replace("\t", "\\t")
            raise DataError(f"{path}, line {rows.line_num}: {reason}{hint}") from None
    if not any(name.strip() for name in names):
        wanted = "it must contain the names of the columns" if header else "it must contain data"
        raise DataError(f"{path}: the first line is empty or missing; {wanted}")
    return _named(path, names, columns), lines.tolist()


def _named(path: Path, names: Sequence[str], columns: list[list[str]]) -> Columns:
    """Return the columns by name. Columns without a name are hidden; two of one name are an error if it is used."""
    position, twice = {}, set()
    for index, name in enumerate(names):
        if name in position:
            twice.add(name)
        else:
            position[name] = index

    def read(name: str) -> list[Any]:
        if name in twice:
            raise DataError(f"{path}, line 1: several columns have the same name: {short_repr(name)}; rename them")
        return columns[position[name]]

    named = [name for name in position if name.strip()]
    return Columns(named, read, len(columns[0]), lambda: {name: read(name) for name in position})


def _wrong_number(
    path: Path, line: int, row: Sequence[str], names: Sequence[str], separator: str, *, header: bool
) -> str:
    """Return the message for a row that has more or fewer fields than the first line."""
    first = "header" if header else "first line"
    message = f"{path}, line {line}: {len(row)} fields, but the {first} has {len(names)}; "
    other = other_separator(names, separator) if header else None
    if other is not None:
        return (
            f"{message}the columns seem to be separated by {_SEPARATOR_NAMES[other]} ({listed(names, 1)}); separate "
            "them by commas in a .csv, by tabs in a .tsv"
        )
    if len(row) > len(names):
        return f'{message}put fields that contain {"a comma" if separator == "," else "a tab"} in "double quotes"'
    return f"{message}add the missing fields"


def other_separator(names: Sequence[str], separator: str) -> str | None:
    """Return the separator that the names of a header seem to have instead of `separator`, or None."""
    joined = separator.join(names)
    counts = {mark: joined.count(mark) for mark in _SEPARATOR_NAMES if mark != separator}
    most = max(counts, key=lambda mark: counts[mark])
    return most if counts[most] >= len(names) else None
