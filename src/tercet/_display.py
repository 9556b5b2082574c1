"""Make text from the data, from files and from errors safe to display in a terminal, in HTML and in plots."""

import re
import unicodedata
from collections.abc import Sequence

MAX_LENGTH = 200
_MORE_DIGITS = 4
# A soft hyphen and a byte order mark.
_INVISIBLE = "\u00ad\ufeff"
# Control characters that change the direction (left to right, or right to left) of the text after them.
_DIRECTION_MARKS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
# Characters that may act on a terminal: C0 and C1 controls except tab, line feed and carriage return; line and
# paragraph separators; direction marks; lone surrogates.
_ACTIVE = rf"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029{_DIRECTION_MARKS}\ud800-\udfff]"
# A sequence that sets colours or bold text, as `rich` writes it.
_STYLE = r"\x1b\[[0-9;]*m"


def truncate(text: str, max_length: int = MAX_LENGTH) -> str:
    """Return the text as one printable line of at most `max_length` characters. A line that was cut ends in "…"."""
    line = one_line(text)
    return line if len(line) <= max_length else f"{line[: max_length - 1]}…"


def one_line(text: str) -> str:
    """Return the text as one printable line: runs of white space become one space."""
    return " ".join(printable(text).split())


def printable(text: str) -> str:
    """Replace unprintable characters by "�", and remove soft hyphens and byte order marks.

    Unprintable are control characters (except white space), lone surrogates, private-use characters and characters
    that change the text direction (`_DIRECTION_MARKS`). Zero-width joiners are kept, because Persian and Hindi words
    and many emoji need them.
    """
    return "".join("" if c in _INVISIBLE else "�" if _is_unprintable(c) else c for c in text)


def for_terminal(text: str, *, styled: bool = False) -> str:
    """Replace the characters that may act on a terminal by "�". Keep tabs, line feeds and carriage returns.

    Args:
        text: the text to write.
        styled: whether to keep the sequences that set colours and bold text.
    """
    if styled:
        return re.sub(f"({_STYLE})|{_ACTIVE}", lambda found: found[1] or "�", text)
    return re.sub(_ACTIVE, "�", text)


def duration(seconds: float) -> str:
    """Return a duration in words, such as `4.2 s`, `2 min 13 s` or `1 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def numbers_text(value: float | Sequence[float]) -> str:
    """Return a number, or several separated by commas, such as `0.3, 0.15`."""
    return ", ".join(f"{number:g}" for number in (value if isinstance(value, Sequence) else [value]))


def shown_beside(value: float, bound: float, form: str) -> str:
    """Return a number as text, with more decimals if it would otherwise look equal to `bound`.

    So the text agrees with its sentence, such as "less than 90%". At most four decimals are added.

    Args:
        value: the number.
        bound: the number that it is compared with.
        form: a format with decimals, such as ".1%", "+.1f" or ".3g".

    Example:
        >>> shown_beside(0.8996, 0.9, ".1%"), shown_beside(0.85, 0.9, ".1%"), shown_beside(0.9, 0.9, ".1%")
        ('89.96%', '85.0%', '90.0%')
    """
    sign, precision = form.split(".")
    digits, kind = int(precision[:-1]), precision[-1]
    # "z" shows a small negative number as 0 and not as -0, which would look different.
    forms = [f"{sign}z.{digits + more}{kind}" for more in range(_MORE_DIGITS + 1)]
    differing = (found for found in forms if value != bound and f"{value:{found}}" != f"{bound:{found}}")
    return f"{value:{next(differing, forms[0])}}"


def _is_unprintable(c: str) -> bool:
    return (unicodedata.category(c) in ("Cc", "Cs", "Co") and not c.isspace()) or c in _DIRECTION_MARKS
