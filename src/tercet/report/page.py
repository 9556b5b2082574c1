"""Write one self-contained HTML file of text, tables and plots.

The file makes no network requests, and text from the data is escaped.
"""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

import plotly.graph_objects as go
import plotly.io
from plotly.offline import get_plotlyjs

from tercet._display import printable
from tercet.report.page_table import Table, table_html
from tercet.report.text import for_html

# The policy allows inline scripts and styles only, so even markup that was not escaped could not make network requests.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


CONTAINS_TEXTS = "This page contains sentences from the data. Everyone who gets the file can read them."
LEFT_OUT = "The sentences of the data are left out. Row 0 is the first row of the data that a sentence is from."


@dataclass(frozen=True)
class Code:
    """A command for the reader to copy, shown in a monospaced font."""

    text: str


@dataclass(frozen=True)
class Maps:
    """Maps of the same sentences side by side, with a list to select a label.

    Below the maps, the page shows the text of the sentence under the pointer and all drawn sentences of the selected
    label.

    Attributes:
        plots: the maps. Each has one trace per label, and all maps have the same traces in the same order.
        labels: the names of the labels, in the order of the traces.
    """

    plots: Sequence[go.Figure]
    labels: Sequence[str]


@dataclass(frozen=True)
class Wide:
    """A plot with the width of its layout, in a box that scrolls if the plot is larger than the window.

    Attributes:
        plot: the plot, whose layout has a width and a height in pixels.
        title: the name of the box for screen readers.
    """

    plot: go.Figure
    title: str


Part: TypeAlias = str | Table | Code | Maps | Wide | go.Figure


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        title: the heading.
        parts: paragraphs, tables, commands, maps and plots, in the order in which they are shown.
    """

    title: str
    parts: Sequence[Part]


@dataclass(frozen=True, kw_only=True)
class Header:
    """The top of the page.

    Attributes:
        title: the title of the page.
        headline: the most important result, in large letters; "" shows none.
        alerts: warnings, shown in red above everything else.
        facts: names and values that say what the page is of.
        note: a note below the facts; "" shows none.
    """

    title: str
    headline: str = ""
    alerts: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    note: str = ""


def write_page(path: Path, header: Header, sections: Sequence[Section]) -> None:
    """Write a self-contained HTML page with links to its sections at the top."""
    title = header.title
    plots: list[str] = []
    body = "\n".join(_section(number, section, plots) for number, section in enumerate(sections))
    links = "\n".join(
        f'<li><a href="#section-{number}">{for_html(section.title)}</a></li>' for number, section in enumerate(sections)
    )
    files = resources.files("tercet.report")
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{for_html(title)}</title>
<style>{(files / "page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<header><h1>{for_html(title)}</h1>{_top(header)}<nav aria-label="Sections"><ul>{links}</ul></nav></header>
<main>{body}</main>
<script>{get_plotlyjs()}</script>
<script>const PLOTS = [{",".join(plots)}];
{(files / "page.js").read_text(encoding="utf-8")}</script>
</body>
</html>
"""
    path.write_text(text, encoding="utf-8", errors="replace")


def _top(header: Header) -> str:
    alerts = "".join(
        f'<p class="alert"><b>Warning:</b> <span>{for_html(alert, 2000)}</span></p>' for alert in header.alerts
    )
    headline = f'<p class="headline">{for_html(header.headline)}</p>' if header.headline else ""
    facts = "".join(
        f'<div><dt>{for_html(name)}</dt><dd dir="auto">{for_html(value)}</dd></div>' for name, value in header.facts
    )
    note = f'<p class="note">{for_html(header.note, 2000)}</p>' if header.note else ""
    return alerts + headline + (f"<dl>{facts}</dl>" if facts else "") + note


def _section(number: int, section: Section, plots: list[str]) -> str:
    parts = "\n".join(_part(part, section.title, plots) for part in section.parts)
    heading = f"heading-{number}"
    return (
        f'<section id="section-{number}" aria-labelledby="{heading}">'
        f'<h2 id="{heading}">{for_html(section.title)}</h2>{parts}</section>'
    )


def _part(part: Part, title: str, plots: list[str]) -> str:
    """Return the HTML of a part. Append the JSON of its plots to `plots`."""
    if isinstance(part, str):
        return f"<p>{for_html(part, 2000)}</p>"
    if isinstance(part, Table):
        return table_html(part)
    if isinstance(part, Code):
        return f'<pre tabindex="0">{html.escape(printable(part.text))}</pre>'
    if isinstance(part, Maps):
        options = "".join(
            f'<option value="{at}" dir="auto">{for_html(label, 60)}</option>' for at, label in enumerate(part.labels)
        )
        drawn = "".join(_map(plot, title, plots, with_text=at == 0) for at, plot in enumerate(part.plots))
        return (
            f'<div class="maps"><label>Label to show <select class="label"><option value="">all</option>{options}'
            f'</select></label><div class="side-by-side">{drawn}</div>'
            '<p class="pointed" aria-live="polite"></p>'
            '<div class="picked" tabindex="0" role="region" aria-label="Sentences of the label" hidden></div></div>'
        )
    if isinstance(part, Wide):
        layout = part.plot.layout
        drawn = _plot(part.plot, part.title, plots)
        return (
            f'<div class="wide" style="--width:{layout.width}" tabindex="0" role="region" '
            f'aria-label="{for_html(part.title)}"><div style="width:{layout.width}px">{drawn}</div></div>'
        )
    return _plot(part, title, plots)


def _plot(plot: go.Figure, title: str, plots: list[str]) -> str:
    """Return the HTML element into which page.js draws a plot. Append the JSON of the plot to `plots`."""
    plots.append(_json(json.loads(plotly.io.to_json(plot))))
    return _box(plot, title)


def _map(plot: go.Figure, title: str, plots: list[str], *, with_text: bool) -> str:
    """Return the HTML element of a map. Append the JSON of the map to `plots`.

    To keep the file small, each trace stores its label once, and only the first map stores the sentences. page.js
    copies both.
    """
    drawn = json.loads(plotly.io.to_json(plot))
    for trace in drawn["data"]:
        trace["customdata"] = trace["customdata"][:1]
        if not with_text:
            del trace["text"]
    plots.append(_json(drawn))
    return _box(plot, title)


def _box(plot: go.Figure, title: str) -> str:
    name = for_html(plot.layout.title.text or title)
    return f'<div class="figure" role="img" aria-label="{name}" style="height:{plot.layout.height}px"></div>'


def _json(value: Any) -> str:
    """Return JSON with `<` escaped, so that `</script>` in the data cannot end the script element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")
