"""Columns found by what they are called and hold; labels made integers; rows that cannot be used named."""

import numpy as np
import pytest

from tercet.data import columns
from tercet.errors import DataError


def test_labels_are_numbered():
    label_ids, names = columns.number_labels(["b", "a", "b"], "data")
    assert label_ids.tolist() == [1, 0, 1]
    assert label_ids.dtype == np.int64
    assert names == ["a", "b"]
    label_ids, names = columns.number_labels([5, -2, 5], "data")
    assert label_ids.tolist() == [5, -2, 5]
    assert names is None
    assert columns.number_labels([True, False], "data")[1] == ["False", "True"]


@pytest.mark.parametrize("missing", [None, "", float("nan")])
def test_a_missing_label_is_named_by_its_row(missing):
    with pytest.raises(DataError, match="data, row 2: the label is missing"):
        columns.number_labels(["a", "b", missing], "data")


def test_labels_of_other_types_are_refused():
    with pytest.raises(
        DataError, match=r"row 1: the label is 0.5 \(float\); labels must be all integers or all strings"
    ):
        columns.number_labels(["a", 0.5], "data")
    with pytest.raises(DataError, match=r"row 0: the label is 1 \(int\)"):
        columns.number_labels([1, "a"], "data")


@pytest.mark.parametrize(("text", "what"), [("", "empty"), (" \t", "empty"), (None, "None"), (3, "not a string")])
def test_a_text_that_is_none_is_named_by_its_row(text, what):
    with pytest.raises(DataError, match=f"data, row 1: the text is .*{what}"):
        columns.check_texts(["fine", text], "data")


def test_what_does_not_fit_is_named_by_its_line_where_there_are_lines():
    with pytest.raises(DataError, match="data, line 7: the text is empty"):
        columns.check_texts(["a", ""], "data", [2, 7])
    with pytest.raises(DataError, match="data, row 0: the text holds half of a character"):
        columns.check_texts(["\ud800"], "data")
    with pytest.raises(DataError, match="data, row 1: the label 9223372036854775808 does not fit in 64 bits"):
        columns.number_labels([0, 2**63], "data")
    names = columns.number_labels(["a", "a\0", "b" * 100_000], "data")[1]
    assert names is not None
    assert len(names) == 3


def test_labels_that_make_no_triplet_are_refused():
    with pytest.raises(DataError, match=r"one label only \('spam'\)"):
        columns.check_trainable(np.zeros(3, dtype=int), ["spam"], "data")
    with pytest.raises(DataError, match=r"no label twice \(3 labels, 3 rows\)"):
        columns.check_trainable(np.arange(3), None, "data")
    columns.check_trainable(np.array([0, 0, 1]), None, "data")


@pytest.mark.parametrize("names", [["nan", "NaN"], ["inf", "-inf"], ["1.5", "nan"], ["1", "2"]])
def test_labels_that_are_no_decimal_numbers_are_names(names):
    columns.check_trainable(np.array([0, 0, 1]), names, "data")
    label_ids, found = columns.number_labels(names, "data")
    assert [found[code] for code in label_ids] == names


def test_decimal_labels_are_refused():
    with pytest.raises(DataError, match=r"the labels are decimal numbers \('0.5', '1.5'\)"):
        columns.check_trainable(np.array([0, 0, 1]), ["0.5", "1.5"], "data")


def test_usual_names_are_guessed_and_others_asked_for():
    guess = columns.guess_columns
    assert guess({"id": [], "Utterance": [], "intent": []}, None, None, "d") == ("Utterance", "intent")
    assert guess({"a": [], "b": []}, "a", "b", "d") == ("a", "b")
    with pytest.raises(
        DataError, match="which column is the text.*the columns are 'a', 'b'; say it with --text-column"
    ):
        guess({"a": [], "b": []}, None, "b", "d")
    with pytest.raises(DataError, match="'text', 'title' could all be it; say it with --text-column"):
        guess({"text": [], "title": [], "label": []}, None, None, "d")
    with pytest.raises(DataError, match="d has no column 'c'; it has 'a', 'b'"):
        guess({"a": [], "b": []}, "a", "c", "d")
    with pytest.raises(DataError, match="cannot be both text and label"):
        guess({"text": [], "label": []}, "label", None, "d")
    assert columns.guess_text_column({"whatever": []}, None, "d") == "whatever"


def test_columns_of_a_data_set():
    find = columns.find_labelled_columns
    assert find(["label", "t"], {"t": "text", "label": "text"}) == ("t", "label")
    assert find(["t", "y"], {"t": "text", "y": "integer"}) == ("t", "y")
    for found in (["t"], ["t", "u"], ["t", "u", "label"], ["t", "label", "labels"], ["label"]):
        kinds = {name: "integer" if name.startswith("label") else "text" for name in found}
        with pytest.raises(DataError, match="one column of text and one of labels") as caught:
            find(found, kinds)
        assert all(repr(name) in str(caught.value) for name in found)


def test_columns_of_triplets():
    find, text = columns.find_triplet_columns, "text"
    named = ["negative", "anchor", "positive"]
    assert find(named, dict.fromkeys(named, text)) == ("anchor", "positive", "negative")
    assert find(["a", "b", "c"], dict.fromkeys("abc", text)) == ("a", "b", "c")
    with pytest.raises(DataError, match=r"TripletLoss wants three columns of text.*'a' \(text\), 'b' \(integer\)"):
        find(["a", "b"], {"a": "text", "b": "integer"})
