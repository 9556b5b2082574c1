"""`tercet classify` compares its answers with labels of the input."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tercet.cli.classify_summary import Summary
from tercet.cli.table_input import TableInput
from tercet.decisions import LabelClassifier
from tests.cli.classify.files import draw_sentences, rows_of, write
from tests.cli.command import run


def test_labels_of_the_input_are_compared(model, new, tmp_path):
    texts, labels = new
    given = [f" {labels[0]}", *labels[1:-2], "", "weather"]
    data = write(tmp_path / "test.csv", {"text": texts, "label": given})
    done = run("classify", model, data, "--output", tmp_path / "out.csv", "--json")
    found = json.loads(done.stdout)
    rows = rows_of((tmp_path / "out.csv").read_text())
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


def test_a_label_column_of_another_name_is_mentioned(model, new, tmp_path):
    path = write(tmp_path / "new.csv", {"text": new[0], "code": new[1]})
    note = "the column 'code' seems to have labels of the classifier; pass --label-column code to compare the answers"
    assert note in run("classify", model, path, "--output", tmp_path / "out.csv").stderr
    done = run("classify", model, path, "--output", tmp_path / "given.csv", "--label-column", "code")
    assert note not in done.stderr
    assert "the answers are compared with the labels in the column 'code'" in done.stderr
    spaced = write(tmp_path / "spaced.csv", {"text": new[0], "my kind": new[1]})
    done = run("classify", model, spaced, "--output", tmp_path / "spaced-out.csv")
    assert "pass --label-column 'my kind' to compare" in done.stderr
    other = write(tmp_path / "other.csv", {"text": new[0], "id": range(len(new[0]))})
    assert "labels of the classifier" not in run("classify", model, other, "--output", tmp_path / "o.csv").stderr


def test_a_usual_name_without_a_known_label_is_no_label_column(model, new, tmp_path):
    texts, labels = new
    data = write(tmp_path / "new.csv", {"text": texts, "category": ["web", "app"] * (len(texts) // 2)})
    done = run("classify", model, data, "--output", tmp_path / "out.csv")
    # The names of the columns do not depend on the values, so they are the same for the next file.
    names = ["text", "category", "predicted_label", "confidence", "novelty"]
    assert list(rows_of((tmp_path / "out.csv").read_text())[0]) == names
    assert "precision" not in done.stdout
    assert "does not know" not in done.stdout
    assert "the column 'category' is not compared, because the classifier knows none of its values" in done.stderr
    assert "pass --label-column category if they are labels" in done.stderr
    given = run("classify", model, data, "--label-column", "category")
    assert f"precision 0.0 %: 0 of {len(texts)} answers" in given.stderr
    assert "predicted_label" in given.stdout
    write(data, {"text": texts, "category": [labels[0].upper(), *["web"] * (len(texts) - 1)]})
    done = run("classify", model, data)
    assert "the answers are compared with the labels in the column 'category'" in done.stderr
    assert list(rows_of(done.stdout)[0]) == names
    write(data, {"text": texts, "label": ["web"] * len(texts)})
    assert "predicted_label" in run("classify", model, data).stdout


def test_rows_that_the_classifier_was_fitted_to_are_counted_with_a_warning(model, new, tmp_path):
    known, labels = draw_sentences(60, seed=0)
    texts, given = [*new[0], *known[:3]], [*new[1], *labels[:2], ""]
    data, out = write(tmp_path / "d.csv", {"text": texts, "label": given}), tmp_path / "out.csv"
    copies = sum(text in known for text, label in zip(texts, given, strict=True) if label)
    assert copies >= 2
    done = run("classify", model, data, "--output", out, "--json")
    assert json.loads(done.stdout)["rows_with_training_sentence"] == copies
    assert f"{copies} rows with a label are training sentences of the classifier, so precision and" in done.stderr
    assert list(rows_of(out.read_text())[0]) == ["text", "label", "predicted_label", "confidence", "novelty"]
    unlabelled = write(tmp_path / "u.csv", {"text": known[:3]})
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
    texts, labels = draw_sentences(60, seed=0)
    classifier = LabelClassifier(str(bert), unseen_rows=True, label_levels="/", device="cpu")
    classifier.fit(texts, [f"{label[0]}/{label}/{label[0]}" for label in labels]).save(tmp_path / "model")
    paths = [[label[0], label, label[0]] for label in new[1]]
    parquet.write_table(pa.table({"text": new[0], "label": paths}), tmp_path / "new.parquet")
    done = run("classify", tmp_path / "model", tmp_path / "new.parquet", "--output", tmp_path / "o.csv", "--json")
    answers = [row["predicted_label"] for row in rows_of((tmp_path / "o.csv").read_text())]
    right = sum(answer == "/".join(path) for answer, path in zip(answers, paths, strict=True))
    found = json.loads(done.stdout)
    assert (found["labelled_rows"], found["rows_with_unknown_label"]) == (len(paths), 0)
    assert found["accuracy"] == pytest.approx(right / len(paths))
    assert right > 0


def test_given_lists_that_are_no_paths_count_as_unknown_labels(bert, tmp_path):
    texts, labels = draw_sentences(60, seed=0)
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
    data = write(tmp_path / "d.csv", {"text": texts, "label": [label.upper() for label in labels[:-1]] + ["other"]})
    done = run("classify", model, data, "--output", tmp_path / "o.csv")
    assert f"{len(texts) - 1} rows have a label that is written in another way than in the classifier" in done.stderr
    assert f"{labels[0].upper()!r} for {labels[0]!r}" in done.stderr
    assert "precision 0.0 %: 0 of 1 answers are the given label" in done.stdout
