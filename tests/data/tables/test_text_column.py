"""Large columns are in a file: every operation gives what it gives for a list."""

import json
import pickle
from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset
from pyarrow import parquet

from tercet._texts import text_key
from tercet.data.cleaning.copies import copy_groups
from tercet.data.loading.labelled import load_labelled
from tercet.data.loading.triplets import load_triplets
from tercet.data.reading.options import ReadOptions
from tercet.data.reading.selection import read_data
from tercet.data.reading.sources import read_table
from tercet.data.tables import text_column
from tercet.data.tables.dataset_columns import add_labels, dataset_of, integers_of, select_rows, texts_of
from tercet.data.tables.text_column import ColumnBuilder, TextColumn
from tercet.data.tables.text_hashes import hashes_of
from tercet.errors import DataError

TEXTS = [f"Text  {number % 7}" + "é" * (number % 3) for number in range(25)] + [None, "text 1"]


@pytest.fixture(params=["memory", "file"])
def storage(request, monkeypatch):
    monkeypatch.setattr(text_column, "PART", 4)
    if request.param == "file":
        monkeypatch.setattr(text_column, "_MAX_BYTES", 0)
    return request.param


def test_a_column_is_used_like_a_list(storage):
    column = TextColumn.of(TEXTS)
    assert (column.file is not None) == (storage == "file")
    assert column == TEXTS
    assert (len(column), column[-1], column[3:20:5], column[::-1]) == (27, "text 1", TEXTS[3:20:5], TEXTS[::-1])
    with pytest.raises(IndexError):
        column[27]
    rows = [20, 3, 3, 26, 0, 11, 25]
    column.hashes  # noqa: B018  # `take` passes them on.
    taken = column.take(rows)
    assert taken == [TEXTS[row] for row in rows]
    assert taken.take([6, 0]) == [None, TEXTS[20]]
    assert taken.hashes.tolist() == hashes_of([TEXTS[row] or "" for row in rows]).tolist()
    assert pickle.loads(pickle.dumps(taken)) == list(taken)


def test_copies_have_one_number_in_the_order_of_the_first(storage):
    texts = [text or "" for text in TEXTS]
    numbers: dict[str, int] = {}
    expected = [numbers.setdefault(text_key(text), len(numbers)) for text in texts]
    assert copy_groups(TextColumn.of(texts)).tolist() == copy_groups(texts).tolist() == expected


def test_other_values_make_the_column_a_list(storage):
    for other in (3, "\ud800", ["a"]):
        builder = ColumnBuilder()
        builder.extend(TEXTS)
        builder.extend([other, "b"])
        assert builder.column() == [*TEXTS, other, "b"]


def test_a_data_set_shares_the_texts_and_keeps_the_rows(storage):
    column, rows = TextColumn.of(TEXTS[:25]), np.array([24, 2, 7])
    labels = ClassLabel(names=["x", "y"])
    dataset = add_labels(dataset_of({"sentence": column.take(rows)}), np.array([1, 0, 1]), labels)
    assert dataset[:] == {"sentence": [TEXTS[row] for row in rows], "label": [1, 0, 1]}
    assert dataset.features["label"] == labels
    assert bool(dataset.cache_files) == (storage == "file")
    assert integers_of(dataset, "label").tolist() == [1, 0, 1]
    selected = select_rows(dataset, np.array([2, 0]))
    assert selected[:] == {"sentence": [TEXTS[7], TEXTS[24]], "label": [1, 1]}
    assert texts_of(selected, "sentence") == [TEXTS[7], TEXTS[24]]
    # Worker processes that are not forked get the data set by pickle.
    assert pickle.loads(pickle.dumps(selected))[:] == selected[:]
    # A row that is taken twice may have two labels.
    twice = dataset_of({"sentence": TextColumn.of(TEXTS).take([24, 2, 24])})
    assert add_labels(twice, np.array([1, 0, 0]), labels)[:] == {
        "sentence": [TEXTS[24], TEXTS[2], TEXTS[24]], "label": [1, 0, 0],
    }  # fmt: skip
    shuffled = Dataset.from_dict({"a": list("abcdef")}).shuffle(seed=0)
    assert texts_of(shuffled, "a") == shuffled["a"][:]


