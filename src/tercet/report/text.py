"""Text from the data, escaped for HTML and for plots; plotly interprets some tags."""

import html
import textwrap
from collections.abc import Sequence

from tercet._display import MAX_LENGTH, truncate

_MAX_SENTENCE_LENGTH = 130
_MAX_LABEL_LENGTH = 50


def with_label(sentence: str, label: str) -> str:
    """Return a sentence with its label, truncated separately, so that a long sentence does not displace its label."""
    return f"{truncate(sentence, _MAX_SENTENCE_LENGTH)} [{truncate(label, _MAX_LABEL_LENGTH)}]"


def for_html(text: str, max_length: int = MAX_LENGTH) -> str:
    """Return text to put between tags or into a quoted attribute."""
    return html.escape(truncate(text, max_length))


def for_plot(text: str, max_length: int = MAX_LENGTH) -> str:
    """Return text for a plot, where `<b>` and `<a>` would act as in HTML."""
    return html.escape(truncate(text, max_length), quote=False)


def wrapped_for_plot(text: str, width: int = 50, max_length: int = 150) -> str:
    """Return text for a plot in lines of `width` characters, for the box at the pointer."""
    lines = textwrap.wrap(truncate(text, max_length), width)
    return "<br>".join(html.escape(line, quote=False) for line in lines) or "(empty)"


def names_for_plot(names: Sequence[str], min_length: int = 24) -> list[str]:
    """Return names for a plot, truncated to the shortest of a few lengths at which they still differ."""
    for length in (min_length, 2 * min_length):
        if len({truncate(name, length) for name in names}) == len(set(names)):
            return [for_plot(name, length) for name in names]
    return [for_plot(name) for name in names]
