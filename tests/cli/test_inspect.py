"""`tercet inspect` as a user meets it: what it prints, what it writes, what it refuses."""

import csv
import json
import os
import random
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from tercet.catalogue import DEFAULT_MARGIN
from tercet.cli.app import app
from tercet.cli.inspect import _next_command
from tercet.cli.inspect_tables import print_inspection
from tercet.data.reading.options import ReadOptions
from tercet.errors import DataError
from tercet.inspection.batches import LOWEST_SUGGESTED
from tercet.inspection.inspection import inspect
from tercet.inspection.results import NearDuplicate
from tercet.inspection.texts import Example
from tests.cli.command import run
from tests.conftest import TOPICS
from tests.inspection.helpers import Blobs, ConstantModel, labelled, shuffled

_SMALL = ("--batch-size", 8, "--samples-per-label", 2)
_AWKWARD = ['=SUM(A1), "quoted"', "two\nlines, and\r\nthree", "-1+1 [red]mark[/red]", "@home 'single'", "ü 漢字 🎉\tx"]


def _read_issues(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def wrong(tmp_path):
    """A file in which the label of every third sentence is that of another topic, and two texts are empty."""
    rows = [("", "sport")]
    for number, (name, topic) in enumerate(TOPICS.items()):
        other = list(TOPICS)[number - 1]
        rows += [(text, other if place == 2 else name) for place, text in enumerate(topic)]
    rows.insert(5, ("  ", "food"))
    path = tmp_path / "wrong.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path, rows


def test_without_a_model_texts_and_labels_are_counted(wrong):
    path, _ = wrong
    with path.open("a", newline="") as file:
        csv.writer(file).writerows([("The  team won the GAME", "sport"), ("the soup is hot", "sport")])
    done = run("inspect", path)
    assert "│ rows                            │ 20" in done.stdout
    assert "│ labels                          │ 4" in done.stdout
    assert "│ empty texts                     │ 2 (row 0, 5)" in done.stdout
    assert "│ duplicates under the same label │ 1 (row 18)" in done.stdout
    assert "│ texts under several labels      │ 1" in done.stdout
    assert "the soup is hot │ food, sport" in done.stdout
    assert "With" not in done.stdout
    lines = done.stderr.splitlines()
    assert lines[0].startswith("finished in ")
    assert lines[1:] == [f"  tercet inspect {path} --model bundled"]


def test_rows_of_label_issues_count_from_the_first_row_of_the_file(wrong, bert, tmp_path):
    path, rows = wrong
    done = run("inspect", path, "--model", bert, "--label-issues", tmp_path / "s.csv", "--json", *_SMALL)
    result = json.loads(done.stdout)
    found = _read_issues(tmp_path / "s.csv")
    assert f"{len(found)} label issues written to {tmp_path / 's.csv'}" in done.stderr
    assert len(found) > 3
    assert list(found[0]) == ["row", "line", "text", "label", "suggested_label", "log_odds", "accept"]
    for issue, same in zip(found, result["with_model"]["label_issues"], strict=True):
        assert (issue["text"], issue["label"]) == rows[int(issue["row"])]
        assert issue["suggested_label"] in set(TOPICS) - {issue["label"]}
        assert float(issue["log_odds"]) == pytest.approx(same["log_odds"], abs=1e-4)
        assert int(issue["row"]) == same["row"]
    log_odds = [float(issue["log_odds"]) for issue in found]
    assert log_odds == sorted(log_odds, reverse=True)
    assert log_odds[-1] >= 0
    assert result["texts"]["empty"] == [0, 5]
    assert result["with_model"]["num_scored"] == 16
    assert result["counts"]["label_issues"] == len(found)


def test_label_issues_have_all_columns_of_the_data(wrong, bert, tmp_path):
    _, rows = wrong
    path = tmp_path / "more.csv"
    with path.open("w", newline="") as file:
        lines = [("text", "label", "row", "data_row"), *((*row, f"r{n}", f"d{n}") for n, row in enumerate(rows))]
        csv.writer(file).writerows(lines)
    run("inspect", path, "--model", bert, "--label-issues", tmp_path / "s.csv", *_SMALL)
    found = _read_issues(tmp_path / "s.csv")
    assert list(found[0])[-2:] == ["data_data_row", "data_row"]
    for issue in found:
        assert (issue["data_data_row"], issue["data_row"]) == (f"r{issue['row']}", f"d{issue['row']}")


def test_the_reasons_of_settings_are_printed_whole(capsys):
    found = inspect(shuffled(), Blobs(), batch_size=8, samples_per_label=2)
    found.with_model.suggestions[0] = replace(found.with_model.suggestions[0], reason="why " * 60 + "end.")
    print_inspection(found)
    assert "end." in capsys.readouterr().out


def test_the_tables_with_a_model(wrong, bert):
    path, _ = wrong
    done = run("inspect", path, "--model", bert, *_SMALL)
    for title in (
        "Label issues, the most likely first", "Confused labels", "A batch of 8 has 4.0 labels and 48 triplets",
        "Suggested settings", "truncated sentences", "semi-hard", "--samples-per-label",
    ):  # fmt: skip
        assert title in done.stdout
    assert "0 (limit 32)" in done.stdout


def test_texts_come_back_as_they_are(bert, tmp_path):
    rows = [(text, 'a,"b"' if place % 2 else "=x\ny") for place, text in enumerate(_AWKWARD * 6)]
    rows = [(f"{text} {place}", label) for place, (text, label) in enumerate(rows)]
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    run("inspect", path, "--model", bert, "--label-issues", tmp_path / "s.csv", *_SMALL)
    found = _read_issues(tmp_path / "s.csv")
    assert len(found) > 5
    assert {text.rsplit(" ", 1)[0] for text in (issue["text"] for issue in found)} == set(_AWKWARD)
    for issue in found:
        assert (issue["text"], issue["label"]) == rows[int(issue["row"])]


def test_all_kinds_of_files_give_the_same(sentences, labels, bert, tmp_path):
    numbers = [sorted(TOPICS).index(label) - 1 for label in labels]
    table = pa.table({"text": sentences, "label": numbers})
    parquet.write_table(table, tmp_path / "d.parquet")
    rows = [{"text": text, "label": number} for text, number in zip(sentences, numbers, strict=True)]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "d.csv").write_text("text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in rows))
    results = []
    for name in ("d.parquet", "d.jsonl", "d.csv"):
        done = run("inspect", name, "--model", bert, "--json", *_SMALL, cwd=tmp_path)
        results.append(json.loads(done.stdout) | {"source": ""})
    assert results[0] == results[1] == results[2]
    assert {name for name, _ in results[0]["texts"]["labels"]["sizes"]} == {"-1", "0", "1", "2"}
    (tmp_path / "set").mkdir()
    done = run("inspect", "set", cwd=tmp_path, expect=2)
    assert "set is a folder with no data files; pass a file in it" in done.stderr


def test_json_without_a_model(csv_file):
    done = run("inspect", csv_file, "--json")
    result = json.loads(done.stdout)
    assert result["with_model"] is None
    assert result["obstacle"] is None
    assert result["texts"]["labels"]["smallest"][1] == 4
    assert result["counts"] == dict.fromkeys(
        ["empty", "missing_labels", "duplicates", "contradictions", "combined_labels", "similar_labels"], 0
    )


def test_several_labels_in_a_cell_lead_to_the_option_for_them(tmp_path):
    rows = [f"the team won game {n},{'sport;money' if n % 2 else 'sport'}\n" for n in range(8)]
    (tmp_path / "d.csv").write_text("text,tags\n" + "".join(rows) + "the bank,money\n")
    done = run("inspect", "d.csv", cwd=tmp_path)
    assert "4 of 9 rows have several labels in one cell" in done.stderr
    command = "tercet inspect d.csv --multi-label ';'"
    assert f"; pass {command.removeprefix('tercet inspect d.csv ')} to check each label" in done.stderr
    assert done.stderr.rstrip().endswith(command)


def test_data_that_cannot_be_used_for_training_are_inspected_and_reported(tmp_path, bert):
    (tmp_path / "d.csv").write_text("text,label\nthe team won,x\nthe bank,x\n")
    done = run("inspect", tmp_path / "d.csv", "--model", bert)
    assert "These data cannot be used for training:" in done.stdout
    assert "one label only ('x')" in " ".join(done.stdout.split())
    assert "0 of 0" in done.stdout


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--label-issues", "s.csv"), "--label-issues needs --model: label issues are found with the embeddings"),
        (("--model", "BERT", "--label-issues", "s.txt"), "--label-issues must end in .csv, got 's.txt'"),
        (("--model", "BERT", "--label-issues", "folder.csv"), "folder.csv is a folder; name a file"),
        (
            ("--model", "BERT", "--label-issues", "there.csv"),
            "there.csv already exists; choose another --label-issues or add",
        ),
        (
            ("--model", "BERT", "--label-issues", "data.csv", "--overwrite"),
            "data.csv is the input data; choose another",
        ),
        (("--model", "BERT", "--label-issues", "there.csv/s.csv"), "cannot write there.csv/s.csv: "),
        (("--model", "BERT", "--label-issues", "s" * 300 + ".csv"), "is an invalid path: File name too long"),
        (("--model", "./nowhere"), "no model directory at nowhere"),
        (("--model", ""), "--model is empty"),
        (("--text-column", "title"), "has no column 'title'; it has 'text', 'label'"),
        (("--label-column", "class"), "has no column 'class'; it has 'text', 'label'"),
        (("--batch-size", "9"), "--batch-size must be a multiple of --samples-per-label 4 and at least 8, got 9"),
        (("--samples-per-label", "1"), "--samples-per-label must be at least 2, got 1"),
        (("--seed", "-1"), "--seed must be from 0 to 4294967295, got -1"),
    ],
)
def test_bad_options_are_one_line_and_code_2(more, message, csv_file, bert, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "there.csv").write_text("mine")
    before = csv_file.read_text()
    done = run("inspect", "data.csv", *(bert if word == "BERT" else word for word in more), cwd=tmp_path, expect=2)
    assert message in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("tercet: error: ")]) == 1
    assert done.stdout == ""
    assert sorted(os.listdir(tmp_path)) == ["data.csv", "folder.csv", "there.csv"]
    assert ((tmp_path / "there.csv").read_text(), csv_file.read_text()) == ("mine", before)


