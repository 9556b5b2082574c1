"""Options of DATA that a file of labels or of evaluation data does not take, and the reverse."""

import json
from dataclasses import replace

import pyarrow as pa
import pytest
from pyarrow import parquet

from tercet.data.loading.labelled import load_labelled
from tercet.data.loading.training_data import load_training_data
from tercet.data.reading.options import ReadOptions
from tercet.errors import DataError

TEXTS = ["prvý text", "druhý text", "tretí text", "štvrtý text"]
LABELS = ["x", "y", "x", "y"]
# The content of a file of labels by its name. The separator of some is not one of those that are found.
LABEL_FILES = {
    "d.jsonl": "".join(json.dumps({"label": label}) + "\n" for label in LABELS),
    "d.json": json.dumps([{"label": label} for label in LABELS]),
    "d.csv": "id,label\n" + "".join(f"{number},{label}\n" for number, label in enumerate(LABELS)),
    "own.csv": "id~label\n" + "".join(f"{number}~{label}\n" for number, label in enumerate(LABELS)),
    "one.csv": "label\n" + "".join(f"{label}\n" for label in LABELS),
    "d.txt": "".join(f"{label}\n" for label in LABELS),
}


def _label_file(folder, name):
    path = folder / name
    if name.endswith(".parquet"):
        parquet.write_table(pa.table({"label": LABELS}), path)
    else:
        path.write_text(LABEL_FILES[name])
    return str(path)


@pytest.mark.parametrize("header", [None, True])
@pytest.mark.parametrize("name", ["d.parquet", *LABEL_FILES])
def test_options_of_the_data_are_those_of_its_file_of_labels_if_its_format_takes_them(name, header, tmp_path):
    data = tmp_path / "texts.csv"
    data.write_bytes(("id~text\n" + "".join(f"{n}~{text}\n" for n, text in enumerate(TEXTS))).encode("cp1250"))
    labels = _label_file(tmp_path, name)
    options = ReadOptions(encoding="cp1250", csv_separator="~", label_file=labels, text_column="text", header=header)
    rows = load_labelled(data, options)
    assert (rows.sentences, rows.labels()) == (TEXTS, LABELS)


def test_a_file_of_labels_has_names_where_its_format_has_them(tmp_path):
    data = tmp_path / "texts.csv"
    data.write_text("".join(f"{n},{text}\n" for n, text in enumerate(TEXTS)))
    labels = _label_file(tmp_path, "d.jsonl")
    rows = load_labelled(data, ReadOptions(header=False, text_column="1", label_file=labels))
    assert (rows.sentences, rows.labels()) == (TEXTS, LABELS)


def test_labels_with_the_separator_of_the_data_stay_whole_in_a_list(tmp_path):
    data, labels = tmp_path / "texts.csv", tmp_path / "labels.txt"
    data.write_text("id;text\n" + "".join(f"{n};{text}\n" for n, text in enumerate(TEXTS)))
    labels.write_text("x;y\nx;z\ny;z\nx;y\n")
    options = ReadOptions(csv_separator=";", text_column="text", label_file=str(labels), multi_label=";")
    assert load_labelled(data, options).labels() == ["x;y", "x;z", "y;z", "x;y"]
    labels.write_text("".join(f"{n}\t{label}\n" for n, label in enumerate(LABELS)))
    data.write_text("text\n" + "".join(f"{text}\n" for text in TEXTS))
    tab = ReadOptions(csv_separator="tab", label_file=str(labels), label_column="1")
    assert load_labelled(data, tab).labels() == LABELS


def test_an_option_may_be_for_the_file_of_labels_alone(tmp_path):
    parquet.write_table(pa.table({"text": TEXTS}), tmp_path / "d.parquet")
    options = ReadOptions(csv_separator="~", label_file=_label_file(tmp_path, "own.csv"), label_column="label")
    assert load_labelled(tmp_path / "d.parquet", options).labels() == LABELS
    with pytest.raises(DataError, match=r"csv_separator is for .*; leave it out for .*d\.parquet"):
        load_labelled(tmp_path / "d.parquet", replace(options, label_file=_label_file(tmp_path, "d.jsonl")))


@pytest.mark.parametrize("reverse", [False, True])
def test_evaluation_data_may_have_another_format(reverse, tmp_path):
    csv, lines = tmp_path / "d.csv", tmp_path / "e.jsonl"
    rows = list(zip(TEXTS, LABELS, strict=True))
    csv.write_bytes(("text~label\n" + "".join(f"{text}~{label}\n" for text, label in rows)).encode("cp1250"))
    lines.write_bytes("".join(json.dumps({"text": t, "label": label}) + "\n" for t, label in rows).encode())
    data, eval_data = (lines, csv) if reverse else (csv, lines)
    options = ReadOptions(csv_separator="~", encoding="cp1250")
    found = load_training_data(data, eval_data, 0.2, options, triplets=False, seed=0)
    assert (found.train["sentence"][:], found.evaluation["sentence"][:]) == (TEXTS, TEXTS)
