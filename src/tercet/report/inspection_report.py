"""Write the HTML report of `tercet inspect`: the tables that it prints, with more rows, and plots.

A plot replaces the table of active triplets.
"""

from dataclasses import replace
from pathlib import Path

from tercet._texts import NUM_SHOWN_ROWS, shown_numbers
from tercet.inspection.batch_tables import active_fractions
from tercet.inspection.results import Inspection
from tercet.inspection.table import Cell, InspectionTable, Items, Line
from tercet.inspection.tables import inspection_tables
from tercet.inspection.texts import Example
from tercet.report import plots
from tercet.report.facts import inspection_facts
from tercet.report.page import CONTAINS_TEXTS, LEFT_OUT, Header, Part, Section, write_page
from tercet.report.page_table import Table
from tercet.report.text import with_label

_MAX_ROWS = 200
_HIDDEN = "(text left out)"
# The maximum number of items shown in a cell.
_MAX_ITEMS = 20
_MAX_BARS = 30


def write_inspection_report(path: Path, inspection: Inspection, *, texts: bool = True) -> None:
    """Write the report of an inspection as one HTML file.

    Args:
        path: the file to write.
        inspection: the inspection.
        texts: whether the page may contain sentences from the data. If False, it shows row numbers and labels only.

    Raises:
        OSError: the file cannot be written.

    Example:
        ```python
        from pathlib import Path

        from tercet.inspection import inspect
        from tercet.report import write_inspection_report

        write_inspection_report(Path("inspection.html"), inspect("train.csv"))
        ```
    """
    inspection = inspection if texts else _without_texts(inspection)
    tables = inspection_tables(inspection, _MAX_ROWS)
    sections: dict[str, list[Part]] = {}
    for table in tables:
        sections.setdefault(table.section, []).extend(_parts(table, inspection))
    warnings = [table.warning for table in tables if table.warning]
    header = Header(
        title=f"Inspection of {inspection.source}",
        alerts=warnings,
        facts=inspection_facts(inspection),
        note=CONTAINS_TEXTS if texts else LEFT_OUT,
    )
    write_page(path, header, [Section(title, parts) for title, parts in sections.items()])


def _without_texts(inspection: Inspection) -> Inspection:
    """Return the inspection with a sign instead of each sentence."""

    def hidden(example: Example) -> Example:
        return replace(example, text=_HIDDEN)

    texts = inspection.texts
    contradictions = [replace(found, text=_HIDDEN) for found in texts.contradictions]
    inspection = replace(inspection, texts=replace(texts, contradictions=contradictions))
    if (found := inspection.with_model) is None:
        return inspection
    pairs = [replace(pair, first=hidden(pair.first), second=hidden(pair.second)) for pair in found.near_duplicates]
    findings = replace(
        found,
        label_issues=[replace(issue, text=_HIDDEN) for issue in found.label_issues],
        labels_to_add=found.labels_to_add and [replace(one, text=_HIDDEN) for one in found.labels_to_add],
        confusions=[replace(pair, examples=list(map(hidden, pair.examples))) for pair in found.confusions],
        near_duplicates=pairs,
    )
    return replace(inspection, with_model=findings)


def _parts(table: InspectionTable, inspection: Inspection) -> list[Part]:
    """Return the parts of the page for a table: texts, the table itself (except for batches), and plots."""
    if not table.rows:
        return [table.no_rows] if table.no_rows else []
    if table.key == "batches":
        return [table.summary, *_active_triplets(inspection)]
    parts = [*([table.summary] if table.summary else []), _render(table)]
    if table.key == "texts":
        parts += [*_row_lists(inspection), *_label_sizes(inspection)]
    if table.key == "lengths":
        parts += _lengths(inspection)
    return parts


def _render(table: InspectionTable) -> Table:
    """Convert a table of the inspection into a table of text.

    A cell with several sentences becomes several rows, or several columns if its column has `line_names`. Other lines
    of a cell are joined by " / ".
    """
    names: list[str] = []
    numbers: set[int] = set()
    for column in table.columns:
        if column.kind == "number":
            numbers.add(len(names))
        names += column.line_names or [column.name]
    rows: list[list[str]] = []
    for row in table.rows:
        columns: list[list[str]] = []
        for cell, column in zip(row, table.columns, strict=True):
            lines = _lines(cell)
            columns += [[line] for line in lines] if column.line_names else [lines]
        height = max(map(len, columns))
        rows += [[column[at] if at < len(column) else "" for column in columns] for at in range(height)]
    return Table(table.title, names, rows, frozenset(numbers), levels=table.levels)


def _lines(cell: Cell) -> list[str]:
    if isinstance(cell, Items):
        return [", ".join(cell.items[:_MAX_ITEMS]) + (", …" if len(cell.items) > _MAX_ITEMS else "")]
    if isinstance(cell, tuple):
        lines = [_line(line) for line in cell]
        return lines if any(isinstance(line, Example) for line in cell) else [" / ".join(lines)]
    return [_line(cell)]


def _line(line: Line) -> str:
    return f"{line.row}: {with_label(line.text, line.label)}" if isinstance(line, Example) else line


def _row_lists(inspection: Inspection) -> list[Part]:
    """Return up to 200 row numbers of empty texts and of duplicates, if there are more than the table shows."""
    texts = inspection.texts
    lists = (("Empty texts", texts.empty), ("Duplicates under the same label", texts.duplicates))
    return [f"{name}: row {shown_numbers(rows, _MAX_ROWS)}" for name, rows in lists if len(rows) > NUM_SHOWN_ROWS]


def _label_sizes(inspection: Inspection) -> list[Part]:
    labels = inspection.texts.labels
    shown = labels.sizes[:_MAX_BARS]
    if not shown:
        return []
    names, sizes = zip(*shown, strict=True)
    which = "all labels" if len(shown) == labels.count else f"the {len(shown)} largest of {labels.count:,} labels"
    return [f"Number of sentences of {which}.", plots.bars(names, sizes, "sentences")]


def _lengths(inspection: Inspection) -> list[Part]:
    assert inspection.with_model is not None
    bounds, counts = zip(*inspection.with_model.lengths.histogram, strict=True)
    names = [f"{lower + 1} to {upper} tokens" for lower, upper in zip((0, *bounds), bounds, strict=False)]
    return ["Number of sentences by their number of tokens.", plots.bars(names, counts, "sentences")]


def _active_triplets(inspection: Inspection) -> list[Part]:
    assert inspection.with_model is not None
    assert inspection.with_model.batches is not None
    batches = inspection.with_model.batches
    curves = {
        f"{distance}, {'all triplets' if kind == 'all' else kind}": fractions
        for distance, kind, fractions in active_fractions(batches)
    }
    return [plots.active_by_margin(sorted({fraction.margin for fraction in batches.active}), curves)]