@pytest.mark.parametrize("option", ["--label-issues", "--output"])
def test_a_file_that_cannot_be_written_does_not_lose_the_result(option, monkeypatch, bert, csv_file, tmp_path):
    @contextmanager
    def full(path, overwrite):
        raise DataError(f"cannot write {path}: No space left on device")
        yield

    module = "label_issues" if option == "--label-issues" else "inspect"
    monkeypatch.setattr(f"tercet.cli.{module}.atomic_file", full)
    path = tmp_path / ("s.csv" if option == "--label-issues" else "r.html")
    for more, first in (((), "Texts and labels"), (("--json",), "{")):
        words = ["inspect", csv_file, "--model", bert, option, path, *_SMALL, *more]
        report = tmp_path / f"{len(more)}.html"
        words += ["--output", report] if option == "--label-issues" else []
        done = CliRunner().invoke(app, list(map(str, words)))
        assert done.exit_code == 2
        assert done.stdout.startswith(first)
        assert "Suggested settings" in done.stdout or json.loads(done.stdout)["with_model"]["suggestions"]
        assert f"cannot write {path}: No space left on device" in done.stderr
        assert report.exists() == (option == "--label-issues")  # The other file is not lost either.


def _printed(inspection, monkeypatch, capsys, width=80):
    monkeypatch.setenv("COLUMNS", str(width))
    print_inspection(inspection)
    return capsys.readouterr().out


