"""Wrong input of `tercet classify` is one line."""

import json
import os
import shutil

import pyarrow as pa
import pytest
from pyarrow import parquet

from tercet.decisions import LabelClassifier
from tests.cli.classify.files import write
from tests.cli.command import run


@pytest.mark.parametrize(
    ("columns", "more", "message"),
    [
        ({"text": ["a", "", "b"]}, ("--strict",), "1 of 3 rows has no text (line 3); fill them in, or pass --drop-m"),
        ({"a": ["x"], "b": ["y"]}, (), "which column is the text? the columns are 'a', 'b'; pass --text-column"),
        ({"text": ["x"]}, ("--text-column", "txt"), "has no column 'txt'; did you mean 'text'?"),
        ({"text": ["x"]}, ("--label-column", "team"), "has no column 'team'"),
        ({"text": ["x"], "novelty": ["1"]}, (), "already has the column 'novelty', which would be added; rename or"),
        ({"text": ["x"], "label_2": ["1"]}, ("--top", 2), "already has the column 'label_2'"),
        ({"text": ["x"]}, ("--top", 5), "--top must be at most 4, the number of labels, got 5"),
        ({"text": ["x"]}, ("--min-precision", 1), "--min-precision must be above 0 and below 1, got 1.0; no"),
        ({"text": ["x"]}, ("--min-precision", 0), "--min-precision must be above 0 and below 1, got 0.0"),
        ({"text": ["x"]}, ("--min-precision", 0.9999), "no threshold gives 99.99 % precision with 95 % confidence"),
        ({"text": ["x"]}, ("--coverage", 2), "--coverage must be above 0 and at most 1, got 2.0"),
        ({"text": ["x"]}, ("--coverage", 0.5, "--threshold", 0.5), "--coverage and --threshold exclude each other"),
        ({"text": ["x"]}, ("--min-precision", 98), "got 98.0; for 98 %, pass 0.98"),
        ({"text": ["x"]}, ("--output", "x.xlsx"), "--output must end in .csv or .tsv or .jsonl"),
        ({"text": ["x"]}, ("--format", "parquet"), "--format must be one of 'csv', 'tsv', 'jsonl'"),
        ({"text": ["x"]}, ("--format", "tsv", "--output", "x.csv"), "--format is for standard output; leave it out"),
        ({"text": ["x"]}, ("--json",), "--json needs --output, since standard output has the answers"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line_and_code_2(columns, more, message, model, tmp_path):
    data = write(tmp_path / "d.csv", columns)
    done = run("classify", model, data, *more, expect=2, cwd=tmp_path)
    assert message in done.stderr
    assert "loading PyTorch" not in done.stderr  # nothing was loaded in vain
    assert done.stderr.count("tercet: error") == 1
    assert done.stdout == ""
    assert os.listdir(tmp_path) == ["d.csv"]


def test_a_text_that_is_no_string_is_named_by_its_row(model, tmp_path):
    parquet.write_table(pa.table({"text": pa.array([float("nan"), 1.0])}), tmp_path / "d.parquet")
    assert "row 0" in run("classify", model, tmp_path / "d.parquet", expect=2).stderr
    (tmp_path / "d.jsonl").write_text('{"text": "a"}\n{"text": null}\n{"id": 3}\n')
    strict = run("classify", model, tmp_path / "d.jsonl", "--strict", expect=2)
    assert "2 of 3 rows have no text (lines 2, 3)" in strict.stderr
    done = run("classify", model, tmp_path / "d.jsonl", "--format", "jsonl")
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == ["a"]
    assert "rows left out: 2" in done.stderr


def test_folders_without_a_whole_classifier_are_one_line(model, bert, tmp_path):
    data = write(tmp_path / "d.csv", {"text": ["a"]})
    assert "no folder 'nowhere'; pass the folder of a model" in run("classify", "nowhere", data, expect=2).stderr
    assert (
        "has no classifier (label_classifier.json); fit one with: tercet fit-classifier"
        in run("classify", bert, data, expect=2).stderr
    )
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    (broken / "label_classifier.safetensors").write_bytes(b"no tensors")
    assert "is not a valid file" in run("classify", broken, data, expect=2).stderr
    # An impossible option is refused before the weights are read.
    assert "--top must be at most 4" in run("classify", broken, data, "--top", 5, "--explain", expect=2).stderr
    LabelClassifier().fit([[0.0, 1.0], [1.0, 0.0]] * 2, ["a", "b"] * 2).save(tmp_path / "vectors")
    assert (
        "has a classifier of embeddings and no encoder" in run("classify", tmp_path / "vectors", data, expect=2).stderr
    )
