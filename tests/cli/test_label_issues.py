"""The list of label issues: what `tercet inspect` writes into it, and how `tercet fix` applies it."""

import csv
import datetime
import decimal
import json
import shlex

import datasets
import pyarrow as pa
import pytest
from pyarrow import parquet

from tercet.cli.label_issues import _other_columns
from tercet.data.reading.options import ReadOptions
from tercet.data.reading.selection import read_data
from tercet.data.tables.table import Columns, Table
from tests.cli.command import run
from tests.conftest import TOPICS

_SMALL = ("--batch-size", 8, "--samples-per-label", 2)
# Every fourth sentence has the label of another topic, so that there are label issues.
_ROWS = [(text, "food" if place == 2 else topic) for topic, texts in TOPICS.items() for place, text in enumerate(texts)]
_AREA = {"food": "life", "sport": "life", "money": "work", "travel": "work"}


def _write(path, *columns):
    """Write columns, each with its name first."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(zip(*columns, strict=True))


def _read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _accept(path, words=("yes",), **changed):
    """Accept issues of a list, one for each word, and return all of its rows."""
    issues = _read(path)
    for issue, word in zip(issues, words or ["yes"] * len(issues), strict=False):
        issue["accept"] = word
        issue.update(changed)
    _write(path, *([name, *(issue[name] for issue in issues)] for name in issues[0]))
    return issues


def _labels(form):
    return ["label", *(form(number, label) for number, (_, label) in enumerate(_ROWS))]


@pytest.mark.parametrize(
    ("form", "inspected", "fixed"),
    [
        (lambda _, label: f"{_AREA[label]} / {label}", ["--label-levels", "/"], []),
        (lambda _, label: f"{_AREA[label]} / {label}", ["--label-levels", "/"], ["--label-levels", "/"]),
        (lambda n, label: label.title() if n % 3 else label, ["--similar-labels", "merge"], []),
        (lambda n, label: label if n % 3 else f"{label}|sport|money", ["--combined-labels", "first"], []),
        (lambda n, label: label if n % 3 else f"{label}|sport|money", ["--combined-labels", "keep"], []),
        (lambda n, label: label if n % 3 else f"{label}|sport|money", ["--combined-labels", "drop"], []),
        (lambda n, label: label if n % 3 else f"['{label}', 'rare']", ["--combined-labels", "first"], []),
    ],
)
def test_a_list_is_applied_to_labels_that_were_cleaned(form, inspected, fixed, bert, tmp_path):
    data, issues, output = tmp_path / "d.csv", tmp_path / "i.csv", tmp_path / "f.csv"
    labels = _labels(form)
    _write(data, ["text", *(text for text, _ in _ROWS)], labels)
    run("inspect", data, "--model", bert, "--label-issues", issues, *inspected, *_SMALL)
    found = _accept(issues, ())
    assert len(found) > 3
    for issue in found:
        assert issue["label"] == labels[int(issue["row"]) + 1]  # as it is in the data
    run("fix", data, issues, "--output", output, *fixed)
    new = {int(issue["row"]): issue["suggested_label"] for issue in found}
    for row, corrected in enumerate(_read(output)):
        before = labels[row + 1]
        # A label that the data write with spaces keeps them.
        after = new[row].replace("/", " / ") if row in new and "--label-levels" in inspected else new.get(row, before)
        assert corrected == {"text": _ROWS[row][0], "label": after}


def test_a_list_of_labels_to_add_is_applied_to_labels_that_were_merged(bert, tmp_path):
    data, issues, output = tmp_path / "d.csv", tmp_path / "i.csv", tmp_path / "f.csv"
    labels = _labels(lambda n, label: f"{label.title() if n % 3 else label}; {'sport' if n % 2 else 'money'}")
    _write(data, ["text", *(text for text, _ in _ROWS)], labels)
    options = ("--multi-label", ";")
    run("inspect", data, "--model", bert, "--label-issues", issues, *options, "--similar-labels", "merge", *_SMALL)
    found = _accept(issues, ())
    assert any(issue["label"] != issue["label"].lower() for issue in found)
    run("fix", data, issues, "--output", output, *options)
    after = _read(output)
    for issue in found:
        assert issue["label"] == labels[int(issue["row"]) + 1]
        assert after[int(issue["row"])]["label"].startswith(f"{issue['label']};")
        assert issue["label_to_add"] in after[int(issue["row"])]["label"].split(";")


@pytest.mark.parametrize(("separator", "suffix"), [("/", ".csv"), (" > ", ".parquet")])
def test_labels_of_several_columns_are_written_back_to_their_columns(separator, suffix, bert, tmp_path):
    data, issues, output = tmp_path / f"d{suffix}", tmp_path / "i.csv", tmp_path / f"f{suffix}"
    columns = {
        "text": [text for text, _ in _ROWS],
        "area": [_AREA[label] for _, label in _ROWS],
        "intent": [label if n % 5 else None for n, (_, label) in enumerate(_ROWS)],
        "id": list(range(len(_ROWS))),
    }
    if suffix == ".csv":
        _write(data, *([name, *values] for name, values in columns.items()))
    else:
        parquet.write_table(pa.table(columns), data)
    options = ["--label-column", "area", "--label-column", "intent"]
    options += [] if separator == "/" else ["--label-levels", separator]
    run("inspect", data, "--model", bert, "--label-issues", issues, *options, *_SMALL)
    found = _accept(issues, ("yes", "yes", "yes"))
    done = run("fix", data, issues, "--output", output, *options)
    assert "3 of 16 labels corrected" in done.stderr
    area, intent = list(columns["area"]), list(columns["intent"])
    for issue in found[:3]:
        first, second = [*issue["suggested_label"].split(separator.strip()), None][:2]
        area[int(issue["row"])], intent[int(issue["row"])] = first.strip(), second and second.strip()
    if suffix == ".csv":
        after = _read(output)
        assert [row["area"] for row in after] == area
        assert [row["intent"] or None for row in after] == intent
    else:
        assert parquet.read_table(output).to_pydict() == {**columns, "area": area, "intent": intent}
    command = shlex.split(done.stderr.splitlines()[-1])
    assert command[:3] == ["tercet", "train", str(output)]
    run("inspect", *command[2 : command.index("--output")])
    _accept(issues, ("yes",), suggested_label=f"a{separator}b{separator}c")
    refused = run("fix", data, issues, "--output", tmp_path / "again.csv", *options, expect=2)
    assert "has 3 levels; write at most 2 levels, one for each label column" in refused.stderr


def test_labels_of_a_file_become_a_column(bert, tmp_path):
    (tmp_path / "d.txt").write_text("".join(f"{text}\n" for text, _ in _ROWS))
    (tmp_path / "l.txt").write_text("".join(f"{label}\n" for _, label in _ROWS))
    options = ("--label-file", "l.txt")
    run("inspect", "d.txt", "--model", bert, "--label-issues", "i.csv", *options, *_SMALL, cwd=tmp_path)
    (issue, *_) = _accept(tmp_path / "i.csv")
    done = run("fix", "d.txt", "i.csv", "--output", "f.csv", *options, cwd=tmp_path)
    after = _read(tmp_path / "f.csv")
    assert after.pop(int(issue["row"])) == {"text": issue["text"], "label": issue["suggested_label"]}
    before = [{"text": text, "label": label} for text, label in _ROWS]
    del before[int(issue["row"])]
    assert after == before
    assert done.stderr.splitlines()[-1].strip() == "tercet train f.csv --output my-model"
    for command in (["inspect", "d.txt", "--model", bert, "--label-issues"], ["fix", "d.txt", "i.csv", "--output"]):
        (tmp_path / "l.csv").write_text("label\n" + "".join(f"{label}\n" for _, label in _ROWS))
        words = [*command, "l.csv", "--label-file", "l.csv", "--overwrite"]
        assert "l.csv is the file of labels; choose another path" in run(*words, cwd=tmp_path, expect=2).stderr


def test_a_list_of_combined_labels_in_cells_is_applied(bert, tmp_path):
    labels = [["food", "money"] if n % 3 == 0 else [label] for n, (_, label) in enumerate(_ROWS)]
    data, issues, output = tmp_path / "d.parquet", tmp_path / "i.csv", tmp_path / "f.parquet"
    parquet.write_table(pa.table({"text": [text for text, _ in _ROWS], "label": labels}), data)
    run("inspect", data, "--model", bert, "--label-issues", issues, "--combined-labels", "keep", *_SMALL)
    found = _accept(issues, ())
    assert '["food", "money"]' in {issue["label"] for issue in found}
    assert "food, money" in {issue["suggested_label"] for issue in found}
    run("fix", data, issues, "--output", output)
    for issue in found:
        labels[int(issue["row"])] = issue["suggested_label"].split(", ")
    assert parquet.read_table(output).column("label").to_pylist() == labels


def test_a_list_of_nested_labels_in_cells_is_applied(bert, tmp_path):
    """Levels in a list have an order, and one may come twice."""
    labels = [[_AREA[label], label, _AREA[label]] for _, label in _ROWS]
    data, issues, output = tmp_path / "d.parquet", tmp_path / "i.csv", tmp_path / "f.parquet"
    parquet.write_table(pa.table({"text": [text for text, _ in _ROWS], "label": labels}), data)
    options = ("--label-levels", "/")
    run("inspect", data, "--model", bert, "--label-issues", issues, *options, *_SMALL)
    found = _accept(issues, ())
    assert found
    for issue in found:
        assert issue["label"] == "/".join(labels[int(issue["row"])])
    run("fix", data, issues, "--output", output, *options)
    for issue in found:
        labels[int(issue["row"])] = issue["suggested_label"].split("/")
    assert parquet.read_table(output).column("label").to_pylist() == labels


def test_the_list_keeps_columns_of_all_types_and_leaves_out_what_it_cannot_hold(bert, tmp_path):
    number = len(_ROWS)
    texts, labels = zip(*_ROWS, strict=True)
    others = {
        "when": [datetime.datetime(2024, 1, 2, 3)] * number,
        "day": [datetime.date(2024, 1, 2)] * number,
        "price": [decimal.Decimal("1.50")] * number,
        "record": [{"a": 1, "when": datetime.date(2024, 1, 2)}] * number,
        "image": [b"\xff"] * number,
    }
    table = pa.table({"text": texts, "label": labels, **others})
    late = pa.array([2**62] * number).cast(pa.timestamp("us"))  # a date that Python does not have
    parquet.write_table(table.append_column("late", late), tmp_path / "d.parquet")
    done = run("inspect", tmp_path / "d.parquet", "--model", bert, "--label-issues", tmp_path / "i.csv", *_SMALL)
    assert "i.csv lacks the columns 'image', 'late' of the data, which cannot be read or written as text" in (
        " ".join(done.stderr.split())
    )
    assert "binary values, as in the column 'image', need a .parquet file" in " ".join(done.stderr.split())
    for issue in _read(tmp_path / "i.csv"):
        assert (issue["when"], issue["day"], issue["price"]) == ("2024-01-02T03:00:00", "2024-01-02", "1.50")
        assert json.loads(issue["record"]) == {"a": 1, "when": "2024-01-02"}
        assert issue["text"] == texts[int(issue["row"])]


def test_the_list_leaves_out_columns_of_one_name(bert, tmp_path):
    data = tmp_path / "d.csv"
    numbers = list(map(str, range(len(_ROWS))))
    _write(data, ["text", *(t for t, _ in _ROWS)], ["label", *(label for _, label in _ROWS)], ["x", *numbers],
           ["x", *numbers], ["id", *numbers])  # fmt: skip
    done = run("inspect", data, "--model", bert, "--label-issues", tmp_path / "i.csv", *_SMALL)
    assert "lacks the column 'x' of the data" in done.stderr
    for issue in _read(tmp_path / "i.csv"):
        assert "x" not in issue
        assert issue["id"] == issue["row"]


def test_the_list_has_halves_of_characters_of_other_columns(bert, tmp_path):
    rows = [{"text": text, "label": label, "other": "\ud800"} for text, label in _ROWS]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run("inspect", tmp_path / "d.jsonl", "--model", bert, "--label-issues", tmp_path / "i.csv", *_SMALL)
    assert {issue["other"] for issue in _read(tmp_path / "i.csv")} == {"?"}


def test_only_the_rows_of_label_issues_are_read_from_a_data_set(tmp_path, monkeypatch):
    """A data set may have large columns, and images that are decoded when they are read."""
    data = datasets.Dataset.from_dict(
        {"text": list("abcd"), "area": list("xyxy"), "intent": list("pqpq"), "id": [0, 1, 2, 3], "image": [None] * 4},
        features=datasets.Features({
            **dict.fromkeys(("text", "area", "intent"), datasets.Value("string")), "id": datasets.Value("int64"),
            "image": datasets.Image(),
        }),
    )  # fmt: skip
    data.save_to_disk(tmp_path / "saved")
    options = ReadOptions(text_column="text,id", label_column=["area", "intent"], limit=3)
    table = read_data(str(tmp_path / "saved"), options)
    monkeypatch.setattr(Columns, "__getitem__", lambda columns, name: pytest.fail(f"reads the whole column {name}"))
    kept, left_out = _other_columns(table, ["text,id", "area/intent"], [2, 0])
    assert kept == {"text": ["c", "a"], "area": ["x", "x"], "intent": ["p", "p"], "id": [2, 0]}
    assert list(left_out) == ["image"]
    assert "the column 'image' has values of the type Image" in left_out["image"]


def test_only_a_column_that_cannot_be_read_is_left_out():
    def read(name):
        if name == "image":
            raise OSError("cannot identify image file")
        return [1, 2]

    found = _other_columns(Table("data", Columns(["text", "image", "id"], read, 2)), ["text"], [1])
    assert found == ({"id": [2]}, {"image": "cannot identify image file"})

    def broken(name):
        return [1, 2].missing  # as an error in this library

    with pytest.raises(AttributeError, match="missing"):
        _other_columns(Table("data", Columns(["text", "id"], broken, 2)), ["text"], [1])
