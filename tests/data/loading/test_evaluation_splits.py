"""A split beside the training data is evaluated on if it has labels; else rows of the training split are held out."""

import csv
import json
from dataclasses import replace

import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from tercet._events import collect_warnings
from tercet.data.loading.training_data import load_training_data
from tercet.data.reading.options import ReadOptions

_TRAIN = [{"text": f"text {row}", "label": "ab"[row % 2], "part": "train"} for row in range(20)]
_TEST = [{"text": f"other {row}", "label": "ab"[row % 2], "part": "test"} for row in range(6)]
_NO_VALUES = "is not evaluated on the split 'test', which has no values in the column 'label'"


def _csv(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, dict.fromkeys(name for row in rows for name in row))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _with(label):
    return [{**row, "label": label} for row in _TEST]


def _load(data, options=None, **more):
    return load_training_data(data, None, 0.2, options or ReadOptions(), triplets=False, seed=0, **more)


def _assert_rows_are_held_out(found, rows=20):
    assert (len(found.train) + len(found.evaluation), found.eval_split) == (rows, None)
    assert len(found.held_out_rows) == len(found.evaluation) > 0


@pytest.mark.parametrize("label", ["", "  ", "\u200b", "[]"])
@pytest.mark.parametrize("form", ["folder", "json", "dictionary", "column"])
def test_blank_labels_are_no_labels(form, label, tmp_path, caplog):
    caplog.set_level("INFO", logger="tercet")
    test, options, data = _with(label), ReadOptions(), tmp_path
    if form == "folder":
        _csv(tmp_path / "train.csv", _TRAIN)
        _csv(tmp_path / "test.csv", test)
    elif form == "json":
        data = tmp_path / "d.json"
        data.write_text(json.dumps({"train": _TRAIN, "test": test}))
    elif form == "dictionary":
        data = {"train": pd.DataFrame(_TRAIN), "test": pd.DataFrame(test)}
    else:
        data, options = _csv(tmp_path / "d.csv", [*_TRAIN, *test]), ReadOptions(split_column="part")
    _assert_rows_are_held_out(_load(data, options))
    assert _NO_VALUES in caplog.text


@pytest.mark.parametrize("label", [-1, "-1", "?", "N/A"])
def test_a_label_that_stands_for_a_missing_one_in_all_rows_is_no_label(label, tmp_path, caplog):
    caplog.set_level("INFO", logger="tercet")
    _csv(tmp_path / "train.csv", _TRAIN)
    _csv(tmp_path / "test.csv", _with(label))
    _assert_rows_are_held_out(_load(tmp_path))
    assert f"has only '{label}' in the column 'label', a placeholder for a missing label" in caplog.text
    # It is a label if the training rows have it, too, or if other rows of the split have another one.
    _csv(tmp_path / "train.csv", [*_TRAIN, {**_TRAIN[0], "text": "x", "label": label}, {**_TRAIN[0], "label": label}])
    assert _load(tmp_path).eval_split == "test"
    _csv(tmp_path / "train.csv", _TRAIN)
    _csv(tmp_path / "test.csv", [*_TEST, *_with(label)])
    assert _load(tmp_path).eval_split == "test"


def test_empty_items_are_a_warning_for_each_split(tmp_path):
    lists = [["a", None], ["b"], ["a", "b"], ["b"]] * 3
    splits = {
        name: [{"text": f"{name} {row}", "label": labels} for row, labels in enumerate(lists[:rows])]
        for name, rows in (("train", 12), ("test", 4))
    }
    (tmp_path / "d.json").write_text(json.dumps(splits))
    tables = DatasetDict({name: Dataset.from_list(rows) for name, rows in splits.items()})
    for data, source in ((tmp_path / "d.json", f"{tmp_path}/d.json"), (tables, "data")):
        with collect_warnings() as warnings:
            _load(data, ReadOptions(multi_label=";"))
        expected = [
            f"{source}, split 'train': 3 of 12 rows have an empty item in a list of labels (rows 0, 4, 8)",
            f"{source}, split 'test': 1 of 4 rows has an empty item in a list of labels (row 0)",
        ]
        assert [warning.message.split(";")[0] for warning in warnings] == expected


def test_the_splits_of_the_hub_with_unpublished_labels(tmp_path, caplog):
    caplog.set_level("INFO", logger="tercet")
    features = Features({"sentence": Value("string"), "label": ClassLabel(names=["a", "b"])})
    train = {"sentence": [row["text"] for row in _TRAIN], "label": [row["label"] for row in _TRAIN]}
    test = {"sentence": [row["text"] for row in _TEST], "label": [-1] * len(_TEST)}
    splits = DatasetDict(train=Dataset.from_dict(train, features), test=Dataset.from_dict(test, features))
    _assert_rows_are_held_out(_load(splits))
    assert _NO_VALUES in caplog.text
    splits.save_to_disk(tmp_path / "saved")
    _assert_rows_are_held_out(_load(tmp_path / "saved"))


