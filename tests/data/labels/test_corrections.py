"""Lists of label issues as spreadsheets and data frames write them, and the columns that are corrected."""

import datetime
import json
import math

import pyarrow as pa
import pytest

from tercet.data.labels.corrected_columns import with_additions, with_labels, with_levels
from tercet.data.labels.corrections import accepted_additions, accepted_labels
from tercet.data.reading.sources import read_table
from tercet.data.tables.table import Table
from tercet.errors import DataError

_NAMES = ("row", "text", "label", "suggested_label", "accept")


def _table(*rows, names=_NAMES):
    return Table("list", dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def _file(tmp_path, suffix, row):
    path = tmp_path / f"list{suffix}"
    if suffix == ".jsonl":
        path.write_text(json.dumps(dict(zip(_NAMES, row, strict=True))) + "\n")
        return read_table(path)
    workbook = pytest.importorskip("openpyxl").Workbook()
    workbook.active.append(_NAMES)
    workbook.active.append(row)
    workbook.save(path)
    return read_table(path)


@pytest.mark.parametrize("suffix", [".jsonl", ".xlsx"])
def test_a_missing_label_is_refused(suffix, tmp_path):
    issues = _file(tmp_path, suffix, (1, "b", "x", None, "yes"))
    with pytest.raises(DataError, match="the suggested_label is missing; write the new label, or remove the accept"):
        accepted_labels(issues, ["a", "b"], ["x", "x"], "data")


@pytest.mark.parametrize("missing", [None, math.nan, "", " ", "\u200b", " ; "])
def test_a_missing_label_to_add_is_refused(missing):
    issues = _table((0, "a", "x;y", missing, "yes"), names=("row", "text", "label", "label_to_add", "accept"))
    with pytest.raises(DataError, match="the label_to_add is missing"):
        accepted_additions(issues, ["a"], ["x;y"], "data", ";")


@pytest.mark.parametrize(
    ("labels", "given", "suggested", "expected"),
    [
        ([1, 3], 1, 3, "3"),
        (["1", "3"], 1.0, 3.0, "3"),  # a column of numbers of which one was missing
        (["1", "3"], "1.0", "3.0", "3"),
        (["1.0", "3.0"], 1, 3, "3.0"),
        (["1.5", "2.5"], 1.5, 2.5, "2.5"),
        (["true", "false"], True, False, "false"),  # Spreadsheets have an own type for them.
        (["true", "false"], "TRUE", "FALSE", "false"),
        ([True, False], True, False, "False"),
        (["no", "yes"], "no", " yes ", "yes"),
        (["Billing", "billing", "card"], "Billing", "billing", "billing"),  # Another form of its label is meant.
        (["billing / refund", "card / lost"], "billing/refund", "card/lost", "card / lost"),
        (["a", "b"], "a", "new", "new"),
        (["a", "b"], "a", 7, "7"),
        (["Cafe\u0301", "b"], "Caf\u00e9", "Cafe\u0301 2", "Caf\u00e9 2"),
    ],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".xlsx"])
def test_a_label_has_the_form_of_the_data(suffix, labels, given, suggested, expected, tmp_path):
    issues = _file(tmp_path, suffix, (0.0, "a text", given, suggested, True))
    assert accepted_labels(issues, ["a text"] * len(labels), labels, "data") == {0: expected}


@pytest.mark.parametrize("value", [True, datetime.date(2024, 1, 2), ["a", "b"], {"a": 1}])
def test_other_values_are_no_labels(value):
    issues = _table((0, "a", "x", value, "yes"))
    with pytest.raises(DataError, match="list, row 0: the suggested_label must be a text or a number, got "):
        accepted_labels(issues, ["a"], ["x"], "data")


def test_a_row_without_a_label_gets_one():
    """A user may add rows to the list."""
    issues = _table((0, "a", None, "new", "x"), (1, "b", "", "new", 1.0), (2, "c", "None", "new", "no"))
    assert accepted_labels(issues, list("abc"), ["", None, None], "data") == {0: "new", 1: "new"}
    with pytest.raises(DataError, match="the label of row 0 of data is None, but the list has 'None'; inspect"):
        accepted_labels(_table((0, "a", "None", "new", "yes")), ["a"], [None], "data")
    assert with_additions(["a;b", None, "", math.nan, []], {n: ["c", "d", "c"] for n in range(5)}, ";") == [
        "a;b;c;d", "c;d", "c;d", "c;d", ["c", "d"],
    ]  # fmt: skip


