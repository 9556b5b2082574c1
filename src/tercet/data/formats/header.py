"""Decide whether the first line of a file contains column names or data."""

import logging
from itertools import islice
from statistics import median

from tercet.data.columns.names import is_usual_name
from tercet.data.tables.table import Table
from tercet.errors import DataError, listed

logger = logging.getLogger(__name__)

# A name with at least this number of words looks like a text, if the values below it have several words too.
_WORDS_OF_A_TEXT = 4
_CHECKED_ROWS = 1000


def has_no_header(table: Table) -> bool:
    """Return whether the first line of a table, which was read as its header, is data. If it is, log that.

    Each name is a clue to data if it is a text of several words above such texts (1), a number above numbers (1), or a
    value that recurs below it, as labels do (2). Two clues mean data; one is a warning. The only name of a file is
    logged if it is none of the usual ones. A name of one word above texts of several words, such as "message", speaks
    for a header. The names "0", "1" and so on are those that pandas gives to columns.

    Raises:
        DataError: there are clues to both.
    """
    names = list(table.columns)
    if names == [str(index) for index in range(len(names))]:
        return False
    clues = sum(_clues(table, name) for name in names)
    usual = any(map(is_usual_name, names))
    shown = listed(names, 4)
    renamed = f"the columns are named '0' to '{len(names) - 1}'"
    if clues >= (3 if usual else 2):
        if usual or any(_is_name(table, name) for name in names):
            raise DataError(
                f"{table.source}: the first line may be the column names or data ({shown}); pass header=False if it is "
                f"data ({renamed}), or header=True if these are the names"
            )
        logger.info(
            f"{table.source}: the first line looks like data ({shown}), so {renamed}; pass header=True if these are "
            "the names"
        )
        return True
    if not usual and (clues or len(names) == 1):
        logger.log(
            logging.WARNING if clues else logging.INFO,
            f"{table.source}: the first line is read as the column names ({shown}); if it is data, pass header=False",
        )
    return False


def _is_name(table: Table, name: str) -> bool:
    """Return whether a name has one word, does not recur below, and the values below it are texts of several words."""
    try:
        values = table.columns[name]
    except DataError:
        return False
    some = [str(value) for value in islice(values, _CHECKED_ROWS) if value]
    return (
        bool(some) and len(name.split()) == 1 and name not in values and median(map(_words, some)) >= _WORDS_OF_A_TEXT
    )


def _words(value: str) -> int:
    return len(value.split())


def _clues(table: Table, name: str) -> int:
    try:
        values = table.columns[name]
    except DataError:  # several columns have this name
        return 0
    some = [str(value) for value in islice(values, _CHECKED_ROWS) if value]  # cells of .xlsx may be numbers
    if not some:
        return 0
    clues = 0
    if len(name.split()) >= _WORDS_OF_A_TEXT and median(map(_words, some)) >= 2:
        clues += 1
    if _is_number(name) and all(map(_is_number, some)):
        clues += 1
    return clues + 2 * (name in values)


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
