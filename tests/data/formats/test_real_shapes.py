"""Files of the shapes in which real labelled sentences are published are read at the first try."""

import gzip
import json
import zipfile

import pytest

from tercet.data.columns.guessing import find_columns
from tercet.data.loading.labelled import load_labelled
from tercet.data.reading.options import ReadOptions
from tercet.data.reading.selection import read_data
from tercet.data.tables.table import Table
from tercet.errors import DataError
from tests.conftest import TOPICS
from tests.data.formats.topics import LABELS, PAIRS, read_pairs, write

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


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_read_at_the_first_try(shape, tmp_path):
    name, content, expected = SHAPES[shape]
    assert read_pairs(write(tmp_path / name, content)) == expected


@pytest.mark.parametrize("rows", [[["a b", "x"], ["c"]], ["ab", "cd"]])
def test_rows_without_a_value_for_each_column_are_refused(tmp_path, rows):
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"columns": ["text", "label"], "data": rows}))
    with pytest.raises(DataError, match="not every row of 'data' is a list of 2 values"):
        read_data(path, ReadOptions())


def test_several_labels_of_fasttext_are_a_list(tmp_path):
    path = write(tmp_path / "d.txt", "__label__a __label__b hello there\n__label__a\tbye\n__label__c so\n")
    with pytest.raises(DataError, match="1 of 3 rows has several labels in one cell, such as 'a, b'"):
        read_pairs(path)
    found = load_labelled(path, ReadOptions(multi_label=";"))
    assert (found.sentences, found.labels()) == (["hello there", "bye", "so"], ["a;b", "a", "c"])


def test_a_line_separator_within_an_example_of_rasa_is_kept(tmp_path):
    path = write(tmp_path / "d.md", "## intent:a\r\n- one\u2028two\r\n- three\r\n")
    assert read_pairs(path) == [("one\u2028two", "a"), ("three", "a")]


def test_values_of_yaml_are_texts_as_they_are_written(tmp_path):
    path = write(tmp_path / "d.yml", "- {text: 10:30, label: no}\n- {text: on, label: 010}\n- {text: b, label: }\n")
    assert read_pairs(path, ReadOptions(drop_missing=True)) == [("10:30", "no"), ("on", "010")]


def test_objects_with_texts_under_another_key_are_refused(tmp_path):
    rows = [{"tag": "a", "patterns": ["a b"]}, {"tag": "b", "patterns": "c d"}, {"tag": "c", "patterns": []}]
    assert read_pairs(write(tmp_path / "d.json", json.dumps(rows))) == [("a b", "a"), ("c d", "b")]
    with pytest.raises(DataError, match="row 3 has no list of texts 'patterns', as the first one has"):
        read_pairs(write(tmp_path / "d.json", json.dumps([*rows, {"tag": "d", "examples": ["e"]}])))


