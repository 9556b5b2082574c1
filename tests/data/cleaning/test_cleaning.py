"""Labels that are not what they seem are refused with counts and examples, or handled as an option says."""

import json

import numpy as np
import pytest
from datasets import Dataset

from tercet._events import WarningKind, collect_warnings
from tercet.data.loading.labelled import load_labelled
from tercet.data.loading.training_data import load_training_data
from tercet.data.loading.triplets import load_triplets
from tercet.data.reading.options import ReadOptions
from tercet.data.tables.cells import values_and_gaps
from tercet.errors import DataError


@pytest.fixture
def csv(tmp_path):
    def write(*labels, name="d.csv"):
        path = tmp_path / name
        path.write_text("text,label\n" + "".join(f'text {row},"{label}"\n' for row, label in enumerate(labels)))
        return str(path)

    return write


def _dataset(*labels):
    return Dataset.from_dict({"text": [f"text {row}" for row in range(len(labels))], "label": list(labels)})


def test_white_space_and_composition_never_make_a_label(csv):
    for data in (
        csv("login", " login", "login ", "é", "e\u0301"),
        _dataset("login", " login", "login\t", "é", "e\u0301"),
    ):
        with collect_warnings() as warnings:
            assert load_labelled(data).labels() == ["login", "login", "login", "é", "é"]
        (warning,) = warnings
        assert warning.kind == WarningKind.CHANGED_DATA
        assert "labels that have changed: 3, such as " in warning.message


@pytest.mark.parametrize(
    ("labels", "merged"),
    [
        (["Billing", "billing", "billing", "x"], ["billing"] * 3 + ["x"]),
        (["log in", "log  in", "login", "log in"], ["log in"] * 4),
        (["bug", "bug", "bug\u200b", "ｂｕｇ", "b\u00adug"], ["bug"] * 5),
        (["1", "1", "01", "1.0", "2"], ["1"] * 4 + ["2"]),
        (["1.0", "1.0", "1", "2.0"], ["1.0"] * 3 + ["2.0"]),
        (["log_in", "log_in", "log-in", "log in.", "1-2", "12", "-1"], ["log_in"] * 4 + ["1-2", "12", "-1"]),
    ],
)
def test_labels_that_differ_in_form_are_refused_merged_or_kept(labels, merged, csv):
    for data in (csv(*labels), _dataset(*labels)):
        with pytest.raises(DataError, match=r"1 label is written in several forms.* rows?\) and .*_labels='merge'"):
            load_labelled(data)
        with collect_warnings() as warnings:
            assert load_labelled(data, ReadOptions(similar_labels="merge")).labels() == merged
        assert [warning.kind for warning in warnings] == [WarningKind.CHANGED_DATA]
        assert load_labelled(data, ReadOptions(similar_labels="keep")).labels() == labels
        assert load_labelled(data, incomplete=True).labels() == labels


@pytest.mark.parametrize(
    ("labels", "first", "dropped"),
    [
        (["0", "18", "0,18", "4", "18, 4"], ["0", "18", "0", "4", "18"], ["0", "18", "4"]),
        (["a|b", "b", "a"], ["a", "b", "a"], ["b", "a"]),
        (["a; b", "b;c", "c;a", "d"], ["a", "b", "c", "d"], ["d"]),
        (["['a', 'b']", "['b']", "['a']"], ["a", "b", "a"], ["b", "a"]),
        (['["a","b"]', '["b"]'], ["a", "b"], ["b"]),
        (["[a, b]", "[b]", "[a]"], ["a", "b", "a"], ["b", "a"]),
        (["[Label(name='bug'), Label(name='ui')]", "[Label(name='ui')]"], ["bug", "ui"], ["ui"]),
        (["a\nb", "b", "a"], ["a", "b", "a"], ["b", "a"]),
        (["ui/db", "db", "ui"], ["ui", "db", "ui"], ["db", "ui"]),
        (["R & D", "D", "R"], ["R", "D", "R"], ["D", "R"]),
        (["sport, news, rare", "sport", "news"], ["sport", "sport", "news"], ["sport", "news"]),
    ],
)  # fmt: skip
def test_several_labels_in_a_cell_are_refused_or_split(labels, first, dropped):
    data = _dataset(*labels)
    with pytest.raises(DataError, match=r"of \d rows (has|have) several labels in one cell.*such as .*_labels='first'"):
        load_labelled(data)
    assert load_labelled(data, ReadOptions(combined_labels="first")).labels() == first
    with collect_warnings() as warnings:
        left = load_labelled(data, ReadOptions(combined_labels="drop"))
    assert left.labels() == dropped
    assert all("several labels in one cell" in warning.message for warning in warnings)
    assert load_labelled(data, ReadOptions(combined_labels="keep")).labels() == labels
    assert load_labelled(data, incomplete=True).labels() == labels


