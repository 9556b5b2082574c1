"""`tercet classify`: a table with answers."""

import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tercet.decisions import LabelClassifier
from tests.cli.classify.files import draw_sentences, rows_of, write
from tests.cli.command import run
from tests.conftest import TOPICS


def test_a_table_keeps_its_columns_and_gets_three_more(model, new, tmp_path):
    texts, labels = new
    ids = [f"{row:03}" for row in range(len(texts))]
    data = write(tmp_path / "new.csv", {"": ids, "id": ids, "text": texts, "note": ['a "b", c\nd'] * len(texts)})
    done = run("classify", model, data, "--output", tmp_path / "routed.csv")
    assert f"coverage 100.0 %: {len(texts)} of {len(texts)} rows answered" in done.stdout
    assert "written to" in done.stderr
    rows = rows_of((tmp_path / "routed.csv").read_text())
    assert list(rows[0]) == ["", "id", "text", "note", "label", "confidence", "novelty"]
    assert [row[""] for row in rows] == [row["id"] for row in rows] == ids
    assert rows[0]["note"] == 'a "b", c\nd'
    classifier = LabelClassifier.load(model, device="cpu")
    decisions = classifier.decision(texts)
    assert [row["label"] for row in rows] == list(decisions.labels)
    assert [float(row["confidence"]) for row in rows] == pytest.approx(decisions.confidence.tolist(), abs=1e-5)
    assert [float(row["novelty"]) for row in rows] == pytest.approx(decisions.novelty.tolist(), abs=1e-6)
    accuracy = sum(row["label"] == label for row, label in zip(rows, labels, strict=True)) / len(rows)
    assert accuracy > 0.8
    again = run("classify", model, data, "--output", tmp_path / "routed.csv", expect=2)
    assert "already exists; choose another --output or add --overwrite" in again.stderr
    assert run("classify", model, data, "--quiet").stdout == (tmp_path / "routed.csv").read_text()


def test_parquet_and_json_lines_keep_types_and_windows_files_are_read(model, new, tmp_path):
    texts = new[0][:4]
    table = pa.table(
        {"n": pa.array([1, 2, 3, None], pa.int16()), "when": pa.array([0, 1, 2, 3], pa.date32()), "text": texts}
    )
    parquet.write_table(table, tmp_path / "new.parquet")
    for name in ("a.parquet", "b.jsonl", "c.tsv"):
        run("classify", model, tmp_path / "new.parquet", "--output", tmp_path / name, "--threshold", "1", "--quiet")
    written = parquet.read_table(tmp_path / "a.parquet")
    assert written.select(table.column_names).schema.remove_metadata() == table.schema
    assert written.column("label").to_pylist() == [None] * 4
    rows = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert rows[3]["n"] is rows[3]["label"] is None
    assert [row["when"] for row in rows] == ["1970-01-01", "1970-01-02", "1970-01-03", "1970-01-04"]
    assert [row["label"] for row in rows_of((tmp_path / "c.tsv").read_text(), "\t")] == [""] * 4
    (tmp_path / "d.csv").write_bytes("﻿text\r\n".encode() + "\r\n".join(texts).encode())
    (tmp_path / "e.jsonl").write_text("".join(json.dumps({"id": [1], "text": text}) + "\r\n" for text in texts))
    answers = rows_of(run("classify", model, tmp_path / "d.csv").stdout)
    lines = [
        json.loads(line)
        for line in run("classify", model, tmp_path / "e.jsonl", "--format", "jsonl").stdout.splitlines()
    ]
    assert [row["label"] for row in answers] == [line["label"] for line in lines]
    assert all(line["id"] == [1] and isinstance(line["confidence"], float) for line in lines)


def test_answers_beside_integers_are_integers(bert, new, tmp_path):
    texts, labels = draw_sentences(30, seed=0)
    numbers = {label: 7 * number for number, label in enumerate(TOPICS)}
    lines = [json.dumps({"text": text, "label": numbers[label]}) for text, label in zip(texts, labels, strict=True)]
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    run("fit-classifier", bert, tmp_path / "train.jsonl", "--output", tmp_path / "model", "--unseen-rows")
    table = pa.table({"text": new[0], "label": [numbers[label] for label in new[1]]})
    parquet.write_table(table, tmp_path / "new.parquet")
    run("classify", tmp_path / "model", tmp_path / "new.parquet", "--output", tmp_path / "o.parquet", "--explain")
    written = parquet.read_table(tmp_path / "o.parquet")
    for name in ("predicted_label", "label_1", "label_2", "neighbour_1_label"):
        assert written.schema.field(name).type == pa.int64()
    assert np.mean(written["predicted_label"].to_numpy() == written["label"].to_numpy()) > 0.7
    run("classify", tmp_path / "model", tmp_path / "new.parquet", "--output", tmp_path / "o.jsonl", "--threshold", 0.9)
    found = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert {type(row["predicted_label"]) for row in found} == {int, type(None)}
    text = write(tmp_path / "new.csv", {"text": new[0], "label": ["7"] * len(new[0])})  # text, as all fields of a CSV
    run("classify", tmp_path / "model", text, "--output", tmp_path / "t.jsonl")
    assert isinstance(json.loads((tmp_path / "t.jsonl").read_text().splitlines()[0])["predicted_label"], str)


