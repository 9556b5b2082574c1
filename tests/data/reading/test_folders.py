"""Folders of data files: what lies beside them, and what is in folders inside of them."""

import gzip
import json
from dataclasses import replace

import pyarrow as pa
import pytest
from datasets import Dataset
from pyarrow import parquet

from tercet.data.loading.labelled import load_labelled
from tercet.data.reading.options import ReadOptions
from tercet.data.reading.selection import read_data
from tercet.errors import DataError

CSV = "text,label\na text,x\n"


def _write(path, content=CSV):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        parquet.write_table(pa.table({"text": [content], "label": ["x"]}), path)
    else:
        path.write_text(content)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json", ".parquet", ".csv.gz"])
def test_files_that_describe_the_data_are_not_read(suffix, tmp_path, caplog):
    rows = [{"text": "a text", "label": "x"}]
    content = {".csv": CSV, ".jsonl": json.dumps(rows[0]), ".json": json.dumps(rows), ".parquet": "a text"}
    for split in ("train", "test"):
        if suffix == ".csv.gz":
            (tmp_path / f"{split}{suffix}").write_bytes(gzip.compress(CSV.encode()))
        else:
            _write(tmp_path / f"{split}{suffix}", content[suffix])
    for name in ("README.md", "README_zh.md", "LICENSE", "LICENSE.txt", "dataset_info.json", "dataset-metadata.json",
                 "metadata.yml", "notes.md", "notes.txt"):  # fmt: skip
        _write(tmp_path / name, '{"description": "about the data"}')
    caplog.set_level("INFO", "tercet")
    table = read_data(tmp_path, ReadOptions(split="test"))
    assert (list(table.columns["text"]), table.splits) == (["a text"], ("test", "train"))
    assert "not read, because Markdown beside data files describes them: 'notes.md'" in caplog.text
    pattern = read_data(str(tmp_path / "*"), ReadOptions(split="test")) if suffix == ".csv" else None
    assert pattern is None or list(pattern.columns["text"]) == ["a text"]


def test_a_file_named_metadata_may_be_the_data(tmp_path):
    _write(tmp_path / "README.md", "about the data")
    _write(tmp_path / "metadata.csv")
    assert list(read_data(tmp_path, ReadOptions()).columns["label"]) == ["x"]
    _write(tmp_path / "metadata.csv").rename(tmp_path / "b.tsv")
    _write(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"is a folder with files of several formats \('.csv', '.tsv'\)"):
        read_data(tmp_path, ReadOptions())


def test_markdown_alone_is_training_data_of_rasa(tmp_path):
    _write(tmp_path / "nlu.md", "## intent:greet\n- hello\n")
    _write(tmp_path / "README.md", "about the data")
    assert read_data(tmp_path, ReadOptions()).columns["text"] == ["hello"]


@pytest.mark.parametrize(
    "names", [("data/train-00000-of-00001", "data/test-00000-of-00001"), ("data/train/0000", "data/test/0000")]
)
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_clone_of_a_data_set_of_the_hub_is_read(names, suffix, tmp_path):
    for name in names:
        _write(tmp_path / f"{name}{suffix}", CSV if suffix == ".csv" else name)
    _write(tmp_path / "data" / "README.md", "about the data")
    for name in ("README.md", ".gitattributes", "dataset_infos.json"):
        _write(tmp_path / name, "{}")
    (tmp_path / ".git").mkdir()
    test = read_data(tmp_path, ReadOptions(split="test"))
    assert list(test.columns["text"]) == ["a text" if suffix == ".csv" else names[1]]
    assert test.splits == ("test", "train")


def test_a_saved_data_set_in_a_folder_is_read(tmp_path):
    Dataset.from_dict({"text": ["a text"], "label": ["x"]}).save_to_disk(str(tmp_path / "saved"))
    _write(tmp_path / "README.md", "about the data")
    assert list(read_data(tmp_path, ReadOptions()).columns["text"]) == ["a text"]


def test_several_folders_of_data_files_are_refused(tmp_path):
    for name in ("en/train.csv", "fr/train.csv"):
        _write(tmp_path / name)
    with pytest.raises(DataError, match=r"has data in 'en', 'fr'; pass one of them, such as .*en, or, if each file is"):
        read_data(tmp_path, ReadOptions())
    _write(tmp_path / "fr" / "train.csv").unlink()
    _write(tmp_path / "fr" / "1.txt", "un texte")
    with pytest.raises(DataError, match=r"has data in 'en'; pass one of them, such as .*en, or"):
        read_data(tmp_path, ReadOptions())
    assert read_data(tmp_path / "en", ReadOptions()).columns["text"] == ["a text"]


def test_data_files_beside_a_folder_of_data_files_are_refused(tmp_path):
    _write(tmp_path / "data" / "train.csv")
    _write(tmp_path / "more.csv")
    with pytest.raises(DataError, match=r"has data in 'more.csv', 'data'; pass one of them, such as .*data, or"):
        read_data(tmp_path, ReadOptions())


