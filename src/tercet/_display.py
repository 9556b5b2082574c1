"""Make text from the data safe to display in a terminal, in HTML and in plots."""

import unicodedata

MAX_LENGTH = 200
# A soft hyphen and a byte order mark.
_INVISIBLE = "\u00ad\ufeff"
# Control characters that change the direction (left to right, or right to left) of the text after them.
_DIRECTION_MARKS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def truncate(text: str, max_length: int = MAX_LENGTH) -> str:
    """Return the text as one printable line of at most `max_length` characters. A line that was cut ends in "…"."""
    line = " ".join(printable(text).split())
    return line if len(line) <= max_length else f"{line[: max_length - 1]}…"


def printable(text: str) -> str:
    """Replace unprintable characters by "�", and remove soft hyphens and byte order marks.

    Unprintable are control characters (except white space), lone surrogates, private-use characters and characters
    that change the text direction (`_DIRECTION_MARKS`). Zero-width joiners are kept, because Persian and Hindi words
    and many emoji need them.
    """
    return "".join("" if c in _INVISIBLE else "�" if _is_unprintable(c) else c for c in text)


def _is_unprintable(c: str) -> bool:
    return (unicodedata.category(c) in ("Cc", "Cs", "Co") and not c.isspace()) or c in _DIRECTION_MARKS
