"""Read a list of label issues, of which some are accepted, for the table that they were found in.

The list is what `tercet inspect --label-issues` writes. Its columns are `row` (from 0), `text`, `label`,
`suggested_label` and `accept`; others are ignored. If sentences may have several labels, it has `label_to_add` instead
of `suggested_label`. A spreadsheet may have changed the form of a value, such as `true` to TRUE or 3 to 3.0.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tercet._multi_labels import set_names, split_set
from tercet._texts import is_missing_value, row_place, text_key
from tercet.data.cleaning.label_forms import label_key, trim_labels
from tercet.data.columns.names import check_columns
from tercet.data.labels.set_counts import check_several
from tercet.data.tables.cells import label_text, parse_label_list, plain_values
from tercet.data.tables.table import Table
from tercet.errors import DataError, counted, short_repr

SUGGESTED, TO_ADD = "suggested_label", "label_to_add"
_YES = frozenset(["yes", "y", "x", "1", "true", "ok"])
_NO = frozenset(["", "no", "n", "0", "false"])


@dataclass(frozen=True, kw_only=True)
class _Corrected:
    """The table to correct.

    Attributes:
        source: the file or data set, for messages.
        texts: the text of each row.
        labels: the label of each row, as `plain_values` returns it.
        key: a function from the label of a cell to a value that is equal for labels that differ only in form.
        known: the names of all labels, by their keys.
        separator: the separator of several labels that may be accepted at once; None for one label.
    """

    source: str
    texts: Sequence[Any]
    labels: Sequence[Any]
    key: Callable[[Any], Hashable]
    known: Mapping[str, Collection[str]]
    separator: str | None = None


def accepted_labels(corrections: Table, texts: Sequence[Any], labels: Sequence[Any], source: str) -> dict[int, str]:
    """Return the new label of each accepted row.

    Args:
        corrections: the list.
        texts: the texts of the table to correct.
        labels: the labels of the table to correct.
        source: the table to correct, for messages.

    Raises:
        DataError: a column is missing; a value of `accept` is neither yes nor no; a row does not exist, has another
            text or label than in the list, or is accepted with two labels; an accepted label is missing or has another
            type; or no row is accepted.
    """
    found: dict[int, str] = {}
    plain = trim_labels(plain_values(labels))[0]
    table = _Corrected(
        source=source,
        texts=texts,
        labels=plain,
        key=lambda label: label_key(label_text(label)),
        known=_by_key(map(label_text, plain)),
    )
    # A combination of a list is one label in an inspection.
    lists = {", ".join(label): label_text(label) for label in plain if isinstance(label, tuple)}
    for place, number, new in _accepted(corrections, SUGGESTED, table):
        new = lists.get(new, new)
        if found.setdefault(number, new) != new:
            raise DataError(f"{place}: row {number} is accepted twice, with different labels; keep one of them")
    return found


def accepted_additions(
    corrections: Table, texts: Sequence[Any], labels: Sequence[Any], source: str, multi_label: str | None
) -> dict[int, list[str]]:
    """Return the new labels of each row of which a label to add is accepted. A value with the separator has several.

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

    def labels_in(cells: Sequence[Any]) -> list[str]:
        return [name or "" for name in set_names(map(parse_label_list, cells), multi_label, source)]

    found: dict[int, list[str]] = {}
    plain = plain_values(labels)
    names = labels_in(plain)
    table = _Corrected(
        source=source,
        texts=texts,
        labels=plain,
        key=lambda label: frozenset(map(label_key, split_set(labels_in([label])[0], multi_label))),
        known=_by_key(label for name in set(names) for label in split_set(name, multi_label)),
        separator=multi_label,
    )
    for _, number, new in _accepted(corrections, TO_ADD, table):
        found.setdefault(number, []).append(new)
    check_several(names, multi_label, source)
    return found


def _accepted(corrections: Table, column: str, table: _Corrected) -> Iterator[tuple[str, int, str]]:
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
        number, source = _row_number(row, place), table.source
        if number >= len(table.texts):
            raise DataError(
                f"{place}: row {number} does not exist in {source}, which has {counted(len(table.texts), 'row')}"
            )
        # A spreadsheet may change line breaks, and numbers that are texts.
        same_text = text_key(str(table.texts[number])) == text_key(str(text))
        if not same_text or table.key(table.labels[number]) != table.key(plain_values([label])[0]):
            kind, own, given = (
                ("label", table.labels[number], label) if same_text else ("text", table.texts[number], text)
            )
            remedy = "inspect the data again, because they have changed or are others"
            if is_missing_value(given) or given == "":
                remedy = (
                    "the list may have lost this value when it was edited (pandas reads 'n/a' as a gap: pass "
                    "keep_default_na=False); if not, inspect the data again"
                )
            elif column == TO_ADD and same_text:
                remedy += ", or multi_label is not that of the inspection"
            raise DataError(
                f"{place}: the {kind} of row {number} of {source} is {short_repr(own)}, but the list has "
                f"{short_repr(given)}; {remedy}"
            )
        new = _new_label(suggested, place, column)
        parts = [part.strip() for part in split_set(new, table.separator) if part.strip()]
        if not parts:
            raise _missing_label(place, column)
        for part in parts:
            form = _known_form(part, table, number)
            if isinstance(suggested, bool) and form not in table.known.get(label_key(form), ()):
                raise DataError(f"{place}: the {column} {_not_a_label(suggested)}")
            yield place, number, form
    if not is_any:
        raise DataError(f"{corrections.source}: no row is accepted; write yes in the column accept of the right ones")


def _known_form(label: str, table: _Corrected, number: int) -> str:
    """Return the form that a label has in the table, of one in another form, such as TRUE or 3.0 of a spreadsheet.

    A new form of the label that the row has is meant.
    """
    forms = table.known.get(label_key(label), ())
    return next(iter(forms)) if len(forms) == 1 and label_key(label) != table.key(table.labels[number]) else label


def _by_key(labels: Iterable[str]) -> dict[str, set[str]]:
    """Return the different labels by their `label_key`."""
    known: dict[str, set[str]] = {}
    for label in set(labels):
        known.setdefault(label_key(label), set()).add(label)
    return known


def _new_label(value: Any, place: str, column: str) -> str:
    """Return an accepted label as text."""
    plain = plain_values([value])[0]
    if plain is None:
        raise _missing_label(place, column)
    if not isinstance(plain, (str, int, float)):
        raise DataError(f"{place}: the {column} {_not_a_label(value)}")
    return unicodedata.normalize("NFC", str(plain)).strip()


def _missing_label(place: str, column: str) -> DataError:
    return DataError(f"{place}: the {column} is missing; write the new label, or remove the accept")


def _not_a_label(value: Any) -> str:
    return f"must be a text or a number, got {short_repr(value)}; in a spreadsheet, format the cell as text"


def _is_accepted(value: Any, place: str) -> bool:
    word = "" if is_missing_value(value) else label_key(str(value))
    if word not in _YES | _NO:
        raise DataError(f"{place}: accept must be yes or no (or empty), got {short_repr(value)}")
    return word in _YES


def _row_number(value: Any, place: str) -> int:
    # A data frame writes 3.0 if a row of the list is empty.
    digits = re.fullmatch(r"(\d+)(\.0*)?", str(value).strip())
    if digits is None:
        raise DataError(f"{place}: the row must be a number from 0, got {short_repr(value)}")
    return int(digits[1])
