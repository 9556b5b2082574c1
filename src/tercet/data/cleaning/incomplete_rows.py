"""Find rows without a text or a label, and leave them out or report them.

complete_rows       returns the rows that have a text in each column
texts_of_rows       returns the rows that have a text, as `drop_missing` says, and their texts
without_text        returns the rows whose text is missing
incomplete_message  returns which rows have no text or no label, for a message
values_without_gaps reads labels, and warns of lists with missing items, which are left out
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tercet._texts import check_texts, is_missing_value, row_places, text_key
from tercet.data.cleaning.messages import REMEDY, warn_of_change
from tercet.data.columns.content import PASS_ANOTHER, check_texts_in
from tercet.data.tables.cells import values_and_gaps
from tercet.data.tables.column_values import take_rows
from tercet.data.tables.table import Table
from tercet.data.tables.text_column import TextColumn
from tercet.data.tables.text_hashes import hash_texts
from tercet.errors import DataError, rows_have


class NoTextError(DataError):
    """An error for a table in which no row has a text."""


def complete_rows(columns: Sequence[Sequence[Any]], source: str, lines: Sequence[int] | None) -> Sequence[int]:
    """Return the numbers of the rows that have a text in each column, and warn about the others.

    Raises:
        NoTextError: no row remains.
    """
    total = len(columns[0])
    missing = sorted(set[int]().union(*map(without_text, columns)))
    if len(missing) == total:
        raise NoTextError(f"{source}: no row has a text in every column; check the columns")
    if missing:
        warn_of_change(f"{source}: {incomplete_message(missing, [], total, lines)}; rows left out: {len(missing):,}")
    return np.setdiff1d(np.arange(total), missing).tolist() if missing else range(total)


def texts_of_rows(
    table: Table,
    column: str,
    *,
    drop_missing: bool | None = None,
    remedy: str = REMEDY,
    remedy_for_column: str = PASS_ANOTHER,
) -> tuple[Sequence[int], list[str]]:
    """Return the numbers of the rows that have a text in a column, and these texts.

    Unless `drop_missing` is False, warn about the other rows. Warn if every text is a number.

    Args:
        table: the table.
        column: the column of texts.
        drop_missing: what to do with rows without a text, see `ReadOptions`.
        remedy: what to do about rows without a text, for the error.
        remedy_for_column: what to do if another column has the texts, for the message about numbers.

    Raises:
        DataError: a row has no text and `drop_missing` is False, or a text is invalid.
        NoTextError: no row has a text.
    """
    check_texts_in(table, column, remedy=remedy_for_column)
    values, source, places = table.columns[column], table.source, table.places
    kept: Sequence[int] = range(len(values))
    if drop_missing is not False:
        kept = complete_rows([values], source, places)
    elif missing := without_text(values):
        raise DataError(f"{source}: {incomplete_message(missing, [], len(values), places)}; {remedy}")
    return kept, check_texts(take_rows(values, kept), source, table.places_of(kept))


def without_text(texts: Sequence[Any]) -> list[int]:
    """Return the numbers of the rows whose text is missing or shows nothing."""
    if isinstance(texts, TextColumn):
        return np.flatnonzero(texts.hashes == hash_texts([""])[0]).tolist()
    return [row for row, text in enumerate(texts) if _is_missing(text)]


def _is_missing(text: Any) -> bool:
    return not text_key(text) if isinstance(text, str) else is_missing_value(text)


def incomplete_message(no_text: list[int], no_label: list[int], total: int, lines: Sequence[int] | None) -> str:
    """Return which of `total` rows have no text or no label, for a message."""
    parts = []
    for rows, what in ((no_label, "label"), (no_text, "text")):
        if rows:
            parts.append(f"{rows_have(len(rows), total)} no {what} ({row_places(rows, lines)})")
    return " and ".join(parts)


def values_without_gaps(labels: Iterable[Any], source: str, lines: Sequence[int] | None = None) -> list[Any]:
    """Return the values of a label column as `plain_values` does. Warn if items of lists are missing."""
    values, rows = values_and_gaps(labels)
    if rows:
        warn_of_change(
            f"{source}: {rows_have(len(rows), len(values))} an empty item in a list of labels "
            f"({row_places(rows, lines)}); such items are left out, and the other labels of the row are kept"
        )
    return values
