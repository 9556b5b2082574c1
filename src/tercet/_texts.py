"""Validate texts from files, from data sets and in the arguments of `SentenceTransformer.encode`; compare texts.

check_texts            raises an error for a text that is no string, is empty, or cannot be encoded; returns a list
validate_texts         raises the same errors
is_missing_value       whether a value is a missing one of any library
text_key, text_keys    a normalized form, by which copies of a text are found everywhere
has_order              whether values are one per row
row_place, row_places  where one row or the first of several rows are, for messages
shown_numbers          the first of several row numbers, for messages
RowNumbers             the numbers of selected rows, for messages
FilePlaces             the places of rows of several files, for messages
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, KeysView, Mapping, Sequence, Set
from numbers import Real
from typing import Any

from tercet.errors import DataError, TercetError, short_repr, string_hint

# The number of rows that a message names.
NUM_SHOWN_ROWS = 5
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
# Characters that show nothing: control characters other than white space, soft hyphens, zero-width spaces, direction
# marks, word joiners, variation selectors and byte order marks. Zero-width joiners are not among them, because Persian
# and Hindi words and many emoji differ by them.
_INVISIBLE = dict.fromkeys(
    [code for code in (*range(0x20), *range(0x7F, 0xA0)) if not chr(code).isspace()]
    + [0xAD, 0x61C, 0x180E, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2070)]
    + [*range(0xFE00, 0xFE10), 0xFEFF]
)


def check_texts(
    texts: Sequence[Any],
    source: str,
    lines: Sequence[int] | None = None,
    *,
    allow_empty: bool = False,
    error: type[TercetError] = DataError,
) -> list[str]:
    """Check that every text is a string that a tokenizer can read, and return the texts as a list.

    The arguments and errors are those of `validate_texts`.
    """
    validate_texts(texts, source, lines, allow_empty=allow_empty, error=error)
    return list(texts)


def validate_texts(
    texts: Iterable[Any],
    source: str,
    lines: Sequence[int] | None = None,
    *,
    allow_empty: bool = False,
    error: type[TercetError] = DataError,
) -> None:
    """Check that every text is a string that a tokenizer can read.

    Args:
        texts: the values to check.
        source: the file, data set or argument that contains the texts, for messages.
        lines: the line number of each text in its file, for messages. If None, messages give the row number.
        allow_empty: whether to accept empty texts and texts of white space only.
        error: the class of the exception to raise.

    Raises:
        TercetError: (as the class `error`) a text is not a string, is empty or only white space (unless `allow_empty`),
            or contains a lone surrogate. The message names the first such row.
    """
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            if is_missing_value(text):
                place = row_place(source, row, lines)
                raise error(f"{place}: the text is missing ({text}); fill it in or remove the row")
            raise error(
                f"{row_place(source, row, lines)}: the text is {short_repr(text)} ({type(text).__name__}), not a "
                f"string; {string_hint(text)}, or remove the row"
            )
        if not allow_empty and (not text or text.isspace()):
            raise error(f"{row_place(source, row, lines)}: the text is empty; remove the row or fill it in")
        if has_lone_surrogate(text):
            raise error(
                f"{row_place(source, row, lines)}: the text contains a lone surrogate (half of a character), "
                "which UTF-8 cannot encode; remove it"
            )


def is_missing_value(value: Any) -> bool:
    """Return whether a value is None, NaN (also of NumPy), or a missing value of pandas."""
    if isinstance(value, str):  # Most values are, and the other checks take longer.
        return False
    is_nan = isinstance(value, Real) and value != value
    return value is None or is_nan or type(value).__name__ in ("NAType", "NaTType")


def text_key(text: str) -> str:
    """Return a normalized form of a text. Two texts count as copies of each other if their keys are equal.

    Copies differ at most in case, the kind or amount of white space, Unicode form (NFKC) or invisible characters. The
    key of a text without a visible character is "".

    Example:
        >>> text_key("Ｃafe\\u0301 \\n au  LAIT")
        'café au lait'
    """
    if text.isascii() and text.isprintable():  # Most texts are, and this is ten times faster.
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKC", text.translate(_INVISIBLE)).casefold()
    # Case folding can decompose characters, so the result is composed again.
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def text_keys(texts: Sequence[str]) -> list[str]:
    """Return `text_key` of each text."""
    return [text_key(text) for text in texts]


def has_lone_surrogate(text: str) -> bool:
    """Return whether a string contains a lone surrogate (half of a surrogate pair), which UTF-8 cannot encode."""
    return not text.isascii() and _LONE_SURROGATE.search(text) is not None


def has_order(values: Any) -> bool:
    """Return whether values are one per row: a list, an array or a column, and no string, set or dictionary."""
    is_set = isinstance(values, Set) and not isinstance(values, KeysView)  # The keys of a dictionary have an order.
    return hasattr(values, "__len__") and not is_set and not isinstance(values, (str, bytes, Mapping))


class RowNumbers(Sequence[int]):
    """The number of each selected row in its data set. If passed as `lines`, messages name rows instead of lines."""

    def __init__(self, numbers: Any) -> None:
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: Any) -> Any:
        return self.numbers[index]


class FilePlaces(Sequence[str]):
    """The place of each row of several files, such as "7 of b.csv". If passed as `lines`, messages name the file, too.

    Args:
        kind: what a place is: "line", "row" or "file".
        place_of: a function from the number of a row to its place.
        rows: the numbers of the rows.
    """

    def __init__(self, kind: str, place_of: Callable[[int], str], rows: Any) -> None:
        self.kind, self.rows, self._place_of = kind, rows, place_of

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self._place_of(int(self.rows[index]))

    def with_rows(self, rows: Any) -> "FilePlaces":
        """Return the places of other rows of the same files."""
        return FilePlaces(self.kind, self._place_of, rows)


def row_place(source: str, row: int, lines: Sequence[Any] | None = None) -> str:
    """Return where a row is, for a message: `data.csv, line 7` if `lines` is given, else `data.csv, row 5` (from 0)."""
    return f"{source}, {kind_of_place(lines)} {row if lines is None else lines[row]}"


def row_places(rows: Sequence[int], lines: Sequence[Any] | None = None) -> str:
    """Return where the first rows of several are, for a message: `lines 3, 8` if `lines` is given, else `rows 1, 6`."""
    kind = kind_of_place(lines) + ("" if len(rows) == 1 else "s")
    named = [row if lines is None else lines[row] for row in rows[: NUM_SHOWN_ROWS + 1]]
    return f"{kind} {shown_numbers(named)}"


def shown_numbers(numbers: Sequence[Any], limit: int = NUM_SHOWN_ROWS) -> str:
    """Return the first `limit` numbers, separated by commas, and "…" if there are more."""
    return ", ".join(map(str, numbers[:limit])) + (", …" if len(numbers) > limit else "")


def kind_of_place(lines: Sequence[Any] | None) -> str:
    """Return what messages name: "line" for line numbers, "row" for `RowNumbers` and None, and that of `FilePlaces`."""
    if isinstance(lines, FilePlaces):
        return lines.kind
    return "row" if lines is None or isinstance(lines, RowNumbers) else "line"
