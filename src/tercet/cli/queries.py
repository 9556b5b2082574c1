"""Read the queries of `tercet search`: of the command line, of standard input and of a file."""

import logging
from collections.abc import Sequence

from tercet._files import expand_path
from tercet.data.reading.standard_input import STANDARD_INPUT
from tercet.errors import DataError, listed

logger = logging.getLogger(__name__)

_STANDARD_INPUT_DESCRIPTOR = 0
# The formats whose first line may be the names of the columns.
_WITH_HEADER = (".csv", ".tsv", ".xlsx")


def read_queries(query: Sequence[str], file: str | None) -> list[str]:
    """Return the queries of the command line, of standard input and of a file, in this order.

    Raises:
        DataError: there are none, or they cannot be read.
    """
    from tercet._texts import check_texts
    from tercet.data.reading.lines import read_lines

    found: list[str] = []
    for text in query:
        if text == STANDARD_INPUT:
            found += [line for lines in read_lines(_STANDARD_INPUT_DESCRIPTOR, "standard input") for line in lines]
        else:
            found += check_texts([text], "the query")
    if file == STANDARD_INPUT:
        raise DataError("--queries must be a file; to read standard input, pass - as the query")
    if file is not None:
        found += _read_file(file)
    if not found:
        raise DataError(
            "there is nothing to search for: tercet search MODEL DATA QUERY; '-' reads the queries from standard input"
        )
    return found


def _read_file(file: str) -> list[str]:
    """Return the texts of a file. Its rows without a text are left out with a warning."""
    from tercet.data.cleaning.incomplete_rows import texts_of_rows
    from tercet.data.columns.guessing import find_text
    from tercet.data.columns.labelled import UnclearColumnError
    from tercet.data.reading.options import ReadOptions
    from tercet.data.reading.selection import read_all

    table = read_all(file, ReadOptions(header=_has_header(file)))
    try:
        column = find_text(table, quiet=True)
    except UnclearColumnError:
        raise DataError(
            f"{file}: which column has the queries? It has {listed(table.columns)}; give one the name 'text'"
        ) from None
    return texts_of_rows(table, column, remedy_for_column="give that of the queries the name 'text'")[1]


def _has_header(file: str) -> bool | None:
    """Return whether the first line of a file has the name of a column of texts; None if it cannot have one.

    If in doubt, the line is a query: one too many is seen in the results, a lost one is not.
    """
    from tercet.data.columns.guessing import is_text_name
    from tercet.data.formats.compressed import inner_name
    from tercet.data.reading.options import ReadOptions
    from tercet.data.reading.selection import read_all

    path = expand_path(file)
    if not path.is_file() or not inner_name(path).lower().endswith(_WITH_HEADER):
        return None
    first = [str(values[0]) for values in read_all(file, ReadOptions(header=False)).columns.values()]
    if any(map(is_text_name, first)):
        return True
    logger.info(
        f"{file}: the first line is read as a query ({listed(first, 2)}); if it names the columns, call one 'text'"
    )
    return False
