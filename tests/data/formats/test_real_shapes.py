"""Files in the shapes that people have: 21 kinds that were found in public repositories, re-created in small."""

import gzip
import json
import zipfile

import pytest
from datasets import Dataset, DatasetDict

from tercet.data.columns.guessing import find_columns
from tercet.data.loading.labelled import load_labelled
from tercet.data.loading.training_data import load_training_data
from tercet.data.reading.options import ReadOptions
from tercet.data.reading.selection import read_all, read_data
from tercet.data.tables.table import Table
from tercet.errors import DataError
from tests.conftest import TOPICS

PAIRS = [(text, label) for label, texts in TOPICS.items() for text in texts]
LABELS = {label: [text for text, name in PAIRS if name == label] for label in TOPICS}
LONG = [(f"{text} and so on, as everybody in the town has heard by now", label) for text, label in PAIRS]


def _csv(rows, separator=","):
    return "".join(separator.join(f'"{cell}"' if separator in cell else cell for cell in row) + "\n" for row in rows)


def _rasa_yaml(pairs):
    head = "version: '3.1'\nnlu:\n- synonym: late\n  examples: |\n    - delayed\n"
    groups = {label: [text for text, name in pairs if name == label] for _, label in pairs}
    return head + "".join(
        f"- intent: {label}\n  examples: |\n" + "".join(f"    - {text}\n" for text in texts)
        for label, texts in groups.items()
    )


def _marked(text):
    """Mark the last word as an entity, as Rasa does."""
    first, _, last = text.rpartition(" ")
    return f"{first} [{last}](thing)"


def _commits():
    return [("commit", "message", "Is_Bug"), *((f"c{n}", text, "TF"[n % 2]) for n, (text, _) in enumerate(LONG))]


# Each shape: the file, its content, the texts and the labels.
SHAPES = {
    "1 Rasa YAML": ("nlu.yml", _rasa_yaml([(_marked(text), label) for text, label in PAIRS]), PAIRS),
    "2 Rasa Markdown": (
        "nlu.md",
        "".join(f"## intent:{label}\n" + "".join(f"- {_marked(t)}\n" for t in LABELS[label]) + "\n" for label in LABELS)
        + "## synonym:late\n- delayed\n<!-- ## intent:old\n- gone -->\n",
        PAIRS,
    ),
    "3 Rasa JSON": (
        "set.json",
        json.dumps({"rasa_nlu_data": {"common_examples": [
            {"text": text, "intent": label, "entities": []} for text, label in PAIRS
        ], "entity_synonyms": []}}),
        PAIRS,
    ),
    "4 texts in parts": (
        "train.json",
        json.dumps({label: [{"data": [{"text": text[:5]}, {"text": text[5:], "entity": "x"}]} for text in texts]
                    for label, texts in LABELS.items()}),
        PAIRS,
    ),
    "5 splits of pairs": (
        "data_small.json",
        json.dumps({"train": [list(pair) for pair in PAIRS], "val": [["a", "b"]], "oos_train": [["x", "oos"]]}),
        PAIRS,
    ),
    "6 CSV without header": ("intents.csv", _csv(PAIRS * 2), PAIRS * 2),
    "7 semicolons": (
        "alarm.csv", _csv([("answer", "text", "label"), *(("a, b", *pair) for pair in PAIRS)], ";"), PAIRS
    ),
    "8 news without header": (
        "test.csv",
        "".join(f'{list(TOPICS).index(label) + 1},"{text[:12]}","{text}, as was told"\n' for text, label in LONG * 2),
        [(f"{text}, as was told", str(list(TOPICS).index(label) + 1)) for text, label in LONG * 2],
    ),
    "10 spam of Kaggle": (
        "spam.csv",
        ("v1,v2,,,\n" + "".join(f"{'ham' if n % 3 else 'spam'},{t} for £{n},,,\n" for n, (t, _) in enumerate(PAIRS)))
        .encode("latin-1"),
        [(f"{text} for £{n}", "ham" if n % 3 else "spam") for n, (text, _) in enumerate(PAIRS)],
    ),
    "11 gzip": (
        "train.csv.gz",
        gzip.compress(_csv([("id", "clean_text", "category"), *((str(n), *pair) for n, pair in enumerate(PAIRS))])
                      .encode(), mtime=0),
        PAIRS,
    ),
    "15 issues": (
        "issues.csv",
        "number,title,body,label\n"
        + "".join(f'{n},{text},"long\n\nbody",{label}\n' for n, (text, label) in enumerate(PAIRS)),
        PAIRS,
    ),
    "16 an optional key": (
        "train.jsonl",
        "".join(json.dumps({"text": text, "label": label} | ({"ticket_id": n} if n % 5 else {})) + "\n"
                for n, (text, label) in enumerate(PAIRS)),
        PAIRS,
    ),
    "17 support tickets": (
        "tickets.csv",
        "Ticket ID,Ticket Type,Ticket Subject,Ticket Description,Ticket Priority\n"
        + "".join(f'{n},{label},Subject,"{text}",{["low", "high"][n % 2]}\n' for n, (text, label) in enumerate(LONG)),
        LONG,
    ),
    "18 log lines": (
        "log.csv", _csv([("LineId", "Label", "Content"), *((str(n), lab, t) for n, (t, lab) in enumerate(PAIRS))]),
        PAIRS,
    ),
    "19 commits, some without a label": (
        "commits.csv",
        _csv([*_commits(), ("c98", "a message of many words without a label", ""), ("c99", "", "T")]),
        [(text, "TF"[n % 2]) for n, (text, _) in enumerate(LONG)],
    ),
    "20 tweets": (
        "tweets.csv",
        _csv([("dialect", "sarcasm", "sentiment", "tweet"),
              *((("msa", "gulf")[n % 2], str(n % 2 == 0), lab, f"{t} يا عيني") for n, (t, lab) in enumerate(PAIRS))]),
        [(f"{text} يا عيني", label) for text, label in PAIRS],
    ),
    "21 a comma at the end": ("chat.csv", "sentence,label,\n" + "".join(f"{t},{lab},\n" for t, lab in PAIRS), PAIRS),
}  # fmt: skip


