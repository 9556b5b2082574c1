"""Several label columns as the levels of nested labels."""

import logging

import pyarrow as pa
import pytest
from pyarrow import parquet

from tercet._events import collect_warnings
from tercet.cli.next_commands import option_words
from tercet.data import ReadOptions, load_labelled
from tercet.errors import DataError

ROWS = {
    "text": ["one", "two", "three", "four", "five"],
    "area": [" a ", "a", "b", None, "c"],
    "intent": ["x", None, "x", "y", None],
    "step": [1, None, None, None, 2],
    "id": [0, 1, 2, 3, 4],
}


def test_columns_are_levels(caplog):
    with caplog.at_level(logging.INFO):
        data = load_labelled(ROWS, ReadOptions(label_column=("area", "intent", "step")))
    # Row 3 has no area, and row 4 has a step without an intent.
    assert data.labels() == ["a/x/1", "a", "b/x"]
    assert data.rows.tolist() == [0, 1, 2]
    assert "labels from 'area' → 'intent' → 'step'; not used: 'id'" in caplog.text
    assert "2 of 5 rows have no label" in caplog.text
    assert data.columns == ("text", "area/intent/step")


def test_one_column_in_a_list_is_a_column_without_levels():
    options = ReadOptions(label_column=["intent"])
    assert (options.label_column, options.label_levels, options.level_columns) == ("intent", None, [])
    assert load_labelled(ROWS, options).labels() == ["x", "x", "y"]


def test_missing_labels_are_counted_in_an_inspection():
    data = load_labelled(ROWS, ReadOptions(label_column=["area", "intent"]), incomplete=True)
    assert data.labels() == ["a/x", "a", "b/x", "", "c"]


@pytest.mark.parametrize(
    ("columns", "changes", "message"),
    [
        (["area", "aera"], {}, "has no column 'aera'; did you mean 'area'"),
        (["area", "area"], {}, "label_column must name each level once, the coarsest first"),
        ([], {}, "label_column must name each level once"),
        (["area", "intent"], {"label_file": "labels.txt"}, "label_file has one column of labels"),
        (["area", "intent"], {"combined_labels": "keep"}, "label_levels and combined_labels exclude each other"),
        (["area", "text"], {"label_levels": "e"}, "row 0: 'one' in column 'text' contains the separator 'e'"),
        (["area", "several"], {}, "row 0: ('x', 'y') in column 'several' has several values"),
    ],
)
def test_columns_that_are_no_levels(columns, changes, message):
    rows = {**ROWS, "several": [["x", "y"]] * 5}
    with pytest.raises(DataError) as caught:
        load_labelled(rows, ReadOptions(label_column=columns, **changes))
    assert message in str(caught.value)


def test_the_options_of_a_printed_command():
    words = option_words(ReadOptions("text", ["area", "intent"]))
    assert " ".join(words) == "--text-column text --label-column area --label-column intent --label-levels /"


LISTS = [
    ["north", "sales", "north"],
    ["billing", None, "card"],
    ["billing", None],
    [None, "card"],
    [1, " é ", float("nan")],
    "c/d",
]


def test_lists_are_labelled_as_columns_of_their_levels(tmp_path):
    labels = ["north/sales/north", "billing", "1/é", "c/d"]
    with collect_warnings() as warnings:
        data = load_labelled({"text": list("abcdef"), "label": LISTS}, ReadOptions(label_levels="/"))
    assert (data.labels(), data.rows.tolist()) == (labels, [0, 2, 4, 5])
    assert "2 of 6 rows have no label (rows 1, 3)" in warnings[0].message
    levels = zip(*([*path, None, None][:3] for path in LISTS[:-1]), strict=True)
    columns = {"text": list("abcde"), **dict(zip("xyz", map(list, levels), strict=True))}
    assert load_labelled(columns, ReadOptions(label_column=["x", "y", "z"])).labels() == labels[:-1]
    parquet.write_table(pa.table({"text": list("ab"), "label": [["n", "s", "n"], ["n", None]]}), tmp_path / "d.parquet")
    assert load_labelled(tmp_path / "d.parquet", ReadOptions(label_levels="/")).labels() == ["n/s/n", "n"]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (["a", "b/c"], "row 1: the level 'b/c' contains the separator '/'; pass another label_levels"),
        (["a", ["b"]], r"row 1: the label is \['a', \['b'\]\]; each level must be a string or an integer"),
        ({"a", "b"}, "row 1: the label is a set, whose levels have no order; pass a list"),
        ({"name": "a"}, "row 1: the labels are {'name': 'a'}; each label must be a string"),
    ],
)
def test_lists_that_are_no_levels(label, message):
    with pytest.raises(DataError, match=message):
        load_labelled({"text": ["one", "two"], "label": [["a", "x"], label]}, ReadOptions(label_levels="/"))
