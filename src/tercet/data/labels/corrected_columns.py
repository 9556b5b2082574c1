"""Put accepted labels into the columns of a table, in the form of the other cells.

with_labels     replaces labels of a column
with_levels     replaces nested labels, of which each level has a column
with_additions  adds labels to cells with several
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tercet._nested_labels import path_of
from tercet._texts import is_missing_value
from tercet.data.tables.cells import as_list, parse_label_list, read_list
from tercet.errors import DataError, counted, short_repr

_INTEGER = re.compile(r"-?[0-9]+")
_BOOLEANS = {"true": True, "false": False}


def with_labels(values: Any, new: Mapping[int, str | None], label_levels: str | None = None) -> list[Any]:
    """Return the values of a label column with some labels replaced.

    New values have the type of the others: integers, whole floating point numbers or booleans. In the place of a list,
    they are a list, of integers in the place of integers.

    Args:
        values: the column.
        new: the new label of each row; None for a missing one.
        label_levels: the separator of the levels of nested labels, which are the items of a list.

    Example:
        >>> with_labels(["a", "", "b"], {0: "c", 2: None}), with_labels([1, None, 2], {0: "2"})
        (['c', '', ''], [2, None, 2])
    """
    corrected = as_list(values)
    typed = _type_of([value for value in corrected if not is_missing_value(value)])
    missing = next((value for value in corrected if is_missing_value(value) or value == ""), None)
    for row, label in new.items():
        if label is not None and isinstance(corrected[row], list):
            items = parse_label_list(label) if label_levels is None else path_of(label, label_levels)
            corrected[row] = _typed_as(corrected[row], items if isinstance(items, tuple) else (label,))
        else:
            corrected[row] = missing if label is None else typed(label)
    return corrected


def _type_of(values: Sequence[Any]) -> Callable[[str], Any]:
    """Return a function that gives a label the type of these values."""
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return lambda label: _BOOLEANS.get(label.lower(), label)
    if kinds == {int}:
        return lambda label: int(label) if _INTEGER.fullmatch(label) else label
    if kinds and kinds <= {int, float} and all(float(value).is_integer() for value in values):
        return lambda label: float(label) if _INTEGER.fullmatch(label) else label
    return str


def with_levels(
    columns: Mapping[str, Any], names: Sequence[str], new: Mapping[int, str], separator: str, source: str
) -> dict[str, list[Any]]:
    """Return the columns of the levels of nested labels with some labels replaced.

    Args:
        columns: all columns of the table.
        names: the columns of the levels, the coarsest first.
        new: the new label of each row, with all its levels. Levels that it lacks are missing then.
        separator: the separator of the levels in a new label.
        source: the table, for messages.

    Raises:
        DataError: a new label has more levels than there are columns, or an empty level.

    Example:
        >>> with_levels({"area": ["a", "b"], "intent": ["x", ""]}, ["area", "intent"], {1: "a/y"}, "/", "my data")
        {'area': ['a', 'a'], 'intent': ['x', 'y']}
    """
    paths = {row: path_of(label, separator) for row, label in new.items()}
    for row, path in paths.items():
        if not all(path) or len(path) > len(names):
            what = "an empty level" if not all(path) else counted(len(path), "level")
            raise DataError(
                f"{source}: the new label {short_repr(new[row])} of row {row} has {what}; write at most "
                f"{counted(len(names), 'level')}, one for each label column, separated by {separator!r}"
            )
    return {
        name: with_labels(
            columns[name], {row: path[level] if level < len(path) else None for row, path in paths.items()}
        )
        for level, name in enumerate(names)
    }


def with_additions(values: Any, new: Mapping[int, list[str]], separator: str) -> list[Any]:
    """Return the values of a label column with labels added, to a list in the cell or else with a separator.

    The text of a list becomes a list of JSON. Labels that are added to integers are integers.

    Example:
        >>> with_additions(["a;b", "['a']", "[1, 2]", None], {0: ["c"], 1: ["b"], 2: ["3"], 3: ["a"]}, ";")
        ['a;b;c', '["a", "b"]', '[1, 2, 3]', 'a']
    """
    corrected = as_list(values)
    for row, labels in new.items():
        cell = "" if is_missing_value(corrected[row]) else corrected[row]
        items = _list_of(cell)
        if items is None:
            before = {part.strip() for part in str(cell).split(separator)}
            added = dict.fromkeys(one for one in labels if one not in before)
            corrected[row] = separator.join([*([str(cell)] if str(cell).strip() else []), *added])
            continue
        added = dict.fromkeys(one for one in _typed_as(items, labels) if one not in items)
        items = [*items, *added]
        corrected[row] = json.dumps(items, ensure_ascii=False) if isinstance(cell, str) else items
    return corrected


def _list_of(cell: Any) -> list[Any] | None:
    """Return the labels of a cell with a list or the text of a list, integers as integers; None for other cells."""
    if not isinstance(cell, str):
        return list(cell) if hasattr(cell, "__iter__") else None
    labels = parse_label_list(cell)
    if not isinstance(labels, tuple):
        return None
    items = read_list(cell)
    return items if items is not None and _are_integers(items) else list(labels)


def _typed_as(items: Sequence[Any], labels: Sequence[str]) -> list[Any]:
    """Return labels for a list with these items: integers if these are integers. Missing items do not count."""
    integers = _are_integers([item for item in items if item is not None])
    return [int(label) if integers and _INTEGER.fullmatch(label) else label for label in labels]


def _are_integers(items: Sequence[Any]) -> bool:
    return {type(item) for item in items} == {int}