def test_a_text_in_another_form_is_the_same_row():
    issues = _table((0, "two\nlines", "x", "y", "yes"), (1, 123, "x", "y", "yes"), (2, "c", "x", "y", math.nan))
    assert accepted_labels(issues, ["two\r\nlines", "123", "c"], ["x"] * 3, "data") == {0: "y", 1: "y"}


@pytest.mark.parametrize("row", [-1, "-1", 0.5, True, None, math.nan, "one"])
def test_a_row_is_a_whole_number(row):
    with pytest.raises(DataError, match="the row must be a number from 0"):
        accepted_labels(_table((row, "a", "x", "y", "yes")), ["a", "a"], ["x", "x"], "data")


@pytest.mark.parametrize(
    ("column", "label", "expected"),
    [
        ([1, 2], "3", 3),
        ([1, 2], "-3", -3),
        ([1, 2], "--3", "--3"),
        ([1, None], "x", "x"),
        ([1.0, math.nan], "3", 3.0),
        ([1.5, 2.0], "3", "3"),
        ([True, False], "False", False),
        ([True, None], "maybe", "maybe"),
        (["1", "2"], "3", "3"),
        ([None, None], "3", "3"),
        ([["a"], ["b", "c"]], "b", ["b"]),
        ([["a"], ["b", "c"]], '["b", "c"]', ["b", "c"]),
        ([[1], [2, 3]], "2", [2]),
        ([[1, None], [2, 3]], "[2, 3]", [2, 3]),
    ],
)
def test_a_corrected_label_has_the_type_of_the_column(column, label, expected):
    corrected = with_labels(column, {0: label})
    assert (corrected[0], type(corrected[0])) == (expected, type(expected))
    assert corrected[1] is column[1]


def test_levels_are_written_to_their_columns():
    columns = {"area": ["a", "b", "a"], "number": [1, 2, None]}
    new = {0: "b/2", 1: "c"}
    assert with_levels(columns, ["area", "number"], new, "/", "data") == {
        "area": ["b", "c", "a"], "number": [2, None, None],
    }  # fmt: skip
    assert with_labels([["a", "x"], "b"], {0: "b / y"}, "/") == [["b", "y"], "b"]
    with pytest.raises(DataError, match=r"data: the new label 'a//b' of row 2 has an empty level; write at most 2 lev"):
        with_levels(columns, ["area", "number"], {2: "a//b"}, "/", "data")


def test_levels_of_integers_stay_integers():
    cells = with_labels(pa.array([[1, 2], [1, 3]]), {0: "1/3"}, "/")
    assert cells == [[1, 3], [1, 3]]
    assert with_additions([[1, None]], {0: ["3"]}, ";") == [[1, None, 3]]


def test_a_value_with_the_separator_adds_several_labels():
    names = ("row", "text", "label", "label_to_add", "accept")
    issues = _table((0, "a", '["x", "y"]', "z ; W", "yes"), (1, "b", "w", ";v", "yes"), names=names)
    labels = [["x", "y"], ["w"]]
    added = accepted_additions(issues, ["a", "b"], labels, "data", ";")
    assert added == {0: ["z", "w"], 1: ["v"]}
    assert with_additions(labels, added, ";") == [["x", "y", "z", "w"], ["w", "v"]]


def test_a_label_that_pandas_emptied_is_named():
    """pandas reads "n/a" as a gap, and writes it as an empty cell."""
    issues = _table((0, "a", "", "card", "yes"))
    with pytest.raises(DataError, match=r"row 0 of data is 'n/a', but the list has ''; .*keep_default_na=False"):
        accepted_labels(issues, ["a"], ["n/a"], "data")
    with pytest.raises(
        DataError, match="the text of row 0 of data is 'b', but the list has 'a'; inspect the data again"
    ):
        accepted_labels(issues, ["b"], ["n/a"], "data")