def _write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _pairs(path, options=None):
    data = load_labelled(path, options or ReadOptions())
    return list(zip(data.sentences, data.labels(), strict=True))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_read_at_the_first_try(shape, tmp_path):
    name, content, expected = SHAPES[shape]
    assert _pairs(_write(tmp_path / name, content)) == expected


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


@pytest.mark.parametrize("rows", [[["a b", "x"], ["c"]], ["ab", "cd"]])
def test_rows_without_a_value_for_each_column_are_refused(tmp_path, rows):
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"columns": ["text", "label"], "data": rows}))
    with pytest.raises(DataError, match="not every row of 'data' is a list of 2 values"):
        read_data(path, ReadOptions())


def test_several_labels_of_fasttext_are_a_list(tmp_path):
    path = _write(tmp_path / "d.txt", "__label__a __label__b hello there\n__label__a\tbye\n__label__c so\n")
    with pytest.raises(DataError, match="1 of 3 rows has several labels in one cell, such as 'a, b'"):
        _pairs(path)
    found = load_labelled(path, ReadOptions(multi_label=";"))
    assert (found.sentences, found.labels()) == (["hello there", "bye", "so"], ["a;b", "a", "c"])


def test_a_line_separator_within_an_example_of_rasa_is_kept(tmp_path):
    path = _write(tmp_path / "d.md", "## intent:a\r\n- one\u2028two\r\n- three\r\n")
    assert _pairs(path) == [("one\u2028two", "a"), ("three", "a")]


def test_values_of_yaml_are_texts_as_they_are_written(tmp_path):
    path = _write(tmp_path / "d.yml", "- {text: 10:30, label: no}\n- {text: on, label: 010}\n- {text: b, label: }\n")
    assert _pairs(path, ReadOptions(drop_missing=True)) == [("10:30", "no"), ("on", "010")]


