"""Rows with several labels: reading, splitting, and batches."""

import json
import logging

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from tercet.data import ReadOptions, load_labelled, load_training_data
from tercet.data.labels.trainable import check_trainable
from tercet.data.reading.in_memory import table_of
from tercet.data.sampling.multi_label_sampler import SharedLabelSampler
from tercet.data.splits.evaluation_rows import can_rank, measured_rows
from tercet.data.splits.held_out import split_labelled
from tercet.errors import DataError

SETS = [["b", "a"], ["c"], ["a", "c", "a"], ["b"]]
NAMES = ["a;b", "c", "a;c", "b"]
TEXTS = ["one", "two", "three", "four"]


def _read(labels, mark=None, **options):
    data = Dataset.from_dict({"text": TEXTS, "label": labels})
    return load_labelled(data, ReadOptions(multi_label=mark, **options), several_labels=True)


@pytest.mark.parametrize(
    "labels", [["b; a", "c ", "a;c;;a", "b"], ['["b", "a"]', "c", "['a', 'c', 'a']", "b"], SETS], ids=str
)
def test_labels_of_a_cell(labels):
    data = _read(labels, ";")
    assert data.labels() == NAMES
    assert data.label_names == ["a;b", "a;c", "b", "c"]
    assert data.take([3, 1]).labels() == ["b", "c"]
    assert data.take([1]).multi_label == ";"


@pytest.mark.parametrize("suffix", [".parquet", ".json", ".jsonl"])
def test_lists_in_files_need_no_option(tmp_path, caplog, suffix):
    path = tmp_path / f"data{suffix}"
    rows = [{"text": text, "labels": labels} for text, labels in zip(TEXTS, SETS, strict=True)]
    if suffix == ".parquet":
        Dataset.from_list(rows).to_parquet(path)
    else:
        path.write_text(json.dumps(rows) if suffix == ".json" else "\n".join(map(json.dumps, rows)))
    with caplog.at_level(logging.INFO):
        data = load_labelled(path, several_labels=True)
    assert (data.labels(), data.multi_label) == (NAMES, ";")
    assert "column 'labels' has lists, so a row may have several labels" in caplog.text
    with pytest.raises(DataError, match="several labels in one cell"):
        load_labelled(path)


def test_lists_of_classes_and_of_numbers():
    features = Features({"text": Value("string"), "label": List(ClassLabel(names=["x", "y;z"]))})
    classes = Dataset.from_dict({"text": TEXTS, "label": [[0, 1], [1], [0], [1, 0]]}, features=features)
    data = load_labelled(classes, several_labels=True)
    assert (data.labels(), data.multi_label) == (["x|y;z", "y;z", "x", "x|y;z"], "|")
    missing = Dataset.from_dict({"text": TEXTS, "label": [[0, None], [1], None, [-1]]}, features=features)
    assert list(table_of(missing, "data").columns["label"]) == [["x", None], ["y;z"], None, [None]]
    assert _read([[3, 12], [3], [12], [3]]).labels() == ["12;3", "3", "12", "3"]


def test_empty_lists_are_missing_labels(caplog):
    data = _read([["a", "b"], [], ["a"], ["b"]])
    assert data.sentences == ["one", "three", "four"]
    assert "1 of 4 rows" in caplog.text
    with pytest.raises(DataError, match="row 1"):
        _read(["a;b", " ; ", "a", "b"], ";", drop_missing=False)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (["a;b", "a", "b", "a"], {"mark": "|"}, r"no row has several labels separated by '\|'"),
        (["a;b", "a", "b", "a"], {}, "pass multi_label=';' to train on each label"),
        ([["a;b", "c"], ["a"], ["b"], ["a"]], {"mark": ";"}, "'a;b' contains ';'"),
        (["a;b", "a", "b", "a"], {"mark": " "}, "must be the separator of the labels of a row"),
        (["a;b", "a", "b", "a"], {"mark": ";", "label_levels": "/"}, "label_levels and multi_label exclude"),
        (["a;B", "b", "b", "a"], {"mark": ";"}, "written in several forms"),
        ([[";|", ",/ + "], ["a"], ["b"], ["a"]], {}, "occurs in a label; pass multi_label"),
    ],
)
def test_one_clear_sentence(labels, options, message):
    with pytest.raises(DataError, match=message):
        _read(labels, **options)


