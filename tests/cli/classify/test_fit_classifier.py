"""`tercet fit-classifier` fits a classifier on any encoder."""

import json
import os

import pytest

from tests.cli.classify.files import draw_sentences, rows_of, write
from tests.cli.command import run


def test_fit_classifier_fits_any_encoder(bert, tmp_path, new):
    texts, labels = draw_sentences(30, seed=2)
    data = write(tmp_path / "train.csv", {"utterance": texts, "intent": labels})
    test = write(tmp_path / "test.csv", {"utterance": new[0], "intent": new[1]})
    unknown = write(tmp_path / "unknown.csv", {"text": ["qq xx zz", "xx yy zz", "qq"]})
    done = run(
        "fit-classifier", bert, data, "--output", tmp_path / "model", "--calibration-data", test,
        "--unknown-sentences", unknown, "--keep-texts", "--json",
    )  # fmt: skip
    record = json.loads(done.stdout)
    assert (record["labels"], record["rows"], record["calibration_rows"]) == (4, 140, 20)
    assert record["calibrated"]
    assert [promise["min_precision"] for promise in record["promises"]] == [0.9, 0.95, 0.98]
    assert "warning" not in done.stderr
    rows = rows_of(run("classify", tmp_path / "model", test, "--explain", "--max-novelty", "auto").stdout)
    known = [*texts, *new[0]]  # calibration rows are numbered after the training rows
    assert all(row["neighbour_1_text"] == known[int(row["neighbour_1"])] for row in rows)
    write(tmp_path / "gaps.csv", {"text": ["", *texts], "label": ["sport", *labels]})
    gaps = (tmp_path / "gaps.csv", "--output", tmp_path / "gaps", "--drop-missing", "--keep-texts")
    run("fit-classifier", bert, *gaps)
    for row in rows_of(run("classify", tmp_path / "gaps", test, "--explain").stdout):
        assert row["neighbour_1_text"] == ["", *texts][int(row["neighbour_1"])]  # rows of the file
    plain = run("fit-classifier", bert, data, "--output", tmp_path / "plain")
    assert "pass --calibration-data, labelled rows that it was not trained on, or --unseen-rows" in plain.stderr
    assert "Classifier of 4 labels from 120 sentences: " in plain.stdout
    assert "120 out-of-fold predictions" in plain.stdout
    refused = run("classify", tmp_path / "plain", test, "--min-precision", 0.9, expect=2)
    assert "fit with --calibration-data, labelled rows" in refused.stderr
    promised = run("fit-classifier", bert, data, "--output", tmp_path / "plain", "--unseen-rows", "--overwrite")
    assert "at 90 % precision it answers" in promised.stdout
    alone = write(tmp_path / "alone.csv", {"utterance": texts})
    (tmp_path / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    filed = ("--label-file", tmp_path / "labels.txt", "--calibration-data", test, "--unknown-sentences", unknown)
    run("fit-classifier", bert, alone, *filed, "--output", tmp_path / "filed")
    answers = (run("classify", tmp_path / name, test, "--max-novelty", 1).stdout for name in ("model", "filed"))
    assert next(answers) == next(answers)


def test_evidence_names_the_rows_of_both_files(bert, tmp_path, new):
    texts, labels = draw_sentences(10, seed=2)
    data = write(tmp_path / "train.csv", {"text": [*texts, "", ""], "label": [*labels, *labels[:2]]})
    test = write(tmp_path / "test.csv", {"text": ["", *new[0]], "label": [labels[0], *new[1]]})
    more = ("--calibration-data", test, "--keep-texts", "--drop-missing")
    run("fit-classifier", bert, data, "--output", tmp_path / "model", *more)
    rows = rows_of(run("classify", tmp_path / "model", test, "--explain").stdout)
    known = [*texts, "", "", "", *new[0]]  # of the training file, then of the calibration file
    assert [row["neighbour_1_text"] for row in rows] == [row["text"] for row in rows]
    for row in rows:
        for place in (1, 2, 3):
            assert row[f"neighbour_{place}_text"] == known[int(row[f"neighbour_{place}"])]
    # Also if only some rows of the training file are read.
    run("fit-classifier", bert, data, "--output", tmp_path / "part", *more, "--sample", 30)
    for row in rows_of(run("classify", tmp_path / "part", test, "--explain").stdout):
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
    write(tmp_path / "d.csv", columns)
    done = run("fit-classifier", bert, "d.csv", "--output", "model", *more, expect=2, cwd=tmp_path)
    assert message in done.stderr
    assert done.stderr.count("tercet: error") == 1
    assert os.listdir(tmp_path) == ["d.csv"]