def test_objects_with_texts_under_another_key_are_refused(tmp_path):
    rows = [{"tag": "a", "patterns": ["a b"]}, {"tag": "b", "patterns": "c d"}, {"tag": "c", "patterns": []}]
    assert _pairs(_write(tmp_path / "d.json", json.dumps(rows))) == [("a b", "a"), ("c d", "b")]
    with pytest.raises(DataError, match="row 3 has no list of texts 'patterns', as the first one has"):
        _pairs(_write(tmp_path / "d.json", json.dumps([*rows, {"tag": "d", "examples": ["e"]}])))


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
        _write(tmp_path / label / "1.txt", f"text of {label}")
    (tmp_path / "empty").mkdir()
    for name in ("README.md", "notes.txt", "more.csv"):
        _write(tmp_path / name, "")
    assert _pairs(tmp_path) == [("text of a", "a"), ("text of b", "b")]
    assert f"{tmp_path}: 'empty', '_unknown', 'more.csv' gave no rows; a label is a folder with texts" in caplog.text


def test_a_folder_per_label_is_read(tmp_path):
    for label, texts in LABELS.items():
        (tmp_path / "bbc" / label).mkdir(parents=True)
        for number, text in enumerate(texts):
            (tmp_path / "bbc" / label / f"{number:03}.txt").write_bytes(f"Title £5\n{text}".encode("latin-1"))
    (tmp_path / "bbc" / "README.txt").write_text("about the data")
    found = _pairs(tmp_path / "bbc")
    assert sorted(found) == sorted((f"Title £5\n{text}", label) for text, label in PAIRS)
    (tmp_path / "splits").mkdir()
    (tmp_path / "bbc").rename(tmp_path / "splits" / "bydate-train")
    (tmp_path / "splits" / "bydate-test").mkdir()
    assert _pairs(tmp_path / "splits") == found
    with pytest.raises(DataError, match="no split 'dev'; pass split, one of 'bydate-test', 'bydate-train'"):
        read_data(tmp_path / "splits", ReadOptions(split="dev"))