def test_files_in_parts_are_read_as_before(storage, tmp_path):
    (tmp_path / "d.csv").write_text("text,label\n" + "".join(f"text {n},{'xy'[n % 2]}\n" for n in range(30)) + ",x\n")
    data = load_labelled(tmp_path / "d.csv")
    assert (data.sentences, data.rows.tolist()) == ([f"text {n}" for n in range(30)], list(range(30)))
    rows = [f'{{"anchor": "a {n}", "positive": "b {n}", "negative": {"null" if n == 5 else n}}}\n' for n in range(20)]
    (tmp_path / "d.jsonl").write_text("".join(rows))
    with pytest.raises(DataError, match=r"negative, line 1: the text is 0 \(int\), not a string"):
        load_triplets(tmp_path / "d.jsonl")
    (tmp_path / "d.jsonl").write_text("".join(row.replace(f": {n}}}", f': "c {n}"}}') for n, row in enumerate(rows)))
    assert load_triplets(tmp_path / "d.jsonl")["negative"][4:7] == ["c 4", "c 6", "c 7"]
    Dataset.from_dict({"text": TEXTS}).to_parquet(tmp_path / "d.parquet")
    assert read_table(tmp_path / "d.parquet").columns["text"] == TEXTS


def test_the_file_is_removed_with_its_column_and_a_full_disk_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(text_column, "_MAX_BYTES", 0)
    column = TextColumn.of(TEXTS)
    path = column.file.path
    part = column.take([1])
    del column
    assert path.exists()
    del part
    assert not path.exists()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(DataError, match="cannot be written in .*missing: No such file.* environment variable TMPDIR"):
        TextColumn.of(TEXTS)


@pytest.mark.parametrize("rows", [[0, 0, 2], [1, 1], [2, 0, 2, 1, 0], [0, 2, 2, 3, 3, 5]])
def test_rows_that_are_taken_twice(rows, storage):
    column, names = TextColumn.of(TEXTS), [f"label {number % 4}" for number in range(len(TEXTS))]
    assert list(column.take(rows)) == [TEXTS[row] for row in rows]
    dataset = Dataset.from_dict({"text": [f"text {text}" for text in TEXTS], "label": names}).select([*rows, 7, 8, 9])
    data = load_labelled(dataset)
    assert list(zip(data.sentences, data.labels(), strict=True)) == [
        (f"text {TEXTS[row]}", names[row]) for row in [*rows, 7, 8, 9]
    ]


def test_triplets_of_which_one_lacks_a_key(storage, tmp_path):
    rows = [{"anchor": f"a {n}", "positive": f"p {n}", "negative": f"n {n}"} for n in range(9)]
    del rows[3]["anchor"], rows[5]["negative"]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = load_triplets(str(path))
    kept = [n for n in range(9) if n not in (3, 5)]
    assert [found[name][:] for name in ("anchor", "positive", "negative")] == [
        [f"{role} {n}" for n in kept] for role in "apn"
    ]


def test_parts_and_labels_of_a_parquet_file_keep_the_types_of_columns(tmp_path):
    days = [date(2026, 11, day) for day in (1, 2, 3)]
    parquet.write_table(pa.table({"text": ["x", "y", "z"], "when": days}), tmp_path / "p.parquet")
    (tmp_path / "l.txt").write_text("a\nb\na\n")
    options = ReadOptions(limit=2, label_file=str(tmp_path / "l.txt"))
    for chosen in (replace(options, label_file=None), replace(options, limit=None), options):
        columns = read_data(tmp_path / "p.parquet", chosen).complete_columns()
        assert list(columns["when"].to_pylist()) == days[: chosen.limit]
        assert len(columns) == (2 if chosen.label_file is None else 3)
