"""One HTML file from sections of text, tables and plots: it loads nothing, and shows the data as text only."""

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
from tercet.report.text import for_html

# Only inline code and style: markup that got past the escaping still could not reach a network.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        caption: its title.
        columns: the headings; no heading is shown if all are empty.
        rows: the cells, row by row.
        numbers: the columns of numbers, which are aligned right.
        folded: whether the table is hidden until its caption is clicked.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()
    folded: bool = False


@dataclass(frozen=True)
class Code:
    """A command to copy."""

    text: str


@dataclass(frozen=True)
class Maps:
    """Maps of the same points side by side, with a list from which a label can be chosen.

    The sentence at the pointer, and all sentences of the chosen label, are also shown as text below.

    Attributes:
        plots: the maps, each with one trace per label.
        labels: the names of the labels, in the order of the traces.
    """

    plots: Sequence[go.Figure]
    labels: Sequence[str]


Part: TypeAlias = str | Table | Code | Maps | go.Figure


@dataclass(frozen=True)
class Section:
    """A heading and the parts below it: sentences, tables, plots."""

    title: str
    parts: Sequence[Part]


def write_page(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Write a page that needs no other file and no network."""
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
<header><h1>{for_html(title)}</h1><nav aria-label="Sections"><ul>{links}</ul></nav></header>
<main>{body}</main>
<script>{get_plotlyjs()}</script>
<script>const PLOTS = [{",".join(plots)}];
{(files / "page.js").read_text(encoding="utf-8")}</script>
</body>
</html>
"""
    path.write_text(text, encoding="utf-8", errors="replace")


def _section(number: int, section: Section, plots: list[str]) -> str:
    parts = "\n".join(_part(part, section.title, plots) for part in section.parts)
    heading = f"heading-{number}"
    return (
        f'<section id="section-{number}" aria-labelledby="{heading}">'
        f'<h2 id="{heading}">{for_html(section.title)}</h2>{parts}</section>'
    )


def _part(part: Part, title: str, plots: list[str]) -> str:
    """Return the HTML of a part, and append the data of its plots to `plots`."""
    if isinstance(part, str):
        return f"<p>{for_html(part, 2000)}</p>"
    if isinstance(part, Table):
        return _table(part)
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
    return _plot(part, title, plots)


def _plot(plot: go.Figure, title: str, plots: list[str]) -> str:
    """Return the box of a plot, and append its data to `plots`."""
    plots.append(_json(json.loads(plotly.io.to_json(plot))))
    return _box(plot, title)


def _map(plot: go.Figure, title: str, plots: list[str], *, with_text: bool) -> str:
    """Return the box of a map. A label is stored once per trace, sentences in the first map; page.js copies them."""
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


def _table(table: Table) -> str:
    def cells(row: Sequence[str], tag: str) -> str:
        number = ' class="number"'
        scope = ' scope="col"' if tag == "th" else ""
        return "".join(
            f'<{tag}{scope}{number if at in table.numbers else ""} dir="auto">{for_html(cell)}</{tag}>'
            for at, cell in enumerate(row)
        )

    rows = "\n".join(f"<tr>{cells(row, 'td')}</tr>" for row in table.rows)
    head = f"<thead><tr>{cells(table.columns, 'th')}</tr></thead>" if any(table.columns) else ""
    # A box that scrolls needs the focus, or the keyboard cannot reach the cells outside of it.
    label = for_html(table.caption)
    drawn = (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table><caption>{label}</caption>{head}'
        f"<tbody>{rows}</tbody></table></div>"
    )
    return f"<details><summary>{label}</summary>{drawn}</details>" if table.folded else drawn


def _json(value: Any) -> str:
    """Return JSON that cannot end the script element that contains it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")
