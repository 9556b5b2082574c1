"""Validate texts from files, from data sets and in the arguments of `SentenceTransformer.encode`."""

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
    """Check that every text is a string that a tokenizer can read, and return the texts as a list.

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
            raise error(
                f"{row_place(source, row, lines)}: the text is {text!r} ({type(text).__name__}), not a string; "
                "convert it with str(), or remove the row"
            )
        if not allow_empty and (not text or text.isspace()):
            raise error(f"{row_place(source, row, lines)}: the text is empty; remove the row or fill it in")
        if has_lone_surrogate(text):
            raise error(
                f"{row_place(source, row, lines)}: the text contains a lone surrogate (half of a character), "
                "which UTF-8 cannot encode; remove it"
            )
    return list(texts)


def has_lone_surrogate(text: str) -> bool:
    """Return whether a string contains a lone surrogate (half of a surrogate pair), which UTF-8 cannot encode."""
    return not text.isascii() and _LONE_SURROGATE.search(text) is not None


def row_place(source: str, row: int, lines: Sequence[int] | None = None) -> str:
    """Return where a row is, for a message: `data.csv, line 7` if `lines` is given, else `data.csv, row 5` (from 0)."""
    return f"{source}, row {row}" if lines is None else f"{source}, line {lines[row]}"
