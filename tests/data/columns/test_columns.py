"""Columns are found by their usual names and by their types; every message names the columns that exist."""

import pytest

from tercet.data.columns.labelled import find_labelled_columns, find_text_column
from tercet.data.columns.names import check_columns
from tercet.data.columns.triplets import find_triplet_columns
from tercet.errors import DataError


def test_usual_names_are_found_and_others_are_asked_for():
    find = find_labelled_columns
    assert find(["id", "Utterance", "intent"], "d") == ("Utterance", "intent")
    assert find(["a", "b"], "d", "a", "b") == ("a", "b")
    with pytest.raises(DataError, match=r"which column is the text\? the columns are 'a', 'b'; pass text_column"):
        find(["a", "b"], "d", None, "b")
    with pytest.raises(DataError, match="several have a usual name: 'text', 'title'; pass text_column"):
        find(["text", "title", "label"], "d")
    with pytest.raises(DataError, match="several have a usual name: 'category', 'intent'; pass label_column"):
        find(["text", "category", "intent"], "d")
    with pytest.raises(DataError, match="d has no column 'c'; it has 'a', 'b'"):
        find(["a", "b"], "d", "a", "c")
    with pytest.raises(DataError, match="cannot be both text and label"):
        find(["text", "label"], "d", "label")
    with pytest.raises(DataError, match=r"d has the columns of triplets \(anchor, positive, negative\)"):
        find(["anchor", "positive", "negative"], "d")
    with pytest.raises(DataError, match="separate columns by commas in a .csv, by tabs in a .tsv"):
        find(["text\tlabel"], "d")


def test_the_nearest_name_is_named():
    with pytest.raises(DataError, match="d has no column 'Text'; did you mean ' text '\\? it has ' text ', 'label'"):
        find_labelled_columns([" text ", "label"], "d", "Text")
    with pytest.raises(DataError, match="d has no column 'lable'; did you mean 'label'"):
        find_labelled_columns(["text", "label"], "d", None, "lable")


def test_two_usual_names_in_a_file_are_ambiguous():
    with pytest.raises(DataError, match="several have a usual name: 'label', 'category'; pass label_column"):
        find_labelled_columns(["text", "category", "label"], "d")


def test_columns_that_are_both_missing_are_named_in_one_message():
    with pytest.raises(DataError, match="d has no column 'txt' and no column 'lbl'; it has 'a', 'b'"):
        find_labelled_columns(["a", "b"], "d", "txt", "lbl")
    with pytest.raises(DataError, match=r"pass text_column, and label_column, as none has a usual name of a label"):
        find_labelled_columns(["a", "b"], "d")


def test_a_single_column_is_the_text():
    find = find_text_column
    assert find(["whatever"], "d") == "whatever"
    assert find(["id", "sentence"], "d") == "sentence"
    assert find(["id", "sentence"], "d", "id") == "id"
    with pytest.raises(DataError, match="d has no column 'text'; it has 'a'"):
        find(["a"], "d", "text")
    with pytest.raises(DataError, match=r"which column is the text\? the columns are 'a', 'b'; pass text_column"):
        find(["a", "b"], "d")


def test_columns_of_a_data_set():
    def find(kinds):
        return find_labelled_columns(list(kinds), "the data set", kinds=kinds)

    assert find({"label": "text", "t": "text"}) == ("t", "label")
    assert find({"t": "text", "y": "integer"}) == ("t", "y")
    assert find({"topic": "text", "label": "text"}) == ("topic", "label")
    assert find({"target": "text", "y": "class"}) == ("target", "y")
    assert find({"text": "integer", "sentence": "text"}) == ("sentence", "text")
    for found in (["t"], ["t", "u"], ["t", "u", "label"], ["t", "label", "labels"], ["label"]):
        kinds = {name: "integer" if name.startswith("label") else "text" for name in found}
        expected = "which column is the label" if found[-1] == "labels" else "one column of texts and one of labels"
        with pytest.raises(DataError, match=expected) as caught:
            find(kinds)
        assert all(repr(name) in str(caught.value) for name in found)


def test_columns_of_triplets_in_a_data_set():
    def find(kinds):
        return find_triplet_columns(list(kinds), "the data set", kinds)

    assert find(dict.fromkeys(["negative", "anchor", "positive"], "text")) == ("anchor", "positive", "negative")
    assert find(dict.fromkeys("abc", "text")) == ("a", "b", "c")
    with pytest.raises(DataError, match=r"TripletLoss needs three columns of text.*'a' \(text\), 'b' \(integer\)"):
        find({"a": "text", "b": "integer"})


def test_columns_of_triplets_in_a_file_need_their_names():
    find = find_triplet_columns
    assert find(["id", "negative", "anchor", "positive"], "d") == ("anchor", "positive", "negative")
    with pytest.raises(DataError, match="missing: 'positive', 'negative'; the columns are 'anchor', 'b', 'c'"):
        find(["anchor", "b", "c"], "d")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["negative", "query", "positive"], ["query", "positive", "negative"]),
        (["positive", "anchor", "neg"], ["anchor", "positive", "neg"]),
        (["hard_negative", "Question", "posText"], ["Question", "posText", "hard_negative"]),
        (["sentence3", "sentence1", "sentence2"], ["sentence1", "sentence2", "sentence3"]),
        (["sentence_1", "sentence_2", "sentence_3"], ["sentence_1", "sentence_2", "sentence_3"]),
        (["a", "b", "c"], ["a", "b", "c"]),
        (["query", "answer", "negative"], ["query", "answer", "negative"]),
        (["text", "paraphrase", "contradiction"], ["text", "paraphrase", "contradiction"]),
    ],
)
def test_names_of_triplet_columns_decide_where_they_state_a_role(columns, expected):
    assert list(find_triplet_columns(columns, "data", dict.fromkeys(columns, "text"))) == expected


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            ["positive", "a", "b"],
            "column 'positive' is number 1 of .*, the place of the anchor, but its name is",
        ),
        (["a", "negative", "b"], "column 'negative' is number 2 of .*, the place of the positive"),
        (["query", "question", "negative"], "column 'question' is number 2"),
        (
            ["answer", "query", "negative"],
            "column 'query' is number 2 .*; rename the columns to 'anchor', 'pos",
        ),
    ],
)
def test_a_name_that_contradicts_its_position_raises_an_error(columns, message):
    with pytest.raises(DataError, match=message):
        find_triplet_columns(columns, "data", dict.fromkeys(columns, "text"))


@pytest.mark.parametrize("kinds", [{"category": "text", "text": "integer"}, {"intent": "text", "category": "class"}])
def test_text_and_label_that_may_be_swapped_raise_an_error(kinds):
    with pytest.raises(DataError, match="which of the columns .* is the text, and which is the label"):
        find_labelled_columns(list(kinds), "data", kinds=kinds)


def test_a_field_within_a_column_is_no_column():
    with pytest.raises(DataError, match="no column 'ticket.body'; a field within the column 'ticket' has no name"):
        check_columns(["ticket.body"], ["id", "ticket"], "data")