def test_long_labels_that_differ_at_their_ends_are_shown_in_full(monkeypatch, capsys):
    names = ["balance_not_updated_after_bank_transfer", "balance_not_updated_after_cheque_or_cash_deposit"]
    # Two wrong labels each way, and a text under both.
    texts = [f"{place} {letter}" for place in ("one", "two") for letter in "abcdefghij"]
    labels = [names[int(text.startswith("two")) ^ (text[4:] in "ab")] for text in texts]
    found = inspect(labelled([*texts, "one c"], [*labels, names[1]]), Blobs())
    findings = found.with_model
    assert findings.label_issues
    assert findings.confusions
    assert found.texts.contradictions
    first, second = (Example(row=1, text="one", label=name) for name in names)
    findings = replace(findings, near_duplicates=[NearDuplicate(similarity=0.99, first=first, second=second)])
    text = _printed(replace(found, with_model=findings), monkeypatch, capsys)
    for title in ("Texts under several", "Label issues,", "Confused labels,", "Near-duplicates under two labels,"):
        table = text[text.index(title) :].split("└")[0]
        assert "…" not in table
        columns = zip(*(line.split("│") for line in table.splitlines() if line.startswith("│")), strict=True)
        cells = "\n".join("".join(cell.strip() for cell in column) for column in columns)
        for name in names:
            assert name in cells
    pair = findings.confusions[0]
    assert f" {pair.issues[0]} / {pair.issues[1]} " in text  # beside names of several lines


