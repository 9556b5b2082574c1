"""Read files of JSON Lines: one JSON object per line."""

import json
from array import array
from pathlib import Path
from typing import Any

from tercet.data.table import Columns, Content
from tercet.data.text_files import open_text
from tercet.errors import DataError, short_repr


def read_json_lines(path: Path) -> Content:
    """Read a file with one JSON object per line. Blank lines are skipped.

    The columns are the keys of all objects. Where an object does not have a key, the value is None. A key that an
    object has twice is an error if the column is used.
    """
    # The rows that have a key, and the values there. Rare keys then cost no memory in the other rows.
    rows_of: dict[str, array[int]] = {}
    values_of: dict[str, list[Any]] = {}
    twice: dict[str, int] = {}
    lines = array("q")
    pairs: list[tuple[str, Any]] = []

    def keep_pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal pairs
        pairs = found  # The outermost object comes last.
        return dict(found)

    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line, object_pairs_hook=keep_pairs)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}, line {number}: not valid JSON: {getattr(error, 'msg', error)}") from None
            if not isinstance(row, dict):
                raise DataError(
                    f"{path}, line {number}: not a JSON object; each line must be an object, "
                    'for example {"text": "hello", "label": "greeting"}'
                )
            if len(row) < len(pairs):
                seen: set[str] = set()
                for name, _ in pairs:
                    if name in seen:
                        twice.setdefault(name, number)
                    seen.add(name)
            for name, value in row.items():
                rows_of.setdefault(name, array("q")).append(len(lines))
                values_of.setdefault(name, []).append(value)
            lines.append(number)

    def read(name: str) -> list[Any]:
        if name in twice:
            raise DataError(f"{path}, line {twice[name]}: the key {short_repr(name)} occurs twice; remove one of them")
        if len(values_of[name]) == len(lines):
            return values_of[name]
        column: list[Any] = [None] * len(lines)
        for row, value in zip(rows_of[name], values_of[name], strict=True):
            column[row] = value
        return column

    return Columns(values_of, read, len(lines)), lines.tolist()