def test_rows_stay_with_their_labels_if_others_are_left_out():
    data = load_labelled(_dataset("a|b", "b", "a", "a|b", "b"), ReadOptions(combined_labels="drop"))
    assert list(zip(data.sentences, data.labels(), strict=True)) == [("text 1", "b"), ("text 2", "a"), ("text 4", "b")]


def test_lists_as_cells(tmp_path):
    path = tmp_path / "d.jsonl"
    rows = [["a", "b"], ["b"], "a", ["b", "c"]]
    path.write_text("".join(json.dumps({"text": str(row), "label": label}) + "\n" for row, label in enumerate(rows)))
    with pytest.raises(DataError, match="2 of 4 rows have several labels in one cell, such as 'a, b', 'b, c'"):
        load_labelled(path)
    assert load_labelled(path, ReadOptions(combined_labels="first")).labels() == ["a", "b", "a", "b"]
    assert load_labelled(path, ReadOptions(combined_labels="drop")).labels() == ["b", "a"]
    assert load_labelled(path, ReadOptions(combined_labels="keep")).labels() == ["a, b", "b", "a", "b, c"]
    assert load_labelled(_dataset([1], [2], [1])).labels() == ["1", "2", "1"]


@pytest.mark.parametrize(
    "labels",
    [
        ["Portland, OR", "Portland, ME", "Salem, OR", "Salem, MA"],
        ["New York, NY", "Albany, NY", "New York"],
        ["a|b", "c|d"],
        ["1,000", "2,000", "1", "2"],
        ["[URGENT]", "[OPEN]", "CLOSED"],
        ["Sports, outdoor", "Games", "Sports"],
        ["C", "C++", "C#"],
        ["no", "none", "nan", "NaN2"],
        ["(noun)", "(verb)"],
        ["TCP/IP", "TCP", "UDP"],
        ["src/tests", "tests/unit", "src/unit"],
    ],
)  # fmt: skip
def test_names_with_commas_and_brackets_are_labels(labels):
    assert load_labelled(_dataset(*labels)).labels() == labels


@pytest.mark.parametrize("name", ["nan", "NaN", "N/A", "NULL", "None", "-", "?"])
def test_a_label_that_often_stands_for_a_missing_one_is_a_warning(name):
    with collect_warnings() as warnings:
        assert load_labelled(_dataset("a", name, "a", name)).labels() == ["a", name, "a", name]
    (warning,) = warnings
    assert warning.kind == WarningKind.DOUBTFUL_DATA
    assert f"2 of 4 rows have the label {name!r}" in warning.message


def test_incomplete_rows_are_counted_at_once_or_left_out(csv):
    path = csv("a", "", "b", " ", "[]", "a", "\u200b")
    with pytest.raises(DataError, match=r"4 of 7 rows have no label \(lines 3, 5, 6, 8\).*or pass drop_missing=True"):
        load_labelled(path, ReadOptions(drop_missing=False))
    with collect_warnings() as warnings:
        data = load_labelled(path)
    assert (data.sentences, data.labels()) == (["text 0", "text 2", "text 5"], ["a", "b", "a"])
    assert "4 of 7 rows have no label (lines 3, 5, 6, 8); rows left out: 4" in warnings[0].message
    assert load_labelled(path, incomplete=True).labels() == ["a", "", "b", "", "", "a", ""]
    assert len(load_labelled(path, ReadOptions(drop_missing=True), incomplete=True)) == 3
    with pytest.raises(DataError, match="no row remains"):
        load_labelled(csv("", ""))


def test_columns_of_numbers():
    nan = float("nan")
    assert load_labelled(_dataset(1.0, 2.0, 1.0)).labels() == ["1", "2", "1"]
    assert load_labelled(_dataset(1.0, nan, 2.0)).labels() == ["1", "2"]
    assert load_labelled(_dataset(1.0, nan, 2.0), incomplete=True).labels() == ["1", "", "2"]
    assert load_labelled(_dataset(True, False)).labels() == ["True", "False"]
    assert load_labelled(_dataset(2**62, -(2**62))).labels() == [str(2**62), str(-(2**62))]
    with pytest.raises(DataError, match=r"row 1: the label is 0.5 \(float\)"):
        load_labelled(_dataset(1.0, 0.5))
    with pytest.raises(DataError, match="1 of 2 rows has no label"):
        load_labelled(_dataset(np.float32(1), nan), ReadOptions(drop_missing=False))


