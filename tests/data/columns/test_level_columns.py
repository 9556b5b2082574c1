"""Several label columns as the levels of nested labels."""

import logging

import pytest

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
