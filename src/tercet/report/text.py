"""Truncate and escape text from the data, for HTML and for plots. (Plotly interprets some HTML tags.)"""

import html
import textwrap
from collections.abc import Sequence

from tercet._display import MAX_LENGTH, truncate

_MAX_SENTENCE_LENGTH = 130
_MAX_LABEL_LENGTH = 50


def with_label(sentence: str, label: str) -> str:
    """Return `sentence [label]`. Both are truncated separately, so that a long sentence does not hide the label."""
    return f"{truncate(sentence, _MAX_SENTENCE_LENGTH)} [{truncate(label, _MAX_LABEL_LENGTH)}]"


def for_html(text: str, max_length: int = MAX_LENGTH) -> str:
    """Return the text truncated and escaped, for use between HTML tags or in a quoted attribute."""
    return html.escape(truncate(text, max_length))


def for_plot(text: str, max_length: int = MAX_LENGTH) -> str:
    """Return the text truncated and escaped for a plot, where plotly would interpret tags such as `<b>` and `<a>`."""
    return html.escape(truncate(text, max_length), quote=False)


def wrapped_for_plot(text: str, width: int = 50, max_length: int = 150) -> str:
    """Return the text for the hover box of a plot: escaped, in lines of at most `width` characters joined by `<br>`."""
    lines = textwrap.wrap(truncate(text, max_length), width)
    return "<br>".join(html.escape(line, quote=False) for line in lines) or "(empty)"


def names_for_plot(names: Sequence[str]) -> list[str]:
    """Return the names truncated and escaped for a plot.

    They are truncated to 24 or 48 characters, if they then still differ, else to the default length.
    """
    for length in (24, 48):
        if len({truncate(name, length) for name in names}) == len(set(names)):
            return [for_plot(name, length) for name in names]
    return [for_plot(name) for name in names]