def test_a_dictionary_of_tables_is_read_as_a_folder_of_files(caplog):
    caplog.set_level("INFO", logger="tercet")
    train, test = pd.DataFrame(_TRAIN), pd.DataFrame(_TEST)
    found = _load({"train": train, "test": test, "more": test})
    assert (len(found.train), len(found.evaluation), found.held_out_rows, found.eval_split) == (20, 6, None, "test")
    assert "data: trains on the split 'train' and evaluates on the split 'test'; not used: 'more'" in caplog.text
    # The column of labels may have another usual name.
    renamed = test.rename(columns={"text": "sentence", "label": "category"})
    assert _load({"train": train, "dev": renamed}).evaluation["label"][:] == [0, 1] * 3
    _assert_rows_are_held_out(_load({"train": train, "test": test.drop(columns="label")}))
    assert _NO_VALUES in caplog.text
    unused = load_training_data({"train": train, "test": test}, None, 0.0, ReadOptions(), triplets=False, seed=0)
    assert (len(unused.train), unused.evaluation) == (20, None)


@pytest.mark.parametrize("in_column", [False, True])
def test_one_rule_for_nested_and_for_several_labels(in_column, tmp_path, caplog):
    caplog.set_level("INFO", logger="tercet")
    levels = ReadOptions(label_column=["area", "intent"])

    def rows(table, area, intent):
        return [{"text": row["text"], "area": area or row["label"], "intent": intent} for row in table]

    def load(test):
        if not in_column:
            return _load({"train": pd.DataFrame(rows(_TRAIN, "", "x")), "test": pd.DataFrame(test)}, levels)
        parts = [{**row, "part": "train"} for row in rows(_TRAIN, "", "x")], [{**row, "part": "test"} for row in test]
        return _load(pd.DataFrame([*parts[0], *parts[1]]), replace(levels, split_column="part"))

    assert load(rows(_TEST, "", "x")).eval_split == "test"
    _assert_rows_are_held_out(load(rows(_TEST, "a", " ")))
    _assert_rows_are_held_out(load([{"text": row["text"], "area": "a"} for row in _TEST]))
    assert caplog.text.count("which has no values in the column 'intent'") == 2
    _assert_rows_are_held_out(load([{**row, "text": " "} for row in rows(_TEST, "", "x")]))
    assert "which has no text in the column 'text'" in caplog.text
    _assert_rows_are_held_out(load(rows(_TEST, " ", "x")))
    assert "which has no values in the column 'area'" in caplog.text
    for separator, label in ((";", " ; "), (None, [])):
        labels = [[row["label"], row["label"].upper() + "x"] for row in _TRAIN]
        train = [
            {**row, "label": names if separator is None else ";".join(names)}
            for row, names in zip(_TRAIN, labels, strict=True)
        ]
        path = tmp_path / "d.json"
        path.write_text(json.dumps({"train": train, "test": _with(label)}))
        _assert_rows_are_held_out(_load(path, ReadOptions(multi_label=separator), several_labels=True))


def test_triplets_need_three_texts(tmp_path, caplog):
    caplog.set_level("INFO", logger="tercet")
    train = [{"anchor": f"a {row}", "positive": f"p {row}", "negative": f"n {row}"} for row in range(20)]

    def load(test):
        _csv(tmp_path / "train.csv", train)
        _csv(tmp_path / "test.csv", test)
        return load_training_data(tmp_path, None, 0.2, ReadOptions(), triplets=True, seed=0)

    test = [{name: f"other {text}" for name, text in row.items()} for row in train[:4]]
    assert (load(test).eval_split, len(load(test).evaluation)) == ("test", 4)
    _assert_rows_are_held_out(load([{**row, "positive": " "} for row in test]))
    assert "is not evaluated on the split 'test', which has no row with three texts" in caplog.text
    _assert_rows_are_held_out(load([{"anchor": row["anchor"], "note": "x"} for row in test]))
    assert "which has no column 'positive', 'negative'" in caplog.text


def test_labels_without_an_evaluation_sentence_are_named(caplog):
    """Else a macro-F1 over 2 of 4 labels looks like one of all labels."""
    rows = [
        (f"{label} {number}", label)
        for label, count in (("a", 20), ("b", 20), ("c", 3), ("d", 2))
        for number in range(count)
    ]
    load_training_data(rows, None, 0.2, ReadOptions(), triplets=False, seed=0)
    start = "2 of 4 labels have no evaluation sentence, so the metrics do not measure them: 'c', 'd'"
    assert (
        f"{start} (they have fewer than four different sentences, or too few for eval_fraction=0.2)" in caplog.messages
    )
    caplog.clear()
    load_training_data(rows, [("a x", "a"), ("c x", "c"), ("d x", "d")], 0.2, ReadOptions(), triplets=False, seed=0)
    assert "1 of 4 labels have no evaluation sentence, so the metrics do not measure them: 'b'" in caplog.messages
    caplog.clear()
    load_training_data(rows[:40], None, 0.2, ReadOptions(), triplets=False, seed=0)
    assert not caplog.messages
