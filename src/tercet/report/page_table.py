"""A table of a page: text in columns, or a tree whose rows can be folded."""

from collections.abc import Sequence
from dataclasses import dataclass

from tercet.report.text import for_html


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        caption: the title of the table.
        columns: the headings of the columns. If all are empty, the table has no heading row.
        rows: the rows, each a sequence of cells.
        numbers: the indices of the columns to align right, because they contain numbers.
        folded: whether the table is hidden until the reader clicks its caption.
        levels: for a tree, the level of each row from 1; the rows below a row have larger levels and follow it. The
            reader can fold them. Empty for a table that is no tree.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()
    folded: bool = False
    levels: Sequence[int] = ()


def table_html(table: Table) -> str:
    """Return the HTML of a table. page.js adds the buttons of a tree."""
    texts = [at for at in range(len(table.columns)) if at not in table.numbers]
    stacked = any(table.columns) and (len(table.columns) > 4 or (len(table.columns) > 2 and len(texts) > 1))

    def cells(row: Sequence[str], tag: str) -> str:
        number = ' class="number"'
        scope = ' scope="col"' if tag == "th" else ""
        # On a narrow screen, the cells of a row stand below each other, each after the heading of its column.
        headings = [f' data-label="{for_html(name)}"' if stacked and tag == "td" else "" for name in table.columns]
        return "".join(
            f'<{tag}{scope}{number if at in table.numbers else ""}{headings[at]} dir="auto">{for_html(cell)}</{tag}>'
            for at, cell in enumerate(row)
        )

    levels = [f' data-level="{level}"' for level in table.levels] or [""] * len(table.rows)
    rows = "\n".join(f"<tr{at}>{cells(row, 'td')}</tr>" for at, row in zip(levels, table.rows, strict=True))
    head = f"<thead><tr>{cells(table.columns, 'th')}</tr></thead>" if any(table.columns) else ""
    # The element that scrolls needs tabindex="0", so that the arrow keys can scroll to the hidden cells.
    label, kind = for_html(table.caption), ' class="stacked"' if stacked else ""
    drawn = (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table{kind}>'
        f"<caption>{label}</caption>{head}<tbody>{rows}</tbody></table></div>"
    )
    return f"<details><summary>{label}</summary>{drawn}</details>" if table.folded else drawn