def test_a_header_of_lines_without_columns_is_refused(tmp_path):
    path = write(tmp_path / "d.txt", "".join(f"{text}\n" for text, _ in PAIRS))
    with pytest.raises(DataError, match=r"line of .*d.txt is a text; leave out header=True, or pass csv_separator"):
        read_data(path, ReadOptions(header=True))
    assert len(read_data(path, ReadOptions(header=False))) == 16
    write(path, "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in PAIRS))
    assert read_pairs(path, ReadOptions(header=True, csv_separator="tab")) == PAIRS


def test_several_labels_in_a_cell_are_refused_with_the_options(tmp_path):
    rows = "".join(f"{text}\t{'2,3' if n % 4 == 0 else n % 4}\tid{n}\n" for n, (text, _) in enumerate(PAIRS * 2))
    with pytest.raises(DataError, match="8 of 32 rows have several labels in one cell, separated by ','"):
        read_pairs(write(tmp_path / "train.tsv", rows), ReadOptions(text_column="0", label_column="1"))


def test_a_file_of_labels_before_texts_is_refused_with_code_that_converts_it(tmp_path):
    path = write(tmp_path / "train_5500.label", "".join(f"DESC:{label} {text}\n" for text, label in PAIRS))
    with pytest.raises(DataError, match="unsupported file type") as caught:
        read_pairs(path)
    exec(str(caught.value).split("for example with: ")[1])
    assert read_pairs(path.with_suffix(".jsonl")) == [(text, f"DESC:{label}") for text, label in PAIRS]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252"])
def test_exports_of_spreadsheets_are_read(encoding, tmp_path, caplog):
    caplog.set_level("INFO")
    rows = [("text", "label"), *((f"{text}, naïve café – “quoted”", label) for text, label in PAIRS)]
    path = write(tmp_path / "d.csv", ("sep=;\r\n" + _csv(rows, ";").replace("\n", "\r\n")).encode(encoding))
    assert read_pairs(path) == rows[1:]
    assert ("read as" in caplog.text) == (encoding != "utf-8-sig")
    assert read_pairs(path, ReadOptions(encoding=encoding.removesuffix("-sig"))) == rows[1:]


@pytest.mark.slow
def test_a_workbook_is_read(tmp_path):
    book = pytest.importorskip("openpyxl").Workbook()
    book.active.append(["id", "text", "label", None])
    for number, pair in enumerate(PAIRS):
        book.active.append([number, *pair])
    book.active.append([99, "no label"])
    book.create_sheet("Empty")
    book.save(tmp_path / "d.xlsx")
    assert read_pairs(tmp_path / "d.xlsx") == PAIRS
    with pytest.raises(DataError, match=r"1 of 17 rows has no label \(line 18\)"):
        read_pairs(tmp_path / "d.xlsx", ReadOptions(drop_missing=False))
    book["Empty"].append(["text", "label"])
    book["Empty"].append(["a", "b"])
    book.save(tmp_path / "d.xlsx")
    with pytest.raises(DataError, match="several sheets with data; pass split, one of 'Sheet', 'Empty'"):
        read_pairs(tmp_path / "d.xlsx")
    assert read_pairs(tmp_path / "d.xlsx", ReadOptions(split="Empty")) == [("a", "b")]
    write(tmp_path / "d.xlsx", "no workbook")
    with pytest.raises(DataError, match=r"is not a readable .xlsx file"):
        read_pairs(tmp_path / "d.xlsx")


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
    assert read_pairs(write(tmp_path / "d.json", json.dumps(value, indent=1))) == PAIRS
    assert read_pairs(write(tmp_path / "d.yaml", json.dumps(value))) == PAIRS


def test_json_lines_in_a_json_file_and_compressed_files_are_read(tmp_path):
    lines = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in PAIRS)
    assert read_pairs(write(tmp_path / "d.json", lines)) == PAIRS
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("folder/d.jsonl", lines)
        archive.writestr("__MACOSX/d.jsonl", "x")
    assert read_pairs(tmp_path / "archive.zip") == PAIRS
    with zipfile.ZipFile(tmp_path / "archive.zip", "a") as archive:
        archive.writestr("more.csv", "x")
    with pytest.raises(DataError, match="contains 2 files .*; unpack it and pass one of them"):
        read_pairs(tmp_path / "archive.zip")
    import pyarrow

    with pyarrow.CompressedOutputStream(str(tmp_path / "d.jsonl.zst"), "zstd") as file:
        file.write(lines.encode())
    assert read_pairs(tmp_path / "d.jsonl.zst") == PAIRS
    packed = gzip.compress(lines.encode(), mtime=0)
    with pytest.raises(DataError, match=r"d.jsonl.gz is damaged"):
        read_pairs(write(tmp_path / "d.jsonl.gz", packed[:-20]))
    with pytest.raises(DataError, match="is compressed, which is supported for text files only"):
        read_pairs(write(tmp_path / "d.parquet.gz", packed))


def test_guesses_are_printed(tmp_path, caplog):
    caplog.set_level("INFO")
    name, content, _ = SHAPES["17 support tickets"]
    path = write(tmp_path / name, content)
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
