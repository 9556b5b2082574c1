"""Read .xlsx files of Excel and other spreadsheets."""

from array import array
from contextlib import closing
from pathlib import Path
from typing import Any

from tercet.data.formats.json_files import EXTRA
from tercet.data.formats.separated import named_columns
from tercet.data.tables.table import Columns, Content
from tercet.errors import DataError, listed

# The first bytes of .xls files, and of .xlsx files with a password.
_OLE = b"\xd0\xcf\x11\xe0"
_OLD_OR_LOCKED = "it has a password or is an .xls file; save it as .xlsx without a password"


def read_xlsx(path: Path, *, header: bool = True, split: str = "train") -> Content:
    """Read the sheet of a workbook that has data. Empty rows are skipped; numbers, dates and formulas give values.

    Args:
        path: the file.
        header: whether the first row contains the column names. If False, the columns are named "0", "1" and so on.
        split: the name of the sheet if several have data.

    Raises:
        DataError: the package for it is missing, the file is damaged, or several sheets have data.
    """
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise DataError(f"{path}: reading .xlsx needs another package; {EXTRA}") from None

    try:
        with closing(load_workbook(path, read_only=True, data_only=True)) as workbook:
            sheets = {sheet.title: found for sheet in workbook.worksheets if (found := _rows(sheet))[0]}
    except Exception as error:  # openpyxl raises many types for damaged files
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
            raise
        reason = _OLD_OR_LOCKED if _starts_with(path, _OLE) else error
        raise DataError(f"{path} is not a readable .xlsx file: {reason}") from None
    if len(sheets) > 1 and split not in sheets:
        raise DataError(f"{path} has several sheets with data; pass split, one of {listed(sheets, 12)}")
    if not sheets:
        raise DataError(f"{path} has no rows of data")
    chosen = split if split in sheets else next(iter(sheets))
    rows, lines = sheets[chosen]
    width = max(map(len, rows))
    rows = [[*row, *[None] * (width - len(row))] for row in rows]
    names = [str(index) for index in range(width)]
    if header:
        names = ["" if name is None else str(name) for name in rows.pop(0)]
        del lines[0]
        if not any(name.strip() for name in names):
            raise DataError(f"{path}: the first row is empty; it must contain the names of the columns")
    columns: list[list[Any]] = [list(values) for values in zip(*rows, strict=True)] or [[] for _ in names]
    named = named_columns(path, names, columns)
    if len(sheets) == 1 and split not in sheets:
        return named, lines
    return Columns.of_split(named, list(sheets), [name for name in sheets if name != chosen]), lines


def _starts_with(path: Path, start: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(start)) == start


def _rows(sheet: Any) -> tuple[list[list[Any]], list[int]]:
    """Return the rows of a sheet that are not empty, without empty cells at their ends, and their line numbers."""
    sheet.reset_dimensions()  # Exports of other programs declare a size that is too small, such as A1.
    rows, lines = [], array("q")
    for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
        row = list(cells)
        while row and row[-1] is None:
            row.pop()
        if row:
            rows.append(row)
            lines.append(number)
    return rows, lines.tolist()
