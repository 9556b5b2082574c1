"""Whatever the data contain, as text: for HTML, and for figures, which take some tags for their own."""

import html
import textwrap

LONGEST = 200


def cut(text: str, longest: int = LONGEST) -> str:
    """One line of printable text, its end left out where it is too long."""
    line = " ".join("".join(c if c.isprintable() or c.isspace() else "�" for c in text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


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
