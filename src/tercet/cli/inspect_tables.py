"""Print the tables of an inspection on standard output."""

from rich.table import Table
from rich.text import Text

from tercet._display import MAX_LENGTH, one_line, truncate
from tercet.cli.console import cell, terminal
from tercet.inspection.results import Inspection
from tercet.inspection.table import Cell, Column, InspectionTable, Items, Line
from tercet.inspection.tables import inspection_tables
from tercet.inspection.texts import Example

_MAX_ROWS = 10
_MAX_ITEMS = 5
# The maximum number of characters of a text from the data.
_MAX_TEXT_LENGTH = 70


def print_inspection(inspection: Inspection) -> None:
    """Print the tables of an inspection. A warning is printed below its table; a table without rows is left out."""
    console = terminal()
    for table in inspection_tables(inspection, _MAX_ROWS):
        if table.rows:
            console.print(_render(table))
        if table.warning:
            console.print(cell(table.warning), style="bold")


def _render(table: InspectionTable) -> Table:
    header = any(column.name for column in table.columns)
    rendered = Table(title=cell(table.title), title_justify="left", show_header=header)
    for column in table.columns:
        # overflow="fold" wraps long words instead of cutting them, because labels often differ only at their ends.
        name = "option" if column.kind == "setting" else column.name
        rendered.add_column(name, justify="right" if column.kind == "number" else "left", overflow="fold")
    for row in table.rows:
        rendered.add_row(*(_cell(cell, column) for cell, column in zip(row, table.columns, strict=True)))
    return rendered


def _cell(cell: Cell, column: Column) -> Text:
    if isinstance(cell, Items):
        shown = Text(", ").join(_line(item, column) for item in cell.items[:_MAX_ITEMS])
        return shown.append(", …") if len(cell.items) > _MAX_ITEMS else shown
    if isinstance(cell, tuple):
        return Text("\n").join(_line(line, column) for line in cell)
    return _line(cell, column)


def _line(line: Line, column: Column) -> Text:
    """Return one line as a `Text`, because rich would interpret brackets in a plain string as markup."""
    if isinstance(line, Example):
        text, label = (truncate(part, _MAX_TEXT_LENGTH) for part in (line.text, line.label))
        return Text.assemble(f"{line.row}: ", text, (f"  [{label}]", "dim"))
    if column.kind == "setting":
        return Text(f"--{line.replace('_', '-')}")
    if column.kind == "reason":
        return Text(one_line(line))
    return Text(truncate(line, _MAX_TEXT_LENGTH if column.kind == "data" else MAX_LENGTH))