def test_a_data_file_among_texts_is_not_a_text(tmp_path, caplog):
    for label in ("a", "b"):
        _write(tmp_path / label / "1.txt", f"text of {label}")
    _write(tmp_path / "b" / "statistics.csv")
    table = read_data(tmp_path, ReadOptions())
    assert (table.columns["text"], table.columns["label"]) == (["text of a", "text of b"], ["a", "b"])
    assert "'b/statistics.csv' gave no rows; a label is a folder with texts" in caplog.text


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_messages_name_the_file_and_the_place_in_it(suffix, tmp_path):
    for name, start in (("a", 0), ("b", 100)):
        labels = ["xy"[row % 2] if row % 50 != 30 else None for row in range(100)]
        columns = {"text": [f"text {start + row}" for row in range(100)], "label": labels, "part": ["new"] * 100}
        if suffix == ".parquet":
            parquet.write_table(pa.table(columns), tmp_path / f"{name}{suffix}")
        else:
            rows = zip(*columns.values(), strict=True)
            content = "".join(",".join(cell or "" for cell in row) + "\n" for row in rows)
            _write(tmp_path / f"{name}{suffix}", f"text,label,part\n{content}")
    first, second, kind = ("32", "82", "lines") if suffix == ".csv" else ("30", "80", "rows")
    places = f"{kind} {first} of a{suffix}, {second} of a{suffix}, {first} of b{suffix}, {second} of b{suffix}"
    strict = ReadOptions(drop_missing=False)
    for source in (tmp_path, str(tmp_path / f"*{suffix}")):
        with pytest.raises(DataError) as caught:
            load_labelled(source, strict)
        assert f"4 of 200 rows have no label ({places})" in str(caught.value)
    with pytest.raises(DataError) as caught:
        load_labelled(tmp_path, replace(strict, split_column="part", split="new", limit=140))
    assert f"3 of 140 rows have no label ({places.rpartition(', ')[0]})" in str(caught.value)
    with pytest.raises(
        DataError, match=f"{kind[:-1]} {'2' if kind == 'lines' else '0'} of a{suffix}: 'text 0' in column"
    ):
        load_labelled(tmp_path, replace(strict, label_column=["part", "text"], label_levels="t "))
    rows = load_labelled(tmp_path)
    assert (len(rows), rows.rows[-1]) == (196, 199)


def test_messages_name_the_file_of_a_text(tmp_path):
    for name, text in (("a/1.txt", "one"), ("b/1.txt", " "), ("b/2.txt", "two")):
        _write(tmp_path / name, text)
    with pytest.raises(DataError, match=r"1 of 3 rows has no text \(file b/1\.txt\)"):
        load_labelled(tmp_path, ReadOptions(drop_missing=False))


def test_a_file_is_a_description_only_by_its_whole_name(tmp_path, caplog):
    for name in ("license_questions", "support_tickets", "dataset_info"):
        _write(tmp_path / f"{name}.json", json.dumps([{"text": name, "label": "x"}]))
    with caplog.at_level("INFO", "tercet"):
        table = read_data(tmp_path, ReadOptions())
    assert list(table.columns["text"]) == ["license_questions", "support_tickets"]
    assert "not read, because files of these names describe the data: 'dataset_info.json'" in caplog.text
    # All matches of a pattern are read.
    table = read_data(str(tmp_path / "*.json"), ReadOptions())
    assert list(table.columns["text"]) == ["dataset_info", "license_questions", "support_tickets"]


def test_a_script_beside_data_files_is_not_a_text(tmp_path):
    _write(tmp_path / "README.md", "about the data")
    _write(tmp_path / "data" / "train.csv")
    _write(tmp_path / "data" / "prepare.py", "print()")
    assert list(read_data(tmp_path, ReadOptions()).columns["text"]) == ["a text"]
    _write(tmp_path / "scripts" / "clean.py", "print()")
    with pytest.raises(DataError, match="has data in 'data'; pass one of them"):
        read_data(tmp_path, ReadOptions())


def test_a_folder_of_data_beside_labels_gives_no_rows(tmp_path, caplog):
    for name in ("A/1.txt", "B/1.txt"):
        _write(tmp_path / name, f"text of {name[0]}")
    _write(tmp_path / "meta" / "labels.csv")
    _write(tmp_path / "meta" / "README.md", "about the data")
    table = read_data(tmp_path, ReadOptions())
    assert (table.columns["text"], table.columns["label"]) == (["text of A", "text of B"], ["A", "B"])
    assert "'meta' gave no rows; a label is a folder with texts" in caplog.text
    _write(tmp_path / "meta" / "49960", "a text without extension")
    with pytest.raises(
        DataError, match="has data in 'meta'; pass one of them, such as .*, give all files the extension"
    ):
        read_data(tmp_path, ReadOptions())


def test_data_files_in_labels_are_named_with_the_remedy(tmp_path, caplog):
    for name in ("A/1.txt", "A/x.json", "B/1.txt", "B/x.json"):
        _write(tmp_path / name, "{}")
    assert read_data(tmp_path, ReadOptions()).columns["label"] == ["A", "B"]
    remedy = "files such as A/x.json are data, not one text; give them the extension .txt to read them"
    assert "'A/x.json', 'B/x.json' gave no rows" in caplog.text
    assert remedy in caplog.text