def test_a_warning_is_printed_below_the_numbers_that_it_is_about(monkeypatch, capsys):
    for model, last in ((Blobs(), "Suggested settings"), (ConstantModel(), "")):
        found = inspect(shuffled(), model)
        text = " ".join(_printed(found, monkeypatch, capsys).split())
        before, after = text.split(found.with_model.warning)
        assert "truncated sentences" in before
        assert last in after
        assert bool(after.strip()) == bool(last)


def test_texts_that_are_all_empty(tmp_path):
    (tmp_path / "d.csv").write_text("text,label\n,x\n,y\n")
    text = " ".join(run("inspect", "d.csv", cwd=tmp_path).stdout.split())
    assert "│ rows │ 2 │" in text
    assert "│ smallest label │ – │" in text
    assert "These data cannot be used for training: d.csv has no row with a text" in text
    result = json.loads(run("inspect", "d.csv", "--json", cwd=tmp_path).stdout)
    assert result["texts"]["labels"]["smallest"] is None


def test_the_help_says_how_many_rows_the_report_has():
    text = " ".join(CliRunner().invoke(app, ["inspect", "--help"]).stdout.split())
    assert "Write the tables, up to 200 rows each, and plots to this .html file." in text


def test_label_issues_are_replaced_when_asked(csv_file, bert, tmp_path):
    (tmp_path / "s.csv").write_text("mine")
    run("inspect", csv_file, "--model", bert, "--label-issues", tmp_path / "s.csv", "--overwrite", *_SMALL)
    assert (tmp_path / "s.csv").read_text().startswith("row,line,text,label,suggested_label,log_odds,accept\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": 3, "label": "x"}\n', "line 1: the text is 3 (int), not a string"),
        ('{"text": "a", "label": 0.5}\n', "line 1: the label is 0.5 (float)"),
        ('{"text": "\\ud800", "label": "x"}\n', "line 1: the text contains a lone surrogate"),
        (
            '{"text": "a", "label": "x"}\n{"text": "a", "label": "\\ud800"}\n',
            "line 2: the label contains a lone surrogate",
        ),
    ],
)
def test_bad_data_is_one_line_and_code_2(content, message, tmp_path):
    (tmp_path / "d.jsonl").write_text(content)
    done = run("inspect", tmp_path / "d.jsonl", expect=2)
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("suggested", "words"),
    [
        ({"distance": "euclidean", "margin": 0.3, "samples_per_label": 4}, []),
        (
            {"distance": "cosine", "margin": 0.5, "samples_per_label": 2},
            ["--samples-per-label", "2", "--margin", "0.5"],
        ),
        ({"distance": "euclidean", "margin": [0.6, 0.3], "samples_per_label": 4}, ["--margin", "0.6,0.3"]),
    ],
)
def test_the_next_command_has_no_suggestion_that_training_follows_by_itself(suggested, words):
    """A default margin that is given is not raised after a head on few sentences."""
    found = [SimpleNamespace(setting=name, value=value) for name, value in suggested.items()]
    inspection = SimpleNamespace(
        texts=SimpleNamespace(combined_separator=None),
        obstacle=None,
        with_model=SimpleNamespace(suggestions=found, labels_look_wrong=False),
    )
    command = _next_command(inspection, "data.csv", ReadOptions(), model=["--model", "bundled"], settings={})
    added = command[command.index("bundled") + 1 : command.index("--output")]
    assert sorted(added) == sorted(words)


def test_labels_that_look_wrong_are_looked_at_before_training(tmp_path):
    """Labels at random: the next command writes the label issues to a file; then it corrects them."""
    rng = random.Random(0)
    path = tmp_path / "random.csv"
    words = [word for topic in TOPICS.values() for text in topic for word in text.split()]
    lines = [f"{' '.join(rng.choices(words, k=6))} {row},{rng.choice('abc')}" for row in range(150)]
    path.write_text("\n".join(["text,label", *lines]))
    first = run("inspect", path, "--model", "bundled").stderr
    assert f"next:\n  tercet inspect {path} --model bundled --label-issues label-issues.csv" in first
    second = run("inspect", path, "--model", "bundled", "--label-issues", tmp_path / "issues.csv").stderr
    assert f"next:\n  tercet fix {path} {tmp_path / 'issues.csv'} --output fixed.csv" in second


def test_the_lowest_suggested_margin_is_the_default():
    assert LOWEST_SUGGESTED == DEFAULT_MARGIN