def test_labels_in_another_form():
    merged = _read(["a;B", "b", "b", "a"], ";", similar_labels="merge")
    assert merged.labels() == ["a;b", "b", "b", "a"]
    evaluation = Dataset.from_dict({"text": TEXTS, "label": ["A", "b", "A;b", "c"]})
    with pytest.raises(DataError, match="'A' for 'a'"):
        load_labelled(evaluation, ReadOptions(multi_label=";"), known_labels=merged.label_names)
    options = ReadOptions(multi_label=";", similar_labels="merge")
    known = load_labelled(evaluation, options, known_labels=merged.label_names)
    assert known.labels() == ["a", "b", "a;b", "c"]


def test_triplets_of_sets():
    for names in (["a", "b"], ["a;b", "a;c", "a"]):
        with pytest.raises(DataError, match="no label twice" if len(names) == 2 else "have a label in common"):
            check_trainable(np.arange(len(names)), names, "the data", ";")
    check_trainable(np.arange(3), ["a;b", "a;c", "d"], "the data", ";")


def test_rows_are_split_by_their_rarest_label():
    rng = np.random.default_rng(0)
    cells = [";".join(rng.choice(list("abcdefgh"), rng.integers(1, 4), replace=False)) for _ in range(400)]
    rows = [{"text": f"{number} words", "label": cell} for number, cell in enumerate(cells)]
    options = ReadOptions(multi_label=";")
    loaded = load_training_data(rows, None, 0.25, options, triplets=False, seed=1, several_labels=True)
    assert loaded.multi_label == ";"
    assert len(loaded.evaluation) == pytest.approx(100, abs=8)
    data = load_labelled(rows, options, several_labels=True)
    held_out = split_labelled(data, 0.25, 1)[1]
    for label in "abcdefgh":
        number = sum(label in name.split(";") for name in data.labels())
        assert sum(label in name.split(";") for name in held_out.labels()) == pytest.approx(number / 4, rel=0.35)


def test_evaluation_rows_know_a_label_that_they_share():
    rows = measured_rows(["p", "q", "r"], ["a;b", "c;d", "b;c"], ["x", "y"], ["b", "e"], ";")
    assert rows.known.tolist() == [True, False, True]
    assert rows.counts("against_reference").measured == 2
    alone = measured_rows(["p", "q", "r", "s"], ["a;b", "c", "b;c", "e"], multi_label=";")
    assert (alone.counts("among_themselves").measured, alone.counts("among_themselves").unpaired) == (3, 1)


def test_a_ranking_can_be_wrong_if_a_row_shares_a_label_with_some_rows_only():
    everywhere = ["bug;ui", "bug", "bug;api"]
    assert not can_rank(everywhere, ";")
    assert not can_rank(["bug;ui", "x", "y"], ";")
    assert can_rank([*everywhere, "ui"], ";")
    rows = measured_rows(["p", "q", "r"], everywhere, ["s", "t"], ["bug;x", "ui"], ";")
    assert (rows.can_rank("against_reference"), rows.can_rank("among_themselves")) == (True, False)
    known = measured_rows(["p", "q", "r"], ["a", "a", "z"], ["s", "t"], ["a;b", "a;c"], ";")  # "z" is not ranked.
    assert (known.can_rank("against_reference"), known.can_rank("among_themselves")) == (False, False)


def _random_sets(rng, rows, labels, *, dominant):
    sets = [set(rng.integers(0, labels, rng.integers(1, 4)).tolist()) for _ in range(rows)]
    return [sorted(one | ({labels} if dominant and rng.random() < 0.8 else set())) for one in sets]


