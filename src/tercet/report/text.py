"""Whatever the data contain, as text: for HTML, and for figures, which take some tags for their own."""

import html
import textwrap
import unicodedata
from collections.abc import Sequence

LONGEST = 200
# A soft hyphen and a byte order mark.
_UNSEEN = "\u00ad\ufeff"
_TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def cut(text: str, longest: int = LONGEST) -> str:
    """One line of text as it is, its end left out where it is too long; what controls a screen is replaced."""
    line = " ".join(plain(text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def plain(text: str) -> str:
    """Text without control characters, halves of pairs, and marks that turn the direction of what follows.

    Joiners stay, without which words of Persian and Hindi, and many emoji, are others.
    """
    return "".join("" if c in _UNSEEN else "�" if _controls(c) else c for c in text)


def _controls(c: str) -> bool:
    return (unicodedata.category(c) in ("Cc", "Cs", "Co") and not c.isspace()) or c in _TURNS


def labelled(sentence: str, label: str) -> str:
    """A sentence and its label, each cut for itself, so that a long sentence does not push its label out."""
    return f"{cut(sentence, 130)} [{cut(label, 50)}]"


def for_html(text: str, longest: int = LONGEST) -> str:
    """Text between tags or in a quoted attribute."""
    return html.escape(cut(text, longest))


def for_figure(text: str, longest: int = LONGEST) -> str:
    """Text in a figure, where `<b>` and `<a>` would work as in HTML."""
    return html.escape(cut(text, longest), quote=False)


def wrapped_for_figure(text: str, width: int = 50, longest: int = 150) -> str:
    """The same in lines of some length, for the box that a pointer opens."""
    return "<br>".join(html.escape(line, quote=False) for line in textwrap.wrap(cut(text, longest), width)) or "(empty)"


def names_for_figure(names: Sequence[str], shortest: int = 24) -> list[str]:
    """Names cut as short as tells them apart."""
    for longest in (shortest, 2 * shortest):
        if len({cut(name, longest) for name in names}) == len(set(names)):
            return [for_figure(name, longest) for name in names]
    return [for_figure(name) for name in names]
