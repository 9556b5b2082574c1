"""Check that a column that was found or named for texts has texts.

check_texts_in   raises an error for a column without a string, and warns about one of numbers only
"""

from collections.abc import Iterable
from itertools import islice
from statistics import mean
from typing import Any

from tercet._events import WarningKind, emit_warning
from tercet._texts import is_missing_value, row_place
from tercet.data.tables.table import Table
from tercet.errors import DataError, listed, short_repr, string_hint

# The number of rows that decide whether another column has words, and the number of such columns that a message names.
_CHECKED_ROWS = 1000
_NUM_NAMED = 3
PASS_ANOTHER = "pass another text_column"


def check_texts_in(table: Table, column: str, label_column: str | None = None, *, remedy: str = PASS_ANOTHER) -> None:
    """Raise an error if a column of texts has no string, and warn if every text in it is a number.

    Numbers that a typed format holds, such as Parquet, are surely no texts. Numbers in a CSV file are strings, and may
    be meant. Missing and empty values do not count.

    Args:
        table: the table.
        column: the column of texts.
        label_column: the column of labels, which the message does not name among the columns with words.
        remedy: what to do if another column has the texts, for the message.

    Raises:
        DataError: the column has values, but none of them is a string.
    """
    values = table.columns[column]
    first = next(((row, value) for row, value in enumerate(values) if _is_present(value)), None)
    if first is None:
        return
    row, value = first
    if not any(isinstance(value, str) for value in values):
        # NaN in a column of numbers is no string either, so its row may be the first one.
        row, value = next((row, value) for row, value in enumerate(values) if value is not None)
        raise DataError(
            f"{row_place(table.source, row, table.places)}: the text is {short_repr(value)} ({type(value).__name__}), "
            f"not a string, and no value of the column {short_repr(column)} is one; "
            f"{_columns_with_words(table, column, label_column)}{remedy}, or {string_hint(value, 'the values')}"
        )
    if all(_is_number(value) for value in values if _is_present(value)):
        hint = f"{_columns_with_words(table, column, label_column)}if this is the wrong column, {remedy}"
        emit_warning(
            WarningKind.DOUBTFUL_DATA,
            f"{table.source}: every text in the column {short_repr(column)} is a number, such as {short_repr(value)}; "
            f"{hint if len(table.columns) > 1 else 'if these are not the texts, pass another file'}",
        )


def _is_present(value: Any) -> bool:
    return bool(value.strip()) if isinstance(value, str) else not is_missing_value(value)


def _is_number(value: Any) -> bool:
    """Return whether a value is a string that is a number, such as "7", "-0.5" and "1,000"."""
    try:
        float(value.replace(",", "") if isinstance(value, str) else "")
    except ValueError:
        return False
    return True


def _columns_with_words(table: Table, *used: str | None) -> str:
    """Return which other columns have words, the longest texts first, as the start of a clause.

    Columns with a single word a row, which are usually labels, are named only if there are no others.
    """
    num_words = {name: _mean_words(table.columns, name) for name in table.columns if name not in used}
    found = sorted((name for name in num_words if num_words[name]), key=lambda name: -num_words[name])
    found = [name for name in found if num_words[name] > 1] or found
    if not found:
        return "no other column has words; " if num_words else ""
    return f"{'a column' if len(found) == 1 else 'columns'} with words: {listed(found, _NUM_NAMED)}; "


def _mean_words(columns: Any, name: str) -> float:
    """Return the mean number of words of the strings in a column; 0 if it cannot be read, or no string has a letter."""
    try:
        texts = [value for value in islice(columns[name], _CHECKED_ROWS) if isinstance(value, str)]
    except DataError:
        return 0
    return mean(len(text.split()) for text in texts) if _has_letter(texts) else 0


def _has_letter(texts: Iterable[str]) -> bool:
    return any(character.isalpha() for text in texts for character in text)
