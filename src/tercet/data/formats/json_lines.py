"""Read files of JSON Lines: one JSON object per line."""

import json
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tercet.data.formats.text_files import open_text
from tercet.data.tables.table import Columns, Content
from tercet.data.tables.text_column import PART, ColumnBuilder
from tercet.errors import DataError, short_repr


class ObjectRows:
    """Rows that are objects. The columns are the keys of all of them; where an object lacks a key, the value is None.

    Only the rows that have a key, and the values there, are kept. Rare keys then cost no memory in the other rows.

    Args:
        place: a function from the number of a row to its place, for messages.
    """

    def __init__(self, place: Callable[[int], str]) -> None:
        self._place, self._num_rows = place, 0
        self._rows: dict[str, array[int]] = {}
        self._values: dict[str, list[Any]] = {}  # the last ones, which are not in a builder yet
        self._builders: dict[str, ColumnBuilder] = {}
        self._twice: dict[str, int] = {}

    def add(self, pairs: list[tuple[str, Any]]) -> None:
        """Append a row, given as its keys and values."""
        row = dict(pairs)
        if len(row) < len(pairs):
            seen: set[str] = set()
            for name, _ in pairs:
                if name in seen:
                    self._twice.setdefault(name, self._num_rows)
                seen.add(name)
        for name, value in row.items():
            self._rows.setdefault(name, array("q")).append(self._num_rows)
            values = self._values.setdefault(name, [])
            values.append(value)
            if len(values) == PART:
                self._flush(name)
        self._num_rows += 1

    def columns(self) -> Columns:
        """Return the columns. A key that an object has twice is an error if the column is used."""
        return Columns(self._values, self._column, self._num_rows)

    def _column(self, name: str) -> Sequence[Any]:
        if name in self._twice:
            place = self._place(self._twice[name])
            raise DataError(f"{place}: the key {short_repr(name)} occurs twice; remove one of them")
        self._flush(name)
        values = self._builders[name].column()
        if len(values) == self._num_rows:
            return values
        column: list[Any] = [None] * self._num_rows
        for row, value in zip(self._rows[name], values, strict=True):
            column[row] = value
        return column

    def _flush(self, name: str) -> None:
        self._builders.setdefault(name, ColumnBuilder()).extend(self._values[name])
        self._values[name].clear()


def read_json_lines(path: Path, *, encoding: str | None = None) -> Content:
    """Read a file with one JSON object per line. Blank lines are skipped.

    The columns are the keys of all objects. Where an object does not have a key, the value is None. A key that an
    object has twice is an error if the column is used.
    """
    lines = array("q")
    rows = ObjectRows(lambda row: f"{path}, line {lines[row]}")
    pairs: list[tuple[str, Any]] = []

    def keep_pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal pairs
        pairs = found  # The outermost object comes last.
        return dict(found)

    with open_text(path, encoding) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line, object_pairs_hook=keep_pairs)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}, line {number}: not valid JSON: {getattr(error, 'msg', error)}") from None
            if not isinstance(value, dict):
                raise DataError(
                    f"{path}, line {number}: not a JSON object; each line must be an object, "
                    'for example {"text": "hello", "label": "greeting"}'
                )
            lines.append(number)
            rows.add(pairs)
    return rows.columns(), lines
