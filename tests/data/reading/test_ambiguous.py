"""Files with two plausible readings are refused with a sentence that says what to add; what was added decides."""

import json

import pytest

from tercet.data.loading.labelled import load_labelled
from tercet.data.loading.training_data import load_training_data
from tercet.data.loading.triplets import load_triplets
from tercet.data.reading.options import ReadOptions
from tercet.data.reading.selection import read_data
from tercet.errors import DataError

# Each case: the file, its content, a part of the message, and the options that decide.
CASES = {
    "two separators": (
        "d.csv", "name;place,kind\na b;c,x\nd e;f,y\n",
        r"may be separated by commas or by semicolons \(their names would be 'name;place', 'kind' or 'name', 'place,k",
        {"csv_separator": ";", "text_column": "name", "label_column": "place,kind"},
    ),
    "header or data": (
        "d.csv", "message_body,spam\nhello how are you today,ham\nyou have won a prize,spam\nsee you later then,ham\n",
        "the first line may be the column names or data .*pass header=False .*or header=True",
        {"header": True, "label_column": "spam"},
    ),
    "Russian or Western European": (
        "d.csv", "text,label\nпривет мир,x\nдобрый день,y\n".encode("cp1251"),
        r"several encodings are possible \('.*' in cp1251.*\); pass encoding",
        {"encoding": "cp1251"},
    ),
    "Polish or Western European": (
        "d.csv", "text,label\nzażółć gęślą jaźń,x\nłódź,y\n".encode("cp1250"),
        r"several encodings are possible \('.*' in cp1250.*\); pass encoding",
        {"encoding": "cp1250"},
    ),
    "columns or texts in .txt": (
        "d.txt", "ham\thello how are you\nspam\tyou have won\nham\tsee you later\n",
        "has a tab in every line: is each line a text, or has it several columns.*csv_separator='tab'",
        {"csv_separator": "tab", "text_column": "1", "label_column": "0"},
    ),
    "columns or labels in .json": (
        "d.json", json.dumps({"text": ["a", "b"], "weather": ["x", "y"]}),
        "may be columns, or the texts of one label each; write a list of objects", None,
    ),
    "several splits": (
        "d.json", json.dumps({"training": [["a", "x"]], "train_small": [["b", "y"]]} | {"test": [["c", "z"]]}),
        "has no split 'train'; pass split, one of 'training', 'train_small', 'test'",
        {"split": "train_small", "text_column": "0", "label_column": "1"},
    ),
    "two text columns": (
        "d.csv", "first note,second note,kind\n" + "a long text of words,another long text,x\nb c d e,f g h i,y\n" * 2,
        r"which column is the text\?", {"text_column": "first note,second note", "label_column": "kind"},
    ),
    "title and text": (
        "d.csv", "title,text,label\na,b,x\nc,d,y\n",
        "several have a usual name: 'title', 'text'; pass text_column, or text_column='title,text' to join them",
        {"text_column": "title,text"},
    ),
    "two label columns": (
        "d.csv", "text,priority,channel\n" + "".join(f"text {n},{n % 2},{'ab'[n % 2]}\n" for n in range(6)),
        r"which column is the label\?", {"label_column": "channel"},
    ),
    "several labels in a cell": (
        "d.csv", "text,label\na,x;y\nb,x\nc,y\n", "several labels in one cell.*combined_labels='first'",
        {"combined_labels": "first"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_two_readings_are_refused_until_an_option_decides(case, tmp_path):
    name, content, message, options = CASES[case]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        load_labelled(path)
    if options is not None:
        assert len(load_labelled(path, ReadOptions(**options))) > 0


def test_files_that_are_read_today_keep_their_meaning(tmp_path, caplog):
    caplog.set_level("INFO")
    files = {
        "a.csv": "text,label\nhello; world|x,a\nb\tc,b\n",
        "b.tsv": "text\tlabel\nhello, world; x\ta\nb, c\tb\n",
        "c.csv": 'text,label\n"a;b",x;y\n"c;d",z;w\n',
        "d.csv": "text\nhello\nworld\n",
        "e.csv": "text,label\n¡olé!,ñ\n",
        "f.jsonl": '{"text": "a", "label": "x"}\n',
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    found = {name: list(read_data(tmp_path / name, ReadOptions()).columns.values()) for name in files}
    assert found["a.csv"] == [["hello; world|x", "b\tc"], ["a", "b"]]
    assert found["b.tsv"] == [["hello, world; x", "b, c"], ["a", "b"]]
    assert found["c.csv"] == [["a;b", "c;d"], ["x;y", "z;w"]]
    assert found["d.csv"] == [["hello", "world"]]
    assert found["e.csv"] == [["¡olé!"], ["ñ"]]
    assert found["f.jsonl"] == [["a"], ["x"]]
    assert not caplog.records


def test_western_text_in_cp1252_is_read(tmp_path, caplog):
    caplog.set_level("INFO")
    text = "Größe, façade, año, œuvre, l’été – “déjà vu” … 5 €, ¿qué?"
    (tmp_path / "d.csv").write_bytes(f'text,label\n"{text}",x\n'.encode("cp1252"))
    assert load_labelled(tmp_path / "d.csv").sentences == [text]
    assert "read as cp1252 (Western European), because it is not UTF-8: byte 0xf6 on line 2" in caplog.text
    with pytest.raises(DataError, match="is not in the encoding utf-8: byte 0xf6 on line 2; pass another encoding"):
        load_labelled(tmp_path / "d.csv", ReadOptions(encoding="utf-8"))
    with pytest.raises(DataError, match="encoding must be a name such as 'utf-8', .*, got 'latin-x'"):
        load_labelled(tmp_path / "d.csv", ReadOptions(encoding="latin-x"))


def test_rows_are_chosen_and_keep_their_numbers(tmp_path):
    rows = [{"text": f"text {n}", "label": "ab"[n % 2], "part": ["train", "test"][n % 3 == 0]} for n in range(30)]
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    train = load_labelled(path, ReadOptions(split_column="part"))
    assert train.rows.tolist() == [n for n in range(30) if n % 3]
    both = load_training_data(path, None, 0.2, ReadOptions(split_column="part"), triplets=False, seed=0)
    assert (both.train_rows, both.held_out_rows) == (train.rows.tolist(), list(range(0, 30, 3)))
    assert both.evaluation["sentence"][:2] == ["text 0", "text 3"]
    assert load_labelled(path, ReadOptions(limit=5)).sentences == [f"text {n}" for n in range(5)]
    sample = load_labelled(path, ReadOptions(split_column="part", sample=5))
    assert len(sample) == 5
    assert set(sample.rows) <= set(train.rows)
    assert sample.sentences == load_labelled(path, ReadOptions(split_column="part", sample=5)).sentences
    with pytest.raises(DataError, match="no row has 'dev' in the column 'part'; pass split, one of 'test', 'train'"):
        load_labelled(path, ReadOptions(split_column="part", split="dev"))
    with pytest.raises(DataError, match="limit must be at least 1, got 0"):
        ReadOptions(limit=0)


def test_splits_of_a_column_hold_for_triplets_and_in_any_case(tmp_path, caplog):
    names = ("anchor", "positive", "negative")
    rows = [{**{name: f"{name} {n}" for name in names}, "part": ["Train", "Test"][n % 3 == 0]} for n in range(9)]
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ReadOptions(split_column="part", split="Train")
    found = load_training_data(path, None, 0.2, options, triplets=True, seed=0)
    assert (found.train_rows, found.held_out_rows) == ([1, 2, 4, 5, 7, 8], [0, 3, 6])
    assert found.evaluation["positive"][:] == ["positive 0", "positive 3", "positive 6"]
    other = tmp_path / "eval.jsonl"  # which has no column of splits
    other.write_text(json.dumps({name: name for name in names}))
    assert len(load_training_data(path, str(other), 0.2, options, triplets=True, seed=0).evaluation) == 1
    caplog.set_level("INFO", logger="tercet")
    path.write_text(path.read_text().replace('"Test"', '"held"'))
    assert len(load_training_data(path, None, 0.4, options, triplets=True, seed=0).held_out_rows) == 2
    assert "rows with 'held' in 'part' are not used, because evaluation rows have one of 'validation'" in caplog.text
    for name in ("label_file", "label_levels", "multi_label"):
        with pytest.raises(DataError, match=f"triplets have no labels; pass no {name} with the triplet loss"):
            load_triplets(path, ReadOptions(**{name: "/"}))


def test_labels_of_a_file_in_another_order_are_refused(tmp_path):
    data, labels = tmp_path / "d.csv", tmp_path / "l.csv"
    data.write_text("id,text\n1,a\n2,b\n")
    labels.write_text("id,label\n2,x\n1,y\n")
    with pytest.raises(DataError, match="different values in the column 'id' in row 0, so their rows are in another"):
        load_labelled(data, ReadOptions(label_file=str(labels)))
    labels.write_text("id,label\n1,y\n2,x\n")
    assert load_labelled(data, ReadOptions(label_file=str(labels))).labels() == ["y", "x"]


def test_columns_of_texts_are_joined(tmp_path):
    (tmp_path / "d.csv").write_text("title,body,label\nA title,A body,x\nOnly a title,,y\n,Only a body,x\n,,y\n")
    data = load_labelled(tmp_path / "d.csv", ReadOptions(text_column="title,body"))
    assert data.sentences == ["A title\nA body", "Only a title", "Only a body"]
    with pytest.raises(DataError, match="has no column 'bodyy'; did you mean 'body'"):
        load_labelled(tmp_path / "d.csv", ReadOptions(text_column="title,bodyy"))
