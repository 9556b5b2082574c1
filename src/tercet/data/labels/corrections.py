"""Apply a list of label issues, of which some are accepted, to the table that they were found in.

The list is what `tercet inspect --label-issues` writes. Its columns are `row` (from 0), `text`, `label`,
`suggested_label` and `accept`; others are ignored. If sentences may have several labels, it has `label_to_add` instead
of `suggested_label`.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tercet._multi_labels import set_names
from tercet._texts import row_place
from tercet.data.cleaning.label_forms import trim_labels
from tercet.data.columns.names import check_columns
from tercet.data.labels.set_counts import check_several
from tercet.data.tables.cells import in_list, plain_values, read_list
from tercet.data.tables.table import Table
from tercet.errors import DataError, counted, short_repr

SUGGESTED, TO_ADD = "suggested_label", "label_to_add"
_YES = frozenset(["yes", "y", "x", "1", "true", "ok"])
_NO = frozenset(["", "no", "n", "0", "false"])


def accepted_labels(corrections: Table, texts: Sequence[Any], labels: Sequence[Any], source: str) -> dict[int, str]:
    """Return the new label of each accepted row.

    Args:
        corrections: the list.
        texts: the texts of the table to correct.
        labels: the labels of the table to correct.
        source: the table to correct, for messages.

    Raises:
        DataError: a column is missing; a value of `accept` is neither yes nor no; a row does not exist, has another
            text or label than in the list, or is accepted with two labels; or no row is accepted.
    """
    found: dict[int, str] = {}
    plain = [str(label) for label in trim_labels(plain_values(labels))[0]]
    for place, number, new in _accepted(corrections, SUGGESTED, texts, plain, source):
        if found.setdefault(number, new) != new:
            raise DataError(f"{place}: row {number} is accepted twice, with different labels; keep one of them")
    return found


def accepted_additions(
    corrections: Table, texts: Sequence[Any], labels: Sequence[Any], source: str, multi_label: str | None
) -> dict[int, list[str]]:
    """Return the new labels of each row of which a label to add is accepted.

    Args:
        corrections: the list, and so are the next three arguments those of `accepted_labels`.
        texts: the texts of the table to correct.
        labels: the labels of the table to correct.
        source: the table to correct, for messages.
        multi_label: the separator of the labels in a cell, the one of the inspection; None for lists in cells.

    Raises:
        DataError: as for `accepted_labels`, or `multi_label` is missing or separates no labels of the table.
    """
    if multi_label is None:
        raise DataError(
            f"{corrections.source} has labels to add to those of a row; pass multi_label, the separator of the labels "
            f"of a row in {source}, such as ';'"
        )
    found: dict[int, list[str]] = {}
    names = [name or "" for name in set_names(map(in_list, plain_values(labels)), multi_label, source)]
    for _, number, new in _accepted(corrections, TO_ADD, texts, names, source):
        found.setdefault(number, []).append(new)
    check_several(names, multi_label, source)
    return found


def _accepted(
    corrections: Table, column: str, texts: Sequence[Any], labels: Sequence[str], source: str
) -> Iterator[tuple[str, int, str]]:
    """Yield the place in the list, the number of the row and the new label of each accepted row."""
    needed = ("row", "text", "label", column, "accept")
    check_columns(needed, list(corrections.columns), corrections.source)
    is_any = False
    rows = zip(*(corrections.columns[name] for name in needed), strict=True)
    for at, (row, text, label, suggested, accept) in enumerate(rows):
        place = row_place(corrections.source, at, corrections.lines)
        if not _is_accepted(accept, place):
            continue
        is_any = True
        number = _row_number(row, place)
        if number >= len(texts):
            raise DataError(f"{place}: row {number} does not exist in {source}, which has {counted(len(texts), 'row')}")
        if texts[number] != text or labels[number] != str(label):
            cause = (
                ", or multi_label is not that of the inspection" if column == TO_ADD and texts[number] == text else ""
            )
            raise DataError(
                f"{place}: row {number} of {source} has another text or label than in the list; inspect the "
                f"data again, because they have changed or are others{cause}"
            )
        new = str(suggested).strip()
        if not new:
            raise DataError(f"{place}: the {column} is missing; write the new label, or remove the accept")
        yield place, number, new
    if not is_any:
        raise DataError(f"{corrections.source}: no row is accepted; write yes in the column accept of the right ones")


def with_labels(values: Any, new: dict[int, str]) -> list[Any]:
    """Return the values of a label column with some labels replaced. In a column of integers, they stay integers."""
    corrected = values.to_pylist() if hasattr(values, "to_pylist") else list(values)
    integers = all(isinstance(value, int) for value in corrected if value is not None)
    for row, label in new.items():
        corrected[row] = int(label) if integers and label.lstrip("-").isdecimal() else label
    return corrected


def with_additions(values: Any, new: dict[int, list[str]], separator: str) -> list[Any]:
    """Return the values of a label column with labels added, to a list in the cell or else with a separator.

    The text of a list becomes a list of JSON. Labels that are added to integers are integers.

    Example:
        >>> with_additions(["a;b", "['a']", "[1, 2]"], {0: ["c"], 1: ["b"], 2: ["3"]}, ";")
        ['a;b;c', '["a", "b"]', '[1, 2, 3]']
    """
    corrected = values.to_pylist() if hasattr(values, "to_pylist") else list(values)
    for row, labels in new.items():
        cell = corrected[row]
        items = _list_of(cell)
        if items is None:
            corrected[row] = separator.join(
                [str(cell), *(one for one in labels if one not in str(cell).split(separator))]
            )
            continue
        integers = _are_integers(items)
        added = [int(one) if integers and one.lstrip("-").isdecimal() else one for one in labels]
        items = [*items, *(one for one in added if one not in items)]
        corrected[row] = json.dumps(items, ensure_ascii=False) if isinstance(cell, str) else items
    return corrected


def _list_of(cell: Any) -> list[Any] | None:
    """Return the labels of a cell with a list or the text of a list, integers as integers; None for other cells."""
    if not isinstance(cell, str):
        return list(cell) if hasattr(cell, "__iter__") else None
    labels = in_list(cell)
    if not isinstance(labels, tuple):
        return None
    items = read_list(cell)
    return items if items is not None and _are_integers(items) else list(labels)


def _are_integers(items: Iterable[Any]) -> bool:
    return all(isinstance(item, int) and not isinstance(item, bool) for item in items)


def _is_accepted(value: Any, place: str) -> bool:
    word = "" if value is None else str(value).strip().lower()
    if word not in _YES | _NO:
        raise DataError(f"{place}: accept must be yes or no (or empty), got {short_repr(value)}")
    return word in _YES


def _row_number(value: Any, place: str) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if number < 0:
        raise DataError(f"{place}: the row must be a number from 0, got {short_repr(value)}")
    return number
