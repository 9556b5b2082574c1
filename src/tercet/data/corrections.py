"""Apply a list of label issues, of which some are accepted, to the table that they were found in.

The list is what `tercet inspect --label-issues` writes. Its columns are `row` (from 0), `text`, `label`,
`suggested_label` and `accept`; others are ignored.
"""

from collections.abc import Sequence
from typing import Any

from tercet._texts import row_place
from tercet.data.columns import check_columns
from tercet.data.label_forms import plain_values, trim_labels
from tercet.data.table import Table
from tercet.errors import DataError, short_repr

NEEDED = ("row", "text", "label", "suggested_label", "accept")
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
    check_columns(NEEDED, list(corrections.columns), corrections.source)
    found: dict[int, str] = {}
    plain = trim_labels(plain_values(labels))[0]
    rows = zip(*(corrections.columns[name] for name in NEEDED), strict=True)
    for at, (row, text, label, suggested, accept) in enumerate(rows):
        place = row_place(corrections.source, at, corrections.lines)
        if not _is_accepted(accept, place):
            continue
        number = _row_number(row, place)
        if number >= len(texts):
            raise DataError(f"{place}: row {number} does not exist in {source}, which has {len(texts):,} rows")
        if texts[number] != text or str(plain[number]) != str(label):
            raise DataError(
                f"{place}: row {number} of {source} has another text or label than in the list; inspect the "
                "data again, because they have changed or are others"
            )
        new = str(suggested).strip()
        if not new:
            raise DataError(f"{place}: the suggested_label is missing; write the new label, or remove the accept")
        if found.setdefault(number, new) != new:
            raise DataError(f"{place}: row {number} is accepted twice, with different labels; keep one of them")
    if not found:
        raise DataError(f"{corrections.source}: no row is accepted; write yes in the column accept of the right ones")
    return found


def with_labels(values: Any, new: dict[int, str]) -> list[Any]:
    """Return the values of a label column with some labels replaced. In a column of integers, they stay integers."""
    corrected = values.to_pylist() if hasattr(values, "to_pylist") else list(values)
    integers = all(isinstance(value, int) for value in corrected if value is not None)
    for row, label in new.items():
        corrected[row] = int(label) if integers and label.lstrip("-").isdecimal() else label
    return corrected


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
