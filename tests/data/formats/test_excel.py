"""Workbooks as other programs write them."""

import re
import zipfile

import pytest

from tercet.data.reading.sources import read_table
from tercet.errors import DataError

pytest.importorskip("openpyxl")

SHEET = "xl/worksheets/sheet1.xml"


def _workbook(path, rows):
    from openpyxl import Workbook

    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def _change_sheet(path, change):
    """Replace the XML of the sheet of a workbook."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[SHEET] = change(members[SHEET])
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("size", ["A1", "A1:A2", "A1:B2", "A1:C4", "A1:XFD1048576", None])
def test_the_size_that_a_sheet_declares_leaves_no_cell_out(size, tmp_path):
    path = _workbook(tmp_path / "d.xlsx", [("text", "label", "id"), ("a", "x", 1), (), ("b", "y", 2)])
    declared = b"" if size is None else f'<dimension ref="{size}" />'.encode()
    _change_sheet(path, lambda sheet: re.sub(b"<dimension [^>]*>", declared, sheet))
    table = read_table(path)
    assert table.columns == {"text": ["a", "b"], "label": ["x", "y"], "id": [1, 2]}
    assert list(table.lines) == [2, 4]


def test_a_damaged_sheet_is_refused(tmp_path):
    path = _change_sheet(_workbook(tmp_path / "d.xlsx", [("text", "label"), ("a", "x")]), lambda sheet: sheet[:-20])
    with pytest.raises(DataError, match=r"d\.xlsx is not a readable \.xlsx file"):
        read_table(path)


def test_a_workbook_with_a_password_is_refused(tmp_path):
    (tmp_path / "d.xlsx").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600))
    with pytest.raises(DataError, match="has a password or is an .xls file; save it as .xlsx without a password"):
        read_table(tmp_path / "d.xlsx")
