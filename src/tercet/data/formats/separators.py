"""Find the character that separates the columns of a text file."""

import csv
import io
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from tercet.data.columns.names import is_usual_name
from tercet.errors import DataError, listed

logger = logging.getLogger(__name__)

SEPARATOR_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}
_WORDS = {"comma": ",", "tab": "\t", "\\t": "\t", "semicolon": ";", "bar": "|", "pipe": "|"}
# The rows and the characters at the start of a file that decide.
_CHECKED_ROWS = 1000
_CHECKED_CHARACTERS = 1 << 20


@dataclass(frozen=True)
class Dialect:
    """The separator and the quoting of a text file.

    Attributes:
        separator: the character between two columns.
        quoted: whether double quotes enclose fields; if False, they are characters like others.
        skipped: the number of lines before the first row.
    """

    separator: str
    quoted: bool = True
    skipped: int = 0

    def rows(self, file: Iterable[str]) -> Any:
        """Return a `csv.reader` of an open file, or of lines."""
        if self.quoted:
            return csv.reader(file, delimiter=self.separator, strict=True)
        return csv.reader(file, delimiter=self.separator, quoting=csv.QUOTE_NONE)


def parse_separator(given: str) -> str:
    """Return the character of a separator that the user has named, such as ";" or "tab".

    Raises:
        DataError: it is no single character.
    """
    found = _WORDS.get(given.strip().lower(), given)
    if len(found) != 1 or found in '"\r\n':
        raise DataError(f"csv_separator must be one character, or 'tab', got {given!r}")
    return found


def find_dialect(file: TextIO, path: Path, default: str, given: str | None = None) -> Dialect:
    """Return how the columns of a file are separated, from its first rows. Anything but `default` is logged.

    A separator is possible if all rows have the same number of columns, and at least two.

    Args:
        file: the file, open at its start. It is read and rewound.
        path: the file, for messages.
        default: the separator that the file extension stands for.
        given: the separator that the user has named; None finds it.

    Raises:
        DataError: several separators are possible, or `given` is invalid.
    """
    sample = file.read(_CHECKED_CHARACTERS)
    file.seek(0)
    whole = len(sample) < _CHECKED_CHARACTERS
    skipped = 0
    first, _, rest = sample.partition("\n")
    if first.lower().startswith("sep=") and len(first.strip()) == 5:  # Excel writes this line for itself.
        given, skipped, sample = given or first[4], 1, rest
    if given is not None:
        return Dialect(parse_separator(given), skipped=skipped)
    names = {mark: rows[0] for mark in SEPARATOR_NAMES if (rows := _rows(sample, Dialect(mark), whole=whole))}
    if len(names) > 1:
        named = {mark: sum(map(is_usual_name, header)) for mark, header in names.items()}
        best = [mark for mark in named if named[mark] == max(named.values())]
        if len(best) > 1:
            raise DataError(
                f"{path}: the columns may be separated by {' or by '.join(SEPARATOR_NAMES[mark] for mark in names)} "
                f"(their names would be {' or '.join(listed(names[mark], 3) for mark in names)}); pass csv_separator"
            )
        names = {best[0]: names[best[0]]}
    if not names:
        is_default = _parses(sample, Dialect(default), whole=whole)
        return (not is_default and _without_quoting(sample, Dialect("\t"), path, whole=whole)) or Dialect(default)
    found = next(iter(names))
    if found != default:
        logger.info(f"{path}: columns separated by {SEPARATOR_NAMES[found]}; for another one, pass csv_separator")
    return Dialect(found)


def _without_quoting(sample: str, dialect: Dialect, path: Path, *, whole: bool) -> Dialect | None:
    """Return the dialect in which quotes are characters like others, and log it, if only this one separates columns.

    If quotes enclose fields nevertheless, return the dialect in which they do: then a row is wrong, and reading it
    raises an error.
    """
    unquoted = replace(dialect, quoted=False)
    if not may_be_unquoted(dialect) or '"' not in sample or _parses(sample, dialect, whole=whole):
        return None
    if not _rows(sample, unquoted, whole=whole):
        return None
    use = quote_use(io.StringIO(sample, newline=""), dialect)
    if use.encloses_fields:
        return dialect
    log_unquoted(path, unquoted, use.first_invalid)
    return unquoted


def may_be_unquoted(dialect: Dialect) -> bool:
    """Return whether quotes may be characters like others. Between commas, they always enclose fields."""
    return dialect.quoted and dialect.separator != ","


@dataclass(frozen=True)
class QuoteUse:
    """The use of double quotes in the lines of a file.

    Attributes:
        enclosing: the number of valid lines in which they enclose a field.
        invalid: the number of lines that are invalid if they enclose fields: a quote is at a wrong place, or the number
            of fields is not that of the first line.
        first_invalid: the number of the first of these lines, from 1; 0 without one.
    """

    enclosing: int
    invalid: int
    first_invalid: int

    @property
    def encloses_fields(self) -> bool:
        """Return whether they enclose fields, so that a line that is invalid then is a mistake.

        If as many lines are invalid as have enclosed fields, they are characters: as characters, no line is invalid.
        """
        return not self.invalid or self.enclosing > self.invalid


def quote_use(lines: Iterable[str], dialect: Dialect) -> QuoteUse:
    """Return how double quotes are used. A field with a line break has an invalid line."""
    width, enclosing, invalid, first_invalid = 0, 0, 0, 0
    for number, line in enumerate(lines, 1):
        if width and '"' not in line:
            continue
        try:
            found = len(next(dialect.rows([line]), []))
        except csv.Error:
            invalid, first_invalid = invalid + 1, first_invalid or number
            continue
        width = width or found
        # A quote at the start of a field encloses it. No other quote changes the fields of a valid line.
        if not line.startswith('"') and f'{dialect.separator}"' not in line:
            continue
        if found == width:
            enclosing += 1
        else:
            invalid, first_invalid = invalid + 1, first_invalid or number
    return QuoteUse(enclosing, invalid, first_invalid)


def log_unquoted(path: Path, dialect: Dialect, line: int) -> None:
    """Log that quotes are read as characters like others, because a line is invalid otherwise."""
    name = SEPARATOR_NAMES.get(dialect.separator, repr(dialect.separator))
    logger.info(
        f"{path}: columns separated by {name}, and double quotes are part of the texts, because line {line} is invalid "
        "if they enclose fields"
    )


def _rows(sample: str, dialect: Dialect, *, whole: bool) -> list[list[str]]:
    """Return the first rows; none if they have different numbers of columns, or only one column."""
    rows = _first_rows(sample, dialect, whole=whole) or []
    return rows if len({len(row) for row in rows}) == 1 and len(rows[0]) > 1 else []


def _parses(sample: str, dialect: Dialect, *, whole: bool) -> bool:
    rows = _first_rows(sample, dialect, whole=whole)
    return rows is not None and len({len(row) for row in rows}) < 2


def _first_rows(sample: str, dialect: Dialect, *, whole: bool) -> list[list[str]] | None:
    """Return the first rows that are not empty, without one that is cut off; None if a quote is at a wrong place."""
    rows = []
    try:
        for row in islice(dialect.rows(io.StringIO(sample, newline="")), _CHECKED_ROWS):
            if row:
                rows.append(row)
    except csv.Error as error:
        return None if whole or "unexpected end" not in str(error) else rows
    return rows if whole or len(rows) == _CHECKED_ROWS else rows[:-1]  # The sample ends inside of the last row.
