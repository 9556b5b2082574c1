"""`tercet classify` and `tercet fit-classifier`: every format, streams through real pipes, wrong input in one line."""

import csv
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tercet.cli.classify_summary import Summary
from tercet.cli.table_input import TableInput
from tercet.decisions import LabelClassifier
from tests.child import ENVIRONMENT, start_tercet
from tests.cli.command import run
from tests.conftest import TOPICS

_WORDS = {name: sorted({word for text in topic for word in text.split()}) for name, topic in TOPICS.items()}


def _sentences(per_label, seed):
    """Return sentences and labels; a sentence has six words of its label."""
    draw = random.Random(seed)
    pairs = [(" ".join(draw.choices(words, k=6)), label) for label, words in _WORDS.items() for _ in range(per_label)]
    return [list(column) for column in zip(*pairs, strict=True)]


@pytest.fixture(scope="module")
def model(bert, tmp_path_factory):
    """The folder of a tiny encoder with a classifier of four labels."""
    folder = tmp_path_factory.mktemp("classified") / "model"
    classifier = LabelClassifier(str(bert), unseen_rows=True, keep_texts=True, device="cpu")
    classifier.fit(*_sentences(60, seed=0)).save(folder)
    return folder


@pytest.fixture(scope="module")
def new():
    return _sentences(5, seed=1)


def _write(path, columns):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *zip(*columns.values(), strict=True)])
    return path


def _rows(text, delimiter=","):
    return list(csv.DictReader(io.StringIO(text), delimiter=delimiter))


def test_a_table_keeps_its_columns_and_gets_three_more(model, new, tmp_path):
    texts, labels = new
    ids = [f"{row:03}" for row in range(len(texts))]
    data = _write(tmp_path / "new.csv", {"": ids, "id": ids, "text": texts, "note": ['a "b", c\nd'] * len(texts)})
    done = run("classify", model, data, "--output", tmp_path / "routed.csv")
    assert f"coverage 100.0 %: {len(texts)} of {len(texts)} rows answered" in done.stdout
    assert "written to" in done.stderr
    rows = _rows((tmp_path / "routed.csv").read_text())
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
    assert [row["label"] for row in _rows((tmp_path / "c.tsv").read_text(), "\t")] == [""] * 4
    (tmp_path / "d.csv").write_bytes("﻿text\r\n".encode() + "\r\n".join(texts).encode())
    (tmp_path / "e.jsonl").write_text("".join(json.dumps({"id": [1], "text": text}) + "\r\n" for text in texts))
    answers = _rows(run("classify", model, tmp_path / "d.csv").stdout)
    lines = [
        json.loads(line)
        for line in run("classify", model, tmp_path / "e.jsonl", "--format", "jsonl").stdout.splitlines()
    ]
    assert [row["label"] for row in answers] == [line["label"] for line in lines]
    assert all(line["id"] == [1] and isinstance(line["confidence"], float) for line in lines)


def test_labels_of_the_input_are_compared(model, new, tmp_path):
    texts, labels = new
    given = [f" {labels[0]}", *labels[1:-2], "", "weather"]
    data = _write(tmp_path / "test.csv", {"text": texts, "label": given})
    done = run("classify", model, data, "--output", tmp_path / "out.csv", "--json")
    found = json.loads(done.stdout)
    rows = _rows((tmp_path / "out.csv").read_text())
    assert [row["label"] for row in rows] == given
    right = sum(row["predicted_label"] == label for row, label in list(zip(rows, labels, strict=True))[:-2])
    assert found["labelled_rows"] == len(texts) - 2
    assert found["accuracy"] == pytest.approx(right / (len(texts) - 2))
    assert found["precision"] == pytest.approx(right / (len(texts) - 1))
    assert (found["rows_with_unknown_label"], found["unknown_rejected"], found["promise"]) == (1, 0.0, None)
    words = run("classify", model, data, "--output", tmp_path / "out2.csv", "--threshold", "0.9").stdout
    assert "precision" in words
    assert "1 row with a label that the classifier does not know" in words
    assert "does not know, such as 'weather': " in words