def test_a_header_of_lines_without_columns_is_refused(tmp_path):
    path = _write(tmp_path / "d.txt", "".join(f"{text}\n" for text, _ in PAIRS))
    with pytest.raises(DataError, match=r"line of .*d.txt is a text; leave out header=True, or pass csv_separator"):
        read_data(path, ReadOptions(header=True))
    assert len(read_data(path, ReadOptions(header=False))) == 16
    _write(path, "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in PAIRS))
    assert _pairs(path, ReadOptions(header=True, csv_separator="tab")) == PAIRS


def test_parallel_files_are_joined_by_the_label_file(tmp_path):
    texts = _write(tmp_path / "title.txt", "".join(f"{text}\n" for text, _ in PAIRS))
    labels = _write(tmp_path / "label.txt", "".join(f"{label}\n" for _, label in PAIRS))
    assert _pairs(texts, ReadOptions(label_file=str(labels))) == PAIRS
    # The header is that of the data.
    table = _write(tmp_path / "title.csv", "title\n" + "".join(f"{text}\n" for text, _ in PAIRS))
    assert _pairs(table, ReadOptions(label_file=str(labels), header=True)) == PAIRS
    _write(labels, "a\nb\n")
    with pytest.raises(DataError, match=r"has 16 rows, but .*label.txt has 2; .*in the same order"):
        _pairs(texts, ReadOptions(label_file=str(labels)))


def test_several_labels_in_a_cell_are_refused_with_the_options(tmp_path):
    rows = "".join(f"{text}\t{'2,3' if n % 4 == 0 else n % 4}\tid{n}\n" for n, (text, _) in enumerate(PAIRS * 2))
    with pytest.raises(DataError, match="8 of 32 rows have several labels in one cell, separated by ','"):
        _pairs(_write(tmp_path / "train.tsv", rows), ReadOptions(text_column="0", label_column="1"))


def test_a_file_of_labels_before_texts_is_refused_with_code_that_converts_it(tmp_path):
    path = _write(tmp_path / "train_5500.label", "".join(f"DESC:{label} {text}\n" for text, label in PAIRS))
    with pytest.raises(DataError, match="unsupported file type") as caught:
        _pairs(path)
    exec(str(caught.value).split("for example with: ")[1])
    assert _pairs(path.with_suffix(".jsonl")) == [(text, f"DESC:{label}") for text, label in PAIRS]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252"])
def test_exports_of_spreadsheets_are_read(encoding, tmp_path, caplog):
    caplog.set_level("INFO")
    rows = [("text", "label"), *((f"{text}, naïve café – “quoted”", label) for text, label in PAIRS)]
    path = _write(tmp_path / "d.csv", ("sep=;\r\n" + _csv(rows, ";").replace("\n", "\r\n")).encode(encoding))
    assert _pairs(path) == rows[1:]
    assert ("read as" in caplog.text) == (encoding != "utf-8-sig")
    assert _pairs(path, ReadOptions(encoding=encoding.removesuffix("-sig"))) == rows[1:]


@pytest.mark.slow
def test_a_workbook_is_read(tmp_path):
    book = pytest.importorskip("openpyxl").Workbook()
    book.active.append(["id", "text", "label", None])
    for number, pair in enumerate(PAIRS):
        book.active.append([number, *pair])
    book.active.append([99, "no label"])
    book.create_sheet("Empty")
    book.save(tmp_path / "d.xlsx")
    assert _pairs(tmp_path / "d.xlsx") == PAIRS
    with pytest.raises(DataError, match=r"1 of 17 rows has no label \(line 18\)"):
        _pairs(tmp_path / "d.xlsx", ReadOptions(drop_missing=False))
    book["Empty"].append(["text", "label"])
    book["Empty"].append(["a", "b"])
    book.save(tmp_path / "d.xlsx")
    with pytest.raises(DataError, match="several sheets with data; pass split, one of 'Sheet', 'Empty'"):
        _pairs(tmp_path / "d.xlsx")
    assert _pairs(tmp_path / "d.xlsx", ReadOptions(split="Empty")) == [("a", "b")]
    _write(tmp_path / "d.xlsx", "no workbook")
    with pytest.raises(DataError, match=r"is not a readable .xlsx file"):
        _pairs(tmp_path / "d.xlsx")


@pytest.mark.parametrize(
    "value",
    [
        [{"text": text, "label": label} for text, label in PAIRS],
        {"data": [{"text": text, "label": label} for text, label in PAIRS]},
        LABELS,
        {"intents": [{"tag": label, "patterns": texts, "responses": ["ok"]} for label, texts in LABELS.items()]},
        {"text": [text for text, _ in PAIRS], "label": [label for _, label in PAIRS]},
        {"columns": ["text", "label"], "index": [*range(16)], "data": PAIRS},
        {"text": {str(n): t for n, (t, _) in enumerate(PAIRS)}, "label": {str(n): s for n, (_, s) in enumerate(PAIRS)}},
        {str(n): {"text": text, "label": label} for n, (text, label) in enumerate(PAIRS)},
        {"train": [{"text": text, "label": label} for text, label in PAIRS], "test": []},
        {"nlu": [{"intent": label, "examples": [{"text": t} for t in texts]} for label, texts in LABELS.items()]},
    ],
)
def test_json_of_every_structure_is_read(value, tmp_path):
    assert _pairs(_write(tmp_path / "d.json", json.dumps(value, indent=1))) == PAIRS
    assert _pairs(_write(tmp_path / "d.yaml", json.dumps(value))) == PAIRS


def test_json_lines_in_a_json_file_and_compressed_files_are_read(tmp_path):
    lines = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in PAIRS)
    assert _pairs(_write(tmp_path / "d.json", lines)) == PAIRS
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("folder/d.jsonl", lines)
        archive.writestr("__MACOSX/d.jsonl", "x")
    assert _pairs(tmp_path / "archive.zip") == PAIRS
    with zipfile.ZipFile(tmp_path / "archive.zip", "a") as archive:
        archive.writestr("more.csv", "x")
    with pytest.raises(DataError, match="contains 2 files .*; unpack it and pass one of them"):
        _pairs(tmp_path / "archive.zip")
    import pyarrow

    with pyarrow.CompressedOutputStream(str(tmp_path / "d.jsonl.zst"), "zstd") as file:
        file.write(lines.encode())
    assert _pairs(tmp_path / "d.jsonl.zst") == PAIRS
    packed = gzip.compress(lines.encode(), mtime=0)
    with pytest.raises(DataError, match=r"d.jsonl.gz is damaged"):
        _pairs(_write(tmp_path / "d.jsonl.gz", packed[:-20]))
    with pytest.raises(DataError, match="is compressed, which is supported for text files only"):
        _pairs(_write(tmp_path / "d.parquet.gz", packed))