def test_a_limit_is_promised_and_leaves_answers_out(model, new, tmp_path):
    data = write(tmp_path / "new.csv", {"text": [*new[0], "zzz qqq xxx"]})
    classifier = LabelClassifier.load(model, device="cpu")
    for option, value in (("min_precision", 0.9), ("coverage", 0.5), ("threshold", 0.8), ("max_novelty", 0.5)):
        done = run("classify", model, data, f"--{option.replace('_', '-')}", value, "--format", "jsonl")
        assert classifier.promise(**{option: value}).describe() in done.stderr
        answers = [json.loads(line)["label"] for line in done.stdout.splitlines()]
        assert answers == list(classifier.predict([*new[0], "zzz qqq xxx"], **{option: value}))
    assert None in answers
    assert "unlike anything seen" in done.stderr
    by_label = run("classify", model, data, "--min-precision", 0.9, "--per-label")
    assert classifier.promise(min_precision=0.9, per_label=True).describe() in by_label.stderr
    assert "a novelty of at most 0.9" in run("classify", model, data, "--max-novelty", "auto").stderr


def test_evidence(model, new, tmp_path):
    data = write(tmp_path / "new.csv", {"text": new[0]})
    rows = rows_of(run("classify", model, data, "--explain", "--coverage", "0.5").stdout)
    neighbour = [f"neighbour_{n}{part}" for n in (1, 2, 3) for part in ("", "_label", "_similarity", "_text")]
    likeliest = [f"{part}_{n}" for n in (1, 2) for part in ("label", "confidence")]
    assert list(rows[0]) == ["text", "label", "confidence", "novelty", *likeliest, "reason", *neighbour]
    train, labels = draw_sentences(60, seed=0)
    for row in rows:
        assert row["neighbour_1_text"] == train[int(row["neighbour_1"])]
        assert row["neighbour_1_label"] == labels[int(row["neighbour_1"])]
        assert row["label"] == ("" if row["reason"] else row["label_1"])
        assert row["confidence_1"] == row["confidence"]
        assert float(row["confidence_1"]) >= float(row["confidence_2"])
    assert {row["reason"] for row in rows} == {"", "between labels"}
    top = rows_of(run("classify", model, data, "--top", 3).stdout)
    assert list(top[0])[4:] == [f"{part}_{n}" for n in (1, 2, 3) for part in ("label", "confidence")]


def test_new_data_that_are_different_are_reported(model, tmp_path):
    data = write(tmp_path / "drift.csv", {"text": [f"qq{n} xx{n} zz" for n in range(60)]})
    done = run("classify", model, data, "--output", tmp_path / "out.csv")
    assert done.stderr.count("novelty above 0.95") == 1
    assert "the measured precision and coverage do not hold" in done.stderr
    assert "pass --max-novelty auto to give them no answer, or label some of them" in done.stderr
    limited = run("classify", model, data, "--max-novelty", "auto")
    assert limited.stderr.count("novelty above 0.95") == 1
    assert "do not hold for them; label some of them and fit the classifier again" in limited.stderr


def test_the_answers_of_all_files_of_a_folder_have_the_same_names(model, new, tmp_path):
    data, out = tmp_path / "in", tmp_path / "out"
    data.mkdir()
    texts, labels = list(new[0]), list(new[1])
    for name in ("a", "b"):
        parquet.write_table(pa.table({"text": texts, "topic": labels}), data / f"{name}.parquet")
    run("classify", model, data, "--output", out)
    assert parquet.read_table(out / "b.parquet").column_names[:3] == ["text", "topic", "predicted_label"]
    # Another spelling of the path of the model is the same run; another classifier is not.
    again = run("classify", f"./{model.name}", data, "--output", out, cwd=model.parent)
    assert "0 of 2 files written" in again.stderr
    other = LabelClassifier.load(model, device="cpu")
    other.partial_fit(["a new label", "one more row of the new label"], ["new", "new"])
    other.save(tmp_path / "other")
    refused = run("classify", tmp_path / "other", data, "--output", out, expect=2)
    assert "has files of another run, with other values of 'content of the model'" in refused.stderr
    for columns, message in (
        ({"text": texts}, "z.parquet has no column 'topic'"),
        ({"text": texts, "topic": labels, "novelty": range(len(texts))}, "z.parquet already has the column 'novelty'"),
    ):
        parquet.write_table(pa.table(columns), data / "z.parquet")
        assert message in run("classify", model, data, "--output", tmp_path / "new", expect=2).stderr
    # The label column has another type, and a row has no text.
    parquet.write_table(pa.table({"text": texts, "topic": pa.array([0] * len(texts), pa.date32())}), data / "z.parquet")
    refused = run("classify", model, data, "--output", tmp_path / "new", expect=2)
    assert "z.parquet: the column 'topic' has the type date32[day]; convert it" in refused.stderr
    parquet.write_table(pa.table({"text": [*texts[1:], " "], "topic": labels}), data / "z.parquet")
    refused = run("classify", model, data, "--output", tmp_path / "new", "--strict", expect=2)
    assert f"z.parquet: 1 of {len(texts)} rows has no text (row {len(texts) - 1})" in refused.stderr
    parquet.write_table(pa.table({"text": texts, "novelty": range(len(texts))}), data / "z.parquet")
    parquet.write_table(pa.table({"text": texts}), data / "a.parquet")
    refused = run("classify", model, data / "*.parquet", "--output", tmp_path / "new", expect=2)
    assert "z.parquet already has the column 'novelty'" in refused.stderr
    parquet.write_table(pa.table({"text": texts}), data / "z.parquet")
    refused = run("classify", model, data / "*.parquet", "--output", tmp_path / "new", expect=2)
    assert "b.parquet has a column of labels, but" in refused.stderr
    assert not (tmp_path / "new").exists()
