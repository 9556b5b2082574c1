"""Decide whether the first line of a file contains column names or data."""

import logging
from itertools import islice
from statistics import median

from tercet.data.columns import is_usual_name
from tercet.data.table import Table
from tercet.errors import DataError, listed

logger = logging.getLogger(__name__)

# A name with so many words looks like a text, if the values below it have several words too.
_WORDS_OF_A_TEXT = 4
_CHECKED_ROWS = 1000


def check_header(table: Table) -> None:
    """Check that the first line of a table, which was read as its header, does not look like data.

    Each name is a clue to data if it is a text of several words above such texts (1), a number above numbers (1), or a
    value that recurs below it, as labels do (2). Two clues are an error, three if a usual column name is there; one is
    a warning. The names "0", "1" and so on are those that pandas gives to columns.

    Raises:
        DataError: the first line looks like data.
    """
    names = list(table.columns)
    if names == [str(index) for index in range(len(names))]:
        return
    clues = sum(_clues(table, name) for name in names)
    named = any(map(is_usual_name, names))
    shown = listed(names, 4)
    if clues >= (3 if named else 2):
        raise DataError(
            f"{table.source}: the first line looks like data ({shown}), but it is read as the column names; pass "
            f"header=False if it is data (the columns are then named '0' to '{len(names) - 1}'), or header=True if "
            "these are the names"
        )
    if clues and not named:
        logger.warning(
            f"{table.source}: the first line is read as the column names ({shown}); if it is data, pass header=False"
        )


def _clues(table: Table, name: str) -> int:
    try:
        values = table.columns[name]
    except DataError:  # several columns have this name
        return 0
    some = [value for value in islice(values, _CHECKED_ROWS) if value]
    if not some:
        return 0
    clues = 0
    if len(name.split()) >= _WORDS_OF_A_TEXT and median(len(value.split()) for value in some) >= 2:
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