def test_saved_data_sets_and_arrow_files_are_read(tmp_path):
    from datasets import Dataset, DatasetDict

    data = Dataset.from_dict({"text": [text for text, _ in PAIRS], "label": [label for _, label in PAIRS]})
    data.save_to_disk(tmp_path / "saved")
    DatasetDict(train=data, test=data.select([0])).save_to_disk(tmp_path / "splits")
    assert _pairs(tmp_path / "saved") == _pairs(tmp_path / "splits") == PAIRS
    assert _pairs(next((tmp_path / "saved").glob("*.arrow"))) == PAIRS
    assert _pairs(tmp_path / "splits", ReadOptions(split="test")) == PAIRS[:1]
    with pytest.raises(DataError, match="no split 'dev'; pass split, one of 'train', 'test'"):
        _pairs(tmp_path / "splits", ReadOptions(split="dev"))


def test_several_files_are_one_table(tmp_path):
    for label, texts in LABELS.items():
        _write(tmp_path / f"train_{label}.json", json.dumps({label: texts}))
    assert sorted(_pairs(tmp_path)) == sorted(PAIRS)
    assert len(_pairs(f"{tmp_path}/train_[sf]*.json")) == 8
    _write(tmp_path / "train_x.json", json.dumps([{"other": "x"}]))
    with pytest.raises(DataError, match="has the columns 'other', but .* has 'text', 'label'"):
        _pairs(tmp_path)


def test_guesses_are_printed(tmp_path, caplog):
    caplog.set_level("INFO")
    name, content, _ = SHAPES["17 support tickets"]
    path = _write(tmp_path / name, content)
    assert find_columns(read_data(path, ReadOptions())) == ("Ticket Description", "Ticket Type")
    assert "text from 'Ticket Description', labels from 'Ticket Type'; not used: 'Ticket ID'" in caplog.text
    assert "to join columns of texts, pass text_column='Ticket Description,Ticket Subject'" in caplog.text


@pytest.mark.parametrize(
    "table",
    [
        pytest.param({"text": [t for t, _ in PAIRS], "Tags": [f"{n % 5};{n % 3}" for n in range(16)]}, id="separated"),
        pytest.param({"text": [t for t, _ in PAIRS], "Tags": [f"{n % 5}\n{n % 3}" for n in range(16)]}, id="on lines"),
        pytest.param({"text": [t for t, _ in PAIRS], "Tags": [f"{n % 5}\t{n % 3}" for n in range(16)]}, id="by tabs"),
        pytest.param({"body": [t for t, _ in PAIRS], "about": [[f"{n % 5}", "x"] for n in range(16)]}, id="lists"),
        pytest.param({"text": [t for t, _ in PAIRS], "topics": [c for _, c in PAIRS], "id": range(16)}, id="plural"),
    ],
)
def test_columns_of_several_labels_are_found(table):
    assert find_columns(Table(columns=table, source="t")) == tuple(table)[:2]


def test_a_column_of_texts_with_semicolons_is_no_label():
    texts = [f"{text}; and so on" for text, _ in PAIRS]
    with pytest.raises(DataError, match="which column is the label"):
        find_columns(Table(columns={"text": texts, "notes": [t.upper() for t in texts]}, source="t"))
