"""Files become data sets whose labels have ids and names; texts and labels that cannot be used are named."""

import functools
import json

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, load_from_disk

from tercet.data.labels.numbering import labels_of
from tercet.data.loading.labelled import as_dataset, load_labelled
from tercet.data.loading.training_data import load_training_data
from tercet.data.loading.triplets import load_triplets
from tercet.data.reading.options import ReadOptions
from tercet.errors import DataError


def _json_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_ids_and_names_are_those_of_the_sorted_labels(tmp_path):
    (tmp_path / "d.csv").write_text("text,label\na,sport\nb,food\nc,sport\nd,Zoo\n")
    data = load_labelled(str(tmp_path / "d.csv"))
    assert (data.label_ids.tolist(), data.label_names) == ([2, 1, 2, 0], ["Zoo", "food", "sport"])
    rows = [{"text": text, "label": label} for text, label in zip("abcd", [10, 9, 10, -1], strict=True)]
    data = load_labelled(_json_lines(tmp_path / "d.jsonl", rows))
    assert (data.label_ids.tolist(), data.label_names) == ([2, 1, 2, 0], ["-1", "9", "10"])


def test_a_data_set_keeps_ids_and_names_on_disk_and_for_the_trainer(tmp_path):
    (tmp_path / "d.csv").write_text("text,label\na,sport\nb,food\nc,sport\n")
    dataset = as_dataset(load_labelled(str(tmp_path / "d.csv")))
    dataset.save_to_disk(tmp_path / "saved")
    for each in (dataset, load_from_disk(tmp_path / "saved")):
        assert each.column_names == ["sentence", "label"]
        assert each.features["label"] == ClassLabel(names=["food", "sport"])
        label_ids, names = labels_of(each, "label", "data")
        assert (label_ids.tolist(), names) == ([1, 0, 1], ["food", "sport"])


def test_both_parts_of_held_out_data_have_all_names(tmp_path):
    rows = [{"text": str(row), "label": "abc"[row % 3]} for row in range(30)]
    path = _json_lines(tmp_path / "d.jsonl", rows)
    found = load_training_data(path, None, 0.2, ReadOptions(), triplets=False, seed=0)
    train, held_out, rows = found.train, found.evaluation, found.held_out_rows
    assert [int(text) for text in held_out["sentence"]] == rows
    assert train.features["label"].names == held_out.features["label"].names == ["a", "b", "c"]
    assert np.bincount(held_out["label"][:]).tolist() == [2, 2, 2]
    for row in (*train, *held_out):
        assert "abc"[int(row["sentence"]) % 3] == "abc"[row["label"]]


def test_missing_and_blank_texts_can_be_allowed(tmp_path):
    texts = [None, "", " \t", "-", " a "]
    path = _json_lines(tmp_path / "d.jsonl", [{"text": text, "label": "x"} for text in texts])
    assert load_labelled(path, incomplete=True).sentences == ["", "", "", "-", " a "]
    with pytest.raises(DataError, match=r"3 of 5 rows have no text \(lines 1, 2, 3\); fill them in, or pass"):
        load_labelled(path, ReadOptions(drop_missing=False))
    path = _json_lines(tmp_path / "d.jsonl", [{"text": None, "label": "x"}, {"text": 3, "label": "x"}])
    with pytest.raises(DataError, match=r"line 2: the text is 3 \(int\), not a string"):
        load_labelled(path, incomplete=True)


def test_triplets_need_their_columns_and_texts(tmp_path):
    rows = [{"anchor": f"a{row}", "positive": "b", "negative": str(row)} for row in range(10)]
    path = _json_lines(tmp_path / "d.jsonl", rows)
    load = functools.partial(load_training_data, eval_data=None, options=ReadOptions(), triplets=True, seed=0)
    found = load(path, eval_fraction=0.2)
    train, held_out, rows_held_out = found.train, found.evaluation, found.held_out_rows
    assert held_out["anchor"][:] == [rows[row]["anchor"] for row in rows_held_out]
    assert (len(train), len(held_out)) == (8, 2)
    assert train.column_names == ["anchor", "positive", "negative"]
    with pytest.raises(DataError, match="pass no text_column and no label_column"):
        load_triplets(path, ReadOptions(text_column="anchor"))
    with pytest.raises(DataError, match="too few to hold out 90%; pass eval_fraction=0"):
        load(_json_lines(tmp_path / "one.jsonl", rows[:1]), eval_fraction=0.9)
    rows[3]["negative"] = ""
    with pytest.raises(DataError, match="negative, line 4: the text is empty"):
        load_triplets(_json_lines(tmp_path / "d.jsonl", rows), ReadOptions(drop_missing=False))


def test_a_file_and_the_same_data_in_memory_give_the_same_split(tmp_path):
    rows = [{"text": str(row), "label": "abc"[row % 3]} for row in range(30)]
    labelled = load_training_data(
        _json_lines(tmp_path / "d.jsonl", rows), None, 0.2, ReadOptions(), triplets=False, seed=1
    )
    in_memory = load_training_data(Dataset.from_list(rows), None, 0.2, ReadOptions(), triplets=False, seed=1)
    assert labelled.train.to_list() == in_memory.train.to_list()
    assert labelled.evaluation.to_list() == in_memory.evaluation.to_list()
    rows = [{"anchor": f"a{row}", "positive": f"b{row}", "negative": f"c{row}"} for row in range(10)]
    triplets = load_training_data(
        _json_lines(tmp_path / "t.jsonl", rows), None, 0.3, ReadOptions(), triplets=True, seed=1
    )
    in_memory = load_training_data(Dataset.from_list(rows), None, 0.3, ReadOptions(), triplets=True, seed=1)
    assert triplets.train.to_list() == in_memory.train.to_list()
    assert triplets.evaluation.to_list() == in_memory.evaluation.to_list()
    with pytest.raises(DataError, match="too few to hold out 99%; pass eval_fraction=0"):
        load_training_data(Dataset.from_list(rows), None, 0.99, ReadOptions(), triplets=True, seed=1)


@pytest.mark.parametrize("data", [3, {"a", "b"}])
def test_data_of_another_type_are_refused(data):
    with pytest.raises(DataError, match="are not supported; pass a file"):
        load_labelled(data)


def test_copies_are_counted_when_rows_are_held_out(tmp_path, caplog):
    rows = [{"text": f"{'X' if row % 2 else 'x'}{row // 2}", "label": "ab"[row // 2 % 2]} for row in range(40)]
    with caplog.at_level("INFO", logger="tercet"):
        load_training_data(_json_lines(tmp_path / "d.jsonl", rows), None, 0.2, ReadOptions(), triplets=False, seed=0)
    assert "held out 8 of 40 sentences for evaluation (eval_fraction=0.2)" in caplog.text
    assert "40 sentences have only 20 different texts, of which 4 are held out with all their copies" in caplog.text


def test_swapped_columns_are_warned_of(tmp_path, caplog):
    def write(rows):
        (tmp_path / "d.csv").write_text("".join(f"{a},{b}\n" for a, b in [("text", "label"), *rows]))
        caplog.clear()
        load_labelled(str(tmp_path / "d.csv"))
        return "are the two columns swapped?" in caplog.text

    swapped = [(f"topic {i % 3}", f"sentence {i % 20}") for i in range(30)]
    assert write(swapped)
    assert not write([(b, a) for a, b in swapped])
    assert not write([(f"sentence {i}", f"topic {i % 3}") for i in range(30)])
    assert write(swapped[:10])
    assert not write(swapped[:9])