@pytest.mark.parametrize("missing", [None, "", " ", float("nan")])
def test_an_empty_item_in_a_list_of_labels_is_counted(missing, tmp_path):
    lists = [["a", missing], ["a", "b"], ["b"], ["b", missing, "a"], [missing], [], ["a"], ["b"]]
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps({"text": f"text {n}", "label": one}) + "\n" for n, one in enumerate(lists)))
    with collect_warnings() as warnings:
        rows = load_labelled(str(path), ReadOptions(multi_label=";"))
    assert rows.labels() == ["a", "a;b", "b", "a;b", "a", "b"]
    assert [warning.kind for warning in warnings] == [WarningKind.CHANGED_DATA] * 2
    assert "d.jsonl: 2 of 8 rows have an empty item in a list of labels (lines 1, 4); such items" in warnings[0].message
    assert "2 of 8 rows have no label (lines 5, 6)" in warnings[1].message


def test_an_empty_item_in_the_text_of_a_list_is_no_label(csv):
    data = csv('[""a"", null]', "['a', 'b']", "[null]", "b")
    with collect_warnings() as warnings:
        assert load_labelled(data, ReadOptions(multi_label=";")).labels() == ["a", "a;b", "b"]
    assert "d.csv: 1 of 4 rows has an empty item in a list of labels (line 2); such" in warnings[0].message


@pytest.mark.parametrize("keep", [None, "keep"])
@pytest.mark.parametrize("text", ["['b', None]", '["b", ""]', "('b', None)", "{'b', None}", '["b", null, "b"]'])
def test_the_text_of_a_list_of_a_label_and_an_empty_item_is_this_label(text, keep, csv):
    data = csv(text.replace('"', '""'), "b", "a", "['a']")
    with collect_warnings() as warnings:
        assert load_labelled(data, ReadOptions(combined_labels=keep)).labels() == ["b", "b", "a", "a"]
    assert ["1 of 4 rows has an empty item in a list of labels (line 2)" in one.message for one in warnings] == [True]


@pytest.mark.parametrize(
    ("gap", "whole"),
    [
        ("['é', None, 'a']", "['é', 'a']"),
        ('["é", null, "a"]', '["é", "a"]'),
        ("('é', 'a', None)", "('é', 'a')"),
        ("[1, None, 2]", "[1, 2]"),
    ],
)
def test_the_text_of_a_list_without_its_empty_items_is_that_of_a_whole_list(gap, whole, csv):
    data = csv(gap.replace('"', '""'), whole.replace('"', '""'), "c", "c")
    assert load_labelled(data, ReadOptions(combined_labels="keep")).labels() == [whole, whole, "c", "c"]
    with pytest.raises(DataError, match="2 of 4 rows have several labels in one cell"):
        load_labelled(data)


def test_no_item_of_a_list_of_dictionaries_is_left_out():
    values = [[{"name": "a"}, None], "b"]
    assert values_and_gaps(values) == (values, [])


def test_evaluation_labels_take_the_form_of_the_training_labels(csv):
    train, test = csv(*["Billing", "login"] * 4), csv("billing", "Login", "new", name="test.csv")
    load = {"triplets": False, "seed": 0}
    with pytest.raises(DataError, match="test.csv: 2 rows have a label that is written in another way than in t"):
        load_training_data(train, test, 0.2, ReadOptions(), **load)
    merged = load_training_data(train, test, 0.2, ReadOptions(similar_labels="merge"), **load).evaluation
    names = merged.features["label"].names
    assert [names[label] for label in merged["label"]] == ["Billing", "login", "new"]
    kept = load_training_data(train, test, 0.2, ReadOptions(similar_labels="keep"), **load).evaluation
    assert "billing" in kept.features["label"].names


def test_incomplete_triplets_can_be_left_out():
    rows = {"anchor": ["a", "b", "c"], "positive": ["a", None, "c"], "negative": ["x", "y", " "]}
    data = Dataset.from_dict(rows)
    with pytest.raises(DataError, match="positive, row 1"):
        load_triplets(data, ReadOptions(drop_missing=False))
    assert load_triplets(data).to_list() == [{"anchor": "a", "positive": "a", "negative": "x"}]
    with pytest.raises(DataError, match="triplets have no labels"):
        load_triplets(data, ReadOptions(similar_labels="merge"))


def test_options_have_a_few_values():
    with pytest.raises(DataError, match="combined_labels must be one of 'keep', 'first', 'drop', got 'all'"):
        ReadOptions(combined_labels="all")
