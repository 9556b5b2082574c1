"""Folders with a file per split or per label, saved data sets, and several files as one table."""

import gzip
import json
import zipfile

import pytest
from datasets import Dataset, DatasetDict

from tercet.data.loading.training_data import load_training_data
from tercet.data.reading.options import ReadOptions
from tercet.data.reading.selection import read_all, read_data
from tercet.errors import DataError
from tests.data.formats.topics import LABELS, PAIRS, read_pairs, write


@pytest.mark.parametrize("names", [("train", "test"), ("train-00000-of-00002", "train-00001-of-00002", "clinc-test")])
def test_of_a_folder_of_files_of_several_splits_one_is_read(tmp_path, names, caplog):
    caplog.set_level("INFO", logger="tercet")
    for name in names:
        (tmp_path / f"{name}.csv").write_text(f"text,label\na text of {name},x\n")
    for split in ("train", "test"):
        texts = read_data(tmp_path, ReadOptions(split=split)).columns["text"]
        assert texts == [f"a text of {name}" for name in sorted(names) if split in name]
    assert "the split 'test' is read; not read: 'train" in caplog.text
    with pytest.raises(DataError, match="no split 'dev'; pass split, one of 'test', 'train'"):
        read_data(tmp_path, ReadOptions(split="dev"))
    pattern = read_data(str(tmp_path / "*.csv"), ReadOptions())  # A pattern is read like a folder.
    assert pattern.columns["text"] == read_data(tmp_path, ReadOptions()).columns["text"]
    for name in names[:-1]:
        (tmp_path / f"{name}.csv").unlink()
    assert len(read_data(tmp_path, ReadOptions())) == 1  # one split only: as it was asked for


_TRAIN = [{"text": f"text {row}", "label": "ab"[row % 2]} for row in range(20)]


_TEST = [{"text": f"other {row}", "label": "ab"[row % 2]} for row in range(6)]