@pytest.mark.parametrize(("rows", "labels", "dominant"), [(300, 20, False), (300, 20, True), (120, 150, False)])
def test_batches(rows, labels, dominant):
    """Every epoch has every row, no batch a row twice, and every batch a triplet; K rows of a label meet."""
    sets = _random_sets(np.random.default_rng(rows + labels), rows, labels, dominant=dominant)
    sampler = SharedLabelSampler(np.arange(rows), sets, 32, 4, seed=3)
    drawn_labels, every = [], np.unique(np.concatenate(sets))
    for epoch in range(3):
        sampler.set_epoch(epoch)
        batches = sampler.batches()
        assert batches.size == len(sampler) == len(list(sampler))
        assert set(batches.ravel()) == set(range(rows))
        for batch in batches:
            assert len(set(batch)) == len(batch)
            shares = np.array([[bool(set(sets[a]) & set(sets[b])) for b in batch] for a in batch])
            positives = shares.sum(1) - 1
            assert ((positives > 0) & (positives < len(batch) - 1)).any()
        drawn_labels.append(sampler._exchange_labels(np.random.default_rng(epoch)))
    if rows > labels:  # With few rows of each label, no two rows have the same two labels.
        assert (drawn_labels[0] != drawn_labels[1]).any(), "a row is not always drawn for the same label"
    for assigned in drawn_labels:
        assert all(label in one for label, one in zip(every[assigned], sets, strict=True))
        assert np.bincount(assigned).tolist() == np.bincount(drawn_labels[0]).tolist()
    again = SharedLabelSampler(np.arange(rows), sets, 32, 4, seed=3)
    again.set_epoch(2)
    assert (again.batches() == batches).all()


def test_groups_share_a_label_and_neighbours_meet():
    rng = np.random.default_rng(0)
    sets = [sorted(rng.choice(40, 2, replace=False).tolist()) for _ in range(800)]
    sampler = SharedLabelSampler(np.arange(800), sets, 32, 4, neighbor_labels=0.5)
    random = sampler.batches()
    groups = random.reshape(-1, 4)
    assert np.mean([bool(set.intersection(*(set(sets[row]) for row in group))) for group in groups]) > 0.95
    # The mean of a set is that of its first label, so that rows of near labels have near means.
    angle = np.array([one[0] for one in sets]) * np.pi / 20
    sampler.set_label_means(np.stack([np.cos(angle), np.sin(angle)], 1))
    assert set(sampler.batches().ravel()) == set(range(800))
    assert (sampler.batches() != random).any()
    with pytest.raises(DataError, match=r"must have the shape \(800, dim\), one row for each set of labels"):
        sampler.set_label_means(np.zeros((40, 2)))
    with pytest.raises(DataError, match="the mean of set number 3"):
        sampler.set_label_means(np.where(np.arange(800) == 3, np.nan, 1)[:, None])


def test_a_label_of_few_rows_gets_all_its_rows():
    """Rows with three labels are assigned to one of them; the other rows with the label are added to its group."""
    rng = np.random.default_rng(1)
    sets = [sorted(rng.choice(60, 3, replace=False).tolist()) for _ in range(100)]
    batches = SharedLabelSampler(np.arange(100), sets, 8, 4).batches()
    for label in range(60):
        rows = [row for row, one in enumerate(sets) if label in one]
        if len(rows) >= 4:
            assert max(np.isin(batch, rows).sum() for batch in batches) >= 3  # One may be twice in its batch.


@pytest.mark.parametrize("rows", [4, 40])
def test_a_row_without_a_label_is_refused(rows):
    sets = [[0], [1], [], [0, 1]]
    with pytest.raises(DataError, match=r"row 2 has no label: its set, label_sets\[2\], is empty"):
        SharedLabelSampler(np.arange(rows) % 4, sets, 4, 2)
    assert set(SharedLabelSampler(np.array([0, 1, 3, 0, 1]), sets, 4, 2)) == set(range(5))  # No row has the empty set.


def test_a_list_with_one_label_twice_is_this_label():
    data = {"text": ["a", "b", "c"], "label": [["x", "x"], ["x"], ["y"]]}
    found = load_labelled(data, several_labels=True)
    assert [found.label_names[label] for label in found.label_ids] == ["x", "x", "y"]
    assert found.multi_label is None


@pytest.mark.parametrize("cell", [[{"name": "x"}], [["x"]], {"name": "x"}])
def test_a_cell_with_other_values_than_labels_is_named(cell):
    data = {"text": ["a", "b", "c"], "label": [["x"], cell, ["y", "x"]]}
    with pytest.raises(DataError, match=r"data, row 1: the labels are .*; each label must be a string or an integer"):
        load_labelled(data, ReadOptions(multi_label=";"))
