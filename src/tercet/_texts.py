"""Validation of texts: one function for files, for data sets and for `SentenceTransformer.encode`."""

import re
from collections.abc import Sequence
from typing import Any

from tercet.errors import DataError, TercetError

_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


def check_texts(
    texts: Sequence[Any],
    source: str,
    lines: Sequence[int] | None = None,
    *,
    allow_empty: bool = False,
    error: type[TercetError] = DataError,
) -> list[str]:
    """Return the texts as a list if each is a string that a tokenizer can read.

    Args:
        texts: the values to check.
        source: the file, data set or argument that they come from, for messages.
        lines: the line of each text in its file, for messages; None names the row instead.
        allow_empty: accept texts without a visible character.
        error: the class of the exception.

    Raises:
        TercetError: of the class `error`. A text is not a string, is empty or contains a lone surrogate; the message
            names the first such row.
    """
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise error(f"{row_place(source, row, lines)}: the text is {text!r} ({type(text).__name__}), not a string")
        if not allow_empty and (not text or text.isspace()):
            raise error(f"{row_place(source, row, lines)}: the text is empty; remove the row or fill it in")
        if has_lone_surrogate(text):
            raise error(
                f"{row_place(source, row, lines)}: the text contains a lone surrogate (half of a character), "
                "which UTF-8 cannot encode; remove it"
            )
    return list(texts)


def has_lone_surrogate(text: str) -> bool:
    """Return whether a string contains half of a surrogate pair, which UTF-8 cannot encode."""
    return not text.isascii() and _LONE_SURROGATE.search(text) is not None


def row_place(source: str, row: int, lines: Sequence[int] | None = None) -> str:
    """Return the place of a row for a message: its line in a file, or else its number, counted from 0."""
    return f"{source}, row {row}" if lines is None else f"{source}, line {lines[row]}"