def _with_splits(folder, form, test):
    """Write a folder or file with the splits train, test and val, and return its path."""
    splits = {"train": _TRAIN, "test": test, "val": test[:4]}
    if form == "json":
        (folder / "d.json").write_text(json.dumps(splits))
        return folder / "d.json"
    if form == "saved":
        DatasetDict({name: Dataset.from_list(rows) for name, rows in splits.items()}).save_to_disk(str(folder / "d"))
        return folder / "d"
    for name, rows in splits.items():
        place = folder / name if form == "folders" else folder
        place.mkdir(exist_ok=True)
        (place / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize("form", ["files", "folders", "json", "saved"])
def test_a_split_beside_the_training_data_is_the_evaluation_data(form, tmp_path, caplog):
    caplog.set_level("INFO", logger="tercet")
    path = _with_splits(tmp_path, form, _TEST)
    found = load_training_data(path, None, 0.2, ReadOptions(), triplets=False, seed=0)
    assert found.evaluation["sentence"][:] == [f"other {row}" for row in range(4)]
    assert (len(found.train), found.held_out_rows, found.eval_split) == (20, None, "val")
    assert (
        "trains on the split 'train' and evaluates on the split 'val'; not used: 'test'; for other rows, pass eval_data"
        in caplog.text
    )
    assert "not read" not in caplog.text
    given = load_training_data(path, _TEST, 0.2, ReadOptions(), triplets=False, seed=0)
    assert (len(given.train), len(given.evaluation), given.eval_split) == (20, 6, None)
    assert "the split 'train' is read; not read: 'test" in caplog.text
    unused = load_training_data(path, None, 0.0, ReadOptions(), triplets=False, seed=0)
    assert (len(unused.train), unused.evaluation) == (20, None)


def test_a_split_without_labels_is_not_the_evaluation_data(tmp_path, caplog):
    caplog.set_level("INFO", logger="tercet")
    path = _with_splits(tmp_path, "files", [{"text": row["text"], "id": "7"} for row in _TEST])
    found = load_training_data(path, None, 0.2, ReadOptions(), triplets=False, seed=0)
    assert len(found.train) + len(found.held_out_rows) == 20
    assert "is not evaluated on the split 'val', which has no values in the column 'label'" in caplog.text


@pytest.mark.parametrize("names", [("data", "test"), ("data.train", "data.test")])
def test_a_test_file_beside_files_without_a_split_is_not_trained_on(tmp_path, names):
    for name in names:
        (tmp_path / f"{name}.csv").write_text(f"text,label\na text of {name},x\n")
    for split, name in zip(("train", "test"), names, strict=True):
        assert read_data(tmp_path, ReadOptions(split=split)).columns["text"] == [f"a text of {name}"]


def test_a_folder_of_compressed_files_is_read(tmp_path, caplog):
    for split, number in (("train", 3), ("test", 2)):
        rows = "".join(f"the {split} {row},a\n" for row in range(number))
        with gzip.open(tmp_path / f"{split}.CSV.gz", "wt") as file:
            file.write("text,label\n" + rows)
    (tmp_path / "test.csv").write_text("text,label\nthe test,b\n")
    with zipfile.ZipFile(tmp_path / "several.zip", "w") as archive:
        archive.writestr("a.csv", "text\na\n")
        archive.writestr("b.csv", "text\na\n")
    with caplog.at_level("INFO", "tercet"):
        assert list(read_all(tmp_path, ReadOptions()).columns["text"]) == ["the train 0", "the train 1", "the train 2"]
        assert list(read_all(tmp_path, ReadOptions(split="test")).columns["text"]) == ["the test"]
    assert "not read, because they are also there uncompressed: 'test.CSV.gz'" in caplog.text


def test_what_is_no_label_beside_folders_of_labels_is_named(tmp_path, caplog):
    for label in ("a", "b", "_unknown"):
        (tmp_path / label).mkdir()
        write(tmp_path / label / "1.txt", f"text of {label}")
    (tmp_path / "empty").mkdir()
    for name in ("README.md", "notes.txt", "more.csv"):
        write(tmp_path / name, "")
    assert read_pairs(tmp_path) == [("text of a", "a"), ("text of b", "b")]
    assert f"{tmp_path}: 'empty', '_unknown', 'more.csv' gave no rows; a label is a folder with texts" in caplog.text


def test_a_folder_per_label_is_read(tmp_path):
    for label, texts in LABELS.items():
        (tmp_path / "bbc" / label).mkdir(parents=True)
        for number, text in enumerate(texts):
            (tmp_path / "bbc" / label / f"{number:03}.txt").write_bytes(f"Title £5\n{text}".encode("latin-1"))
    (tmp_path / "bbc" / "README.txt").write_text("about the data")
    found = read_pairs(tmp_path / "bbc")
    assert sorted(found) == sorted((f"Title £5\n{text}", label) for text, label in PAIRS)
    (tmp_path / "splits").mkdir()
    (tmp_path / "bbc").rename(tmp_path / "splits" / "bydate-train")
    (tmp_path / "splits" / "bydate-test").mkdir()
    assert read_pairs(tmp_path / "splits") == found
    with pytest.raises(DataError, match="no split 'dev'; pass split, one of 'bydate-test', 'bydate-train'"):
        read_data(tmp_path / "splits", ReadOptions(split="dev"))


def test_parallel_files_are_joined_by_the_label_file(tmp_path):
    texts = write(tmp_path / "title.txt", "".join(f"{text}\n" for text, _ in PAIRS))
    labels = write(tmp_path / "label.txt", "".join(f"{label}\n" for _, label in PAIRS))
    assert read_pairs(texts, ReadOptions(label_file=str(labels))) == PAIRS
    # The header is that of the data.
    table = write(tmp_path / "title.csv", "title\n" + "".join(f"{text}\n" for text, _ in PAIRS))
    assert read_pairs(table, ReadOptions(label_file=str(labels), header=True)) == PAIRS
    write(labels, "a\nb\n")
    with pytest.raises(DataError, match=r"has 16 rows, but .*label.txt has 2; .*in the same order"):
        read_pairs(texts, ReadOptions(label_file=str(labels)))


def test_saved_data_sets_and_arrow_files_are_read(tmp_path):
    from datasets import Dataset, DatasetDict

    data = Dataset.from_dict({"text": [text for text, _ in PAIRS], "label": [label for _, label in PAIRS]})
    data.save_to_disk(tmp_path / "saved")
    DatasetDict(train=data, test=data.select([0])).save_to_disk(tmp_path / "splits")
    assert read_pairs(tmp_path / "saved") == read_pairs(tmp_path / "splits") == PAIRS
    assert read_pairs(next((tmp_path / "saved").glob("*.arrow"))) == PAIRS
    assert read_pairs(tmp_path / "splits", ReadOptions(split="test")) == PAIRS[:1]
    with pytest.raises(DataError, match="no split 'dev'; pass split, one of 'train', 'test'"):
        read_pairs(tmp_path / "splits", ReadOptions(split="dev"))


def test_several_files_are_one_table(tmp_path):
    for label, texts in LABELS.items():
        write(tmp_path / f"train_{label}.json", json.dumps({label: texts}))
    assert sorted(read_pairs(tmp_path)) == sorted(PAIRS)
    assert len(read_pairs(f"{tmp_path}/train_[sf]*.json")) == 8
    write(tmp_path / "train_x.json", json.dumps([{"other": "x"}]))
    with pytest.raises(DataError, match="has the columns 'other', but .* has 'text', 'label'"):
        read_pairs(tmp_path)