def test_a_usual_name_without_a_known_label_is_no_label_column(model, new, tmp_path):
    texts, labels = new
    data = _write(tmp_path / "new.csv", {"text": texts, "category": ["web", "app"] * (len(texts) // 2)})
    done = run("classify", model, data, "--output", tmp_path / "out.csv")
    # The names of the columns do not depend on the values, so they are the same for the next file.
    names = ["text", "category", "predicted_label", "confidence", "novelty"]
    assert list(_rows((tmp_path / "out.csv").read_text())[0]) == names
    assert "precision" not in done.stdout
    assert "does not know" not in done.stdout
    assert "the column 'category' is not compared, because the classifier knows none of its values" in done.stderr
    assert "pass --label-column category if they are labels" in done.stderr
    given = run("classify", model, data, "--label-column", "category")
    assert f"precision 0.0 %: 0 of {len(texts)} answers" in given.stderr
    assert "predicted_label" in given.stdout
    _write(data, {"text": texts, "category": [labels[0].upper(), *["web"] * (len(texts) - 1)]})
    done = run("classify", model, data)
    assert "the answers are compared with the labels in the column 'category'" in done.stderr
    assert list(_rows(done.stdout)[0]) == names
    _write(data, {"text": texts, "label": ["web"] * len(texts)})
    assert "predicted_label" in run("classify", model, data).stdout


def test_rows_that_the_classifier_was_fitted_to_are_counted_with_a_warning(model, new, tmp_path):
    known, labels = _sentences(60, seed=0)
    texts, given = [*new[0], *known[:3]], [*new[1], *labels[:2], ""]
    data, out = _write(tmp_path / "d.csv", {"text": texts, "label": given}), tmp_path / "out.csv"
    copies = sum(text in known for text, label in zip(texts, given, strict=True) if label)
    assert copies >= 2
    done = run("classify", model, data, "--output", out, "--json")
    assert json.loads(done.stdout)["rows_with_training_sentence"] == copies
    assert f"{copies} rows with a label are training sentences of the classifier, so precision and" in done.stderr
    assert list(_rows(out.read_text())[0]) == ["text", "label", "predicted_label", "confidence", "novelty"]
    unlabelled = _write(tmp_path / "u.csv", {"text": known[:3]})
    assert "training sentences" not in run("classify", model, unlabelled, "--output", tmp_path / "u2.csv").stderr


def test_a_usual_name_is_compared_if_any_file_of_a_folder_has_a_known_label(model, new, tmp_path):
    texts, labels = new
    data = tmp_path / "in"
    data.mkdir()
    unknown = ["web"] * len(texts)
    for name in ("a", "b"):
        parquet.write_table(pa.table({"text": texts, "category": unknown}), data / f"{name}.parquet")
    done = run("classify", model, data, "--output", tmp_path / "none", "--json")
    assert done.stderr.count("the column 'category' is not compared") == 1
    found = json.loads(done.stdout)
    assert (found["precision"], found["rows_with_unknown_label"], found["unknown_rejected"]) == (None, 0, None)
    again = run("classify", model, data, "--output", tmp_path / "none")  # All files are written already.
    assert "the column 'category'" not in again.stderr
    parquet.write_table(pa.table({"text": texts, "category": labels}), data / "b.parquet")
    done = run("classify", model, data, "--output", tmp_path / "some", "--json")
    assert "the answers are compared with the labels in the column 'category'" in done.stderr
    found = json.loads(done.stdout)
    assert (found["labelled_rows"], found["rows_with_unknown_label"]) == (len(texts), len(texts))


def test_answers_beside_integers_are_integers(bert, new, tmp_path):
    texts, labels = _sentences(30, seed=0)
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
    text = _write(tmp_path / "new.csv", {"text": new[0], "label": ["7"] * len(new[0])})  # text, as all fields of a CSV
    run("classify", tmp_path / "model", text, "--output", tmp_path / "t.jsonl")
    assert isinstance(json.loads((tmp_path / "t.jsonl").read_text().splitlines()[0])["predicted_label"], str)


def test_given_labels_that_are_parents_are_compared_with_the_answers_below_them():
    found = Summary(known=frozenset(["a/x", "a/y", "b"]), calibration_rows=10, separator="/")
    predicted = np.array(["a/x", "b", "b", "a/y"], dtype=object)
    decisions = SimpleNamespace(
        accepted=np.ones(4, bool), reasons=[None] * 4, novelty=np.zeros(4), predicted=predicted, labels=predicted,
        levels_left_out=None,
    )  # fmt: skip
    found.add(decisions, ["a", "a", "b", "a / y"])
    assert (found.coarser, found.coarser_right, found.labelled, found.right, found.unknown) == (2, 1, 2, 2, 0)
    assert found.to_dict()["precision"] == 1.0
    lines = found.describe()
    assert lines[0] == "coverage 100.0 %: 4 of 4 rows answered"
    assert lines[-1] == (
        "2 rows with a label that is a parent of labels of the classifier: the likeliest label is below it in 1; "
        "precision and accuracy leave them out"
    )


def test_given_parents_are_known_in_every_form():
    known = ["card/refund", "card/lost", "top up/cash", "Café/tea"]
    found = Summary(known=frozenset(known), calibration_rows=10, separator="/")
    given = ["Card", "CARD / Refund", " top-up ", "Cafe\u0301", "card", "Card/stolen", "Cards/stolen"]
    predicted = np.array(["card/refund"] * 7, dtype=object)
    decisions = SimpleNamespace(
        accepted=np.ones(7, bool), reasons=[None] * 7, novelty=np.zeros(7), predicted=predicted,
        labels=np.array(["card"] * 7, dtype=object), levels_left_out=np.ones(7, int),
    )  # fmt: skip
    found.add(decisions, given)
    # In another form: three parents and a path. "Card/stolen" is unknown, and the answer is its parent.
    assert (found.other_form, found.coarser, found.coarser_right, found.unknown) == (4, 1, 1, 2)
    assert (found.answered_labelled, found.right_answers) == (2, 1)
    assert list(found._other_forms)[:2] == ["'Card' for 'card'", "'CARD/Refund' for 'card/refund'"]


def test_answers_with_a_parent_are_counted_by_level():
    summary = Summary(known=frozenset(["a/x/1", "a/x/2", "b/y"]), calibration_rows=10, separator="/")
    decisions = SimpleNamespace(
        accepted=np.ones(4, bool), reasons=[None] * 4, novelty=np.zeros(4),
        predicted=np.array(["a/x/1"] * 4, dtype=object), labels=np.array(["a/x/1", "a/x", "a", "a"], dtype=object),
        levels_left_out=np.array([0, 1, 2, 2]),
    )  # fmt: skip
    summary.add(decisions, ["a/x/1", "a/x/2", "a/x/2", "b/y"])
    assert summary.right_answers == 3
    facts = summary.to_dict()
    assert (facts["answered_with_parent"], facts["answered_by_levels_left_out"]) == (3, {"1": 1, "2": 2})
    assert any("too unsure: 3 (1 level left out: 1, 2 levels: 2)" in line for line in summary.describe())


def test_given_paths_in_lists_are_compared_with_nested_labels(bert, new, tmp_path):
    texts, labels = _sentences(60, seed=0)
    classifier = LabelClassifier(str(bert), unseen_rows=True, label_levels="/", device="cpu")
    classifier.fit(texts, [f"{label[0]}/{label}/{label[0]}" for label in labels]).save(tmp_path / "model")
    paths = [[label[0], label, label[0]] for label in new[1]]
    parquet.write_table(pa.table({"text": new[0], "label": paths}), tmp_path / "new.parquet")
    done = run("classify", tmp_path / "model", tmp_path / "new.parquet", "--output", tmp_path / "o.csv", "--json")
    answers = [row["predicted_label"] for row in _rows((tmp_path / "o.csv").read_text())]
    right = sum(answer == "/".join(path) for answer, path in zip(answers, paths, strict=True))
    found = json.loads(done.stdout)
    assert (found["labelled_rows"], found["rows_with_unknown_label"]) == (len(paths), 0)
    assert found["accuracy"] == pytest.approx(right / len(paths))
    assert right > 0


def test_given_lists_that_are_no_paths_count_as_unknown_labels(bert, tmp_path):
    texts, labels = _sentences(60, seed=0)
    classifier = LabelClassifier(str(bert), unseen_rows=True, label_levels="/", device="cpu")
    classifier.fit(texts, [f"{label[0]}/{label}" for label in labels]).save(tmp_path / "model")
    first = f"{labels[0][0]}/{labels[0]}"
    cells = [[*first.split("/")], ["top", first], [first], [["a"], ["b"]]]
    data = tmp_path / "new.jsonl"
    data.write_text("\n".join(json.dumps({"text": texts[0], "label": cell}) for cell in cells))
    done = run("classify", tmp_path / "model", data, "--output", tmp_path / "o.jsonl", "--json")
    found = json.loads(done.stdout)
    assert (found["rows"], found["labelled_rows"], found["rows_with_unknown_label"]) == (4, 1, 3)


def test_labels_of_an_input_are_read_with_and_without_levels():
    table = TableInput(
        source="d", texts=list("pqrst"), columns={}, text_column="t", label_column="l",
        label_cells=[["a", "b"], "a / b ", None, ["a/b", "c"], {"a"}],
    )  # fmt: skip
    assert [part.labels for part in table.parts("/")] == [["a/b", "a / b", None, "['a/b', 'c']", "{'a'}"]]
    assert [part.labels for part in table.parts()] == [[("a", "b"), "a / b", None, ("a/b", "c"), "a"]]
    assert next(replace(table, label_cells=None).parts("/")).labels is None


def test_labels_of_the_input_in_another_form_are_not_counted_as_wrong(model, new, tmp_path):
    texts, labels = new
    data = _write(tmp_path / "d.csv", {"text": texts, "label": [label.upper() for label in labels[:-1]] + ["other"]})
    done = run("classify", model, data, "--output", tmp_path / "o.csv")
    assert f"{len(texts) - 1} rows have a label that is written in another way than in the classifier" in done.stderr
    assert f"{labels[0].upper()!r} for {labels[0]!r}" in done.stderr
    assert "precision 0.0 %: 0 of 1 answers are the given label" in done.stdout


def test_a_limit_is_promised_and_leaves_answers_out(model, new, tmp_path):
    data = _write(tmp_path / "new.csv", {"text": [*new[0], "zzz qqq xxx"]})
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
    data = _write(tmp_path / "new.csv", {"text": new[0]})
    rows = _rows(run("classify", model, data, "--explain", "--coverage", "0.5").stdout)
    neighbour = [f"neighbour_{n}{part}" for n in (1, 2, 3) for part in ("", "_label", "_similarity", "_text")]
    likeliest = [f"{part}_{n}" for n in (1, 2) for part in ("label", "confidence")]
    assert list(rows[0]) == ["text", "label", "confidence", "novelty", *likeliest, "reason", *neighbour]
    train, labels = _sentences(60, seed=0)
    for row in rows:
        assert row["neighbour_1_text"] == train[int(row["neighbour_1"])]
        assert row["neighbour_1_label"] == labels[int(row["neighbour_1"])]
        assert row["label"] == ("" if row["reason"] else row["label_1"])
        assert row["confidence_1"] == row["confidence"]
        assert float(row["confidence_1"]) >= float(row["confidence_2"])
    assert {row["reason"] for row in rows} == {"", "between labels"}
    top = _rows(run("classify", model, data, "--top", 3).stdout)
    assert list(top[0])[4:] == [f"{part}_{n}" for n in (1, 2, 3) for part in ("label", "confidence")]


def test_a_stream_from_standard_input(model, new):
    texts = new[0][:3]
    content = f'{texts[0]}\r\n\r\n  \n{texts[1]}, "x"\n{texts[2]}'
    done = run("classify", model, "-", stdin=content)
    rows = _rows(done.stdout)
    assert [row["text"] for row in rows] == [texts[0], f'{texts[1]}, "x"', texts[2]]
    assert all(row["label"] in TOPICS for row in rows)
    assert "coverage 100.0 %: 3 of 3 rows answered" in done.stderr
    assert run("classify", model, "-", stdin="").stdout == "text,label,confidence,novelty\n"
    bad = run("classify", model, "-", stdin=b"a\nb\xff\n", expect=2)
    assert "standard input, line 2, is not UTF-8: byte 0xff" in bad.stderr
    assert "leave out the options for columns" in run("classify", model, "-", "--text-column", "a", expect=2).stderr


@contextmanager
def _stream(*arguments):
    """Start `tercet …` with pipes, and close them at the end."""
    process = start_tercet(*arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with suppress(BrokenPipeError):
                pipe.close()


def _send(process, text):
    process.stdin.write(f"{text}\n")
    process.stdin.flush()


@pytest.mark.slow
def test_a_stream_is_answered_line_by_line_until_its_reader_goes(model, new):
    with _stream("classify", model, "-", "--format", "jsonl", "--quiet", "--device", "cpu") as process:
        for text in new[0][:3]:
            _send(process, text)
            assert json.loads(process.stdout.readline())["text"] == text  # before the next line is written
        process.stdout.close()
        _send(process, "one more")
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


@pytest.mark.slow
def test_ctrl_c_ends_a_stream(model, new):
    with _stream("classify", model, "-", "--quiet") as process:
        _send(process, new[0][0])
        assert process.stdout.readline() == "text,label,confidence,novelty\n"
        assert process.stdout.readline().startswith(new[0][0])
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == "tercet: interrupted\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shell", "code", "errors"),
    [
        ("| head -n 2; exit ${PIPESTATUS[0]}", 0, ""),
        (">/dev/full", 2, "tercet: error: cannot write the result to standard output: No space left on device\n"),
    ],
)
def test_a_reader_that_goes_and_a_full_disk_end_the_command(shell, code, errors, model, new, tmp_path):
    data = _write(tmp_path / "new.csv", {"text": new[0] * 500})
    command = f"{sys.executable} -m tercet classify {model} {data} --quiet {shell}"
    done = subprocess.run(["bash", "-c", command], env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (code, errors)


def test_new_data_that_are_different_are_reported(model, tmp_path):
    data = _write(tmp_path / "drift.csv", {"text": [f"qq{n} xx{n} zz" for n in range(60)]})
    done = run("classify", model, data, "--output", tmp_path / "out.csv")
    assert done.stderr.count("novelty above 0.95") == 1
    assert "the measured precision and coverage do not hold" in done.stderr
    assert "pass --max-novelty auto to give them no answer, or label some of them" in done.stderr
    limited = run("classify", model, data, "--max-novelty", "auto")
    assert limited.stderr.count("novelty above 0.95") == 1
    assert "do not hold for them; label some of them and fit the classifier again" in limited.stderr


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
    data = _write(tmp_path / "d.csv", columns)
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
    data = _write(tmp_path / "d.csv", {"text": ["a"]})
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


def test_fit_classifier_fits_any_encoder(bert, tmp_path, new):
    texts, labels = _sentences(30, seed=2)
    data = _write(tmp_path / "train.csv", {"utterance": texts, "intent": labels})
    test = _write(tmp_path / "test.csv", {"utterance": new[0], "intent": new[1]})
    unknown = _write(tmp_path / "unknown.csv", {"text": ["qq xx zz", "xx yy zz", "qq"]})
    done = run(
        "fit-classifier", bert, data, "--output", tmp_path / "model", "--calibration-data", test,
        "--unknown-sentences", unknown, "--keep-texts", "--json",
    )  # fmt: skip
    record = json.loads(done.stdout)
    assert (record["labels"], record["rows"], record["calibration_rows"]) == (4, 140, 20)
    assert record["calibrated"]
    assert [promise["min_precision"] for promise in record["promises"]] == [0.9, 0.95, 0.98]
    assert "warning" not in done.stderr
    rows = _rows(run("classify", tmp_path / "model", test, "--explain", "--max-novelty", "auto").stdout)
    known = [*texts, *new[0]]  # calibration rows are numbered after the training rows
    assert all(row["neighbour_1_text"] == known[int(row["neighbour_1"])] for row in rows)
    _write(tmp_path / "gaps.csv", {"text": ["", *texts], "label": ["sport", *labels]})
    gaps = (tmp_path / "gaps.csv", "--output", tmp_path / "gaps", "--drop-missing", "--keep-texts")
    run("fit-classifier", bert, *gaps)
    for row in _rows(run("classify", tmp_path / "gaps", test, "--explain").stdout):
        assert row["neighbour_1_text"] == ["", *texts][int(row["neighbour_1"])]  # rows of the file
    plain = run("fit-classifier", bert, data, "--output", tmp_path / "plain")
    assert "pass --calibration-data, labelled rows that it was not trained on, or --unseen-rows" in plain.stderr
    assert "Classifier of 4 labels from 120 sentences: " in plain.stdout
    assert "120 out-of-fold predictions" in plain.stdout
    refused = run("classify", tmp_path / "plain", test, "--min-precision", 0.9, expect=2)
    assert "fit with --calibration-data, labelled rows" in refused.stderr
    promised = run("fit-classifier", bert, data, "--output", tmp_path / "plain", "--unseen-rows", "--overwrite")
    assert "at 90 % precision it answers" in promised.stdout
    alone = _write(tmp_path / "alone.csv", {"utterance": texts})
    (tmp_path / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    filed = ("--label-file", tmp_path / "labels.txt", "--calibration-data", test, "--unknown-sentences", unknown)
    run("fit-classifier", bert, alone, *filed, "--output", tmp_path / "filed")
    answers = (run("classify", tmp_path / name, test, "--max-novelty", 1).stdout for name in ("model", "filed"))
    assert next(answers) == next(answers)


def test_evidence_names_the_rows_of_both_files(bert, tmp_path, new):
    texts, labels = _sentences(10, seed=2)
    data = _write(tmp_path / "train.csv", {"text": [*texts, "", ""], "label": [*labels, *labels[:2]]})
    test = _write(tmp_path / "test.csv", {"text": ["", *new[0]], "label": [labels[0], *new[1]]})
    more = ("--calibration-data", test, "--keep-texts", "--drop-missing")
    run("fit-classifier", bert, data, "--output", tmp_path / "model", *more)
    rows = _rows(run("classify", tmp_path / "model", test, "--explain").stdout)
    known = [*texts, "", "", "", *new[0]]  # of the training file, then of the calibration file
    assert [row["neighbour_1_text"] for row in rows] == [row["text"] for row in rows]
    for row in rows:
        for place in (1, 2, 3):
            assert row[f"neighbour_{place}_text"] == known[int(row[f"neighbour_{place}"])]
    # Also if only some rows of the training file are read.
    run("fit-classifier", bert, data, "--output", tmp_path / "part", *more, "--sample", 30)
    for row in _rows(run("classify", tmp_path / "part", test, "--explain").stdout):
        assert row["neighbour_1_text"] == known[int(row["neighbour_1"])]


@pytest.mark.parametrize(
    ("columns", "more", "message"),
    [
        ({"text": ["a", "b"], "label": ["x", "x"]}, (), "a classifier needs two labels or more, so add the"),
        ({"text": ["a", ""], "label": ["x", "y"]}, ("--strict",), "1 of 2 rows has no text (line 3)"),
        ({"text": ["a", "b"], "label": ["x", "y"]}, ("--calibration-data", "none.csv"), "no file 'none.csv'"),
        ({"text": ["a", "b"], "label": ["x", "y"]}, ("--unknown-sentences", "none.csv"), "no file 'none.csv'"),
        ({"text": ["a", "b"], "label": ["x", "y"]}, ("--output", "d.csv"), "--output d.csv is the input data"),
    ],
)
def test_wrong_input_of_fit_classifier_is_one_line(columns, more, message, bert, tmp_path):
    _write(tmp_path / "d.csv", columns)
    done = run("fit-classifier", bert, "d.csv", "--output", "model", *more, expect=2, cwd=tmp_path)
    assert message in done.stderr
    assert done.stderr.count("tercet: error") == 1
    assert os.listdir(tmp_path) == ["d.csv"]


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
