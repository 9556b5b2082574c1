"""`--report` and `inspect --output`: checked before the work, written atomically after it."""

import csv
import html
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.cli.command import run, train_arguments
from tests.comparison.helpers import evaluation_data


def test_a_run_writes_its_report_and_says_where(csv_file, eval_file, bert, tmp_path):
    report = tmp_path / "new folder" / "report.html"
    options = ("--epochs", 4, "--eval-data", eval_file, "--report", report)
    done = run(*train_arguments(csv_file, bert, tmp_path / "m", *options))
    assert f"report written to {report}" in done.stderr
    text = report.read_text(encoding="utf-8")
    for part in (
        "Was it worth it?",
        "Metrics",
        "Distances",
        "The hardest triplets at the end",
        "the bread is hot",
        "batch-semi-hard",
    ):
        assert part in text
    metrics = json.loads((tmp_path / "m" / "metrics.json").read_text())
    assert f"{metrics['evaluation']['against_reference']['after']['map@r']:.4f}" in text
    assert f">tercet train {csv_file}" in text
    assert os.listdir(report.parent) == ["report.html"]
    again = run(*train_arguments(csv_file, bert, tmp_path / "n", *options), expect=2)
    assert "already exists; choose another --report or add --overwrite" in again.stderr
    assert not (tmp_path / "n").exists()


def test_no_texts_needs_a_report(csv_file, bert, tmp_path):
    commands = {
        "--report": (train_arguments(csv_file, bert, tmp_path / "m"), ("evaluate", bert, csv_file)),
        "--output": (("inspect", csv_file),),
    }
    for option, of_option in commands.items():
        for command in of_option:
            done = run(*command, "--no-texts", expect=2)
            assert f"--no-texts needs {option}, the report that it leaves the sentences out of" in done.stderr
    done = run(*train_arguments(csv_file, bert, tmp_path / "m"), "--keep-texts", "--no-classifier", expect=2)
    assert "--keep-texts needs the classifier" in done.stderr


def test_a_report_without_texts_names_the_rows_of_the_file(csv_file, bert, tmp_path):
    options = ("--max-steps", 1, "--report", tmp_path / "r.html", "--no-texts")
    run(*train_arguments(csv_file, bert, tmp_path / "m", *options))
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    held_out = json.loads((tmp_path / "m" / "metrics.json").read_text())["data"]["eval"]["held_out_rows"]
    with csv_file.open(encoding="utf-8", newline="") as file:
        labels = [line["label"] for line in csv.DictReader(file)]
    named = re.findall(r"row (\d+) \[(\w+)\]", text)
    assert named
    for row, label in named:
        assert int(row) in held_out
        assert labels[int(row)] == label


def test_a_report_leaves_the_metrics_as_they_are(csv_file, eval_file, bert, tmp_path):
    for name, more in (("a", ()), ("b", ("--report", tmp_path / "r.html"))):
        run(*train_arguments(csv_file, bert, tmp_path / name, "--epochs", 2, "--eval-data", eval_file, *more))
    a, b = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in "ab")
    assert a["evaluation"] == b["evaluation"]


def test_the_report_says_why_nothing_was_evaluated(csv_file, bert, tmp_path):
    rows = "the team won the game,the player scored,the soup is hot\n" * 8
    (tmp_path / "t.csv").write_text("anchor,positive,negative\n" + rows)
    (tmp_path / "e.csv").write_text("anchor,positive,negative\nthe final game,the player won,the soup is hot\n")
    triplets = ("train", tmp_path / "t.csv", "--model", bert, "--output", tmp_path / "t", "--loss", "triplet")
    run(*triplets, "--batch-size", 4, "--eval-data", tmp_path / "e.csv", "--report", tmp_path / "t.html")
    assert "evaluated on triplets, which have no labels" in (tmp_path / "t.html").read_text()
    nothing = ("--eval-fraction", 0, "--report", tmp_path / "n.html")
    run(*train_arguments(csv_file, bert, tmp_path / "n", *nothing))
    assert "Nothing was held out for evaluation." in (tmp_path / "n.html").read_text()


@pytest.mark.parametrize(
    ("path", "reason"),
    [("r.htm", "must end in .html"), ("folder.html", "is a folder; name a file"), ("x" * 300 + ".html", "too long")],
)
def test_a_path_that_cannot_be_a_report_is_refused_before_training(csv_file, bert, tmp_path, path, reason):
    (tmp_path / "folder.html").mkdir()
    done = run(*train_arguments(csv_file, bert, tmp_path / "m", "--report", tmp_path / path), expect=2)
    assert reason in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "m").exists()
    assert reason in run("inspect", csv_file, "--output", tmp_path / path, expect=2).stderr


def test_without_plotly_a_report_is_refused_before_training(csv_file, bert, tmp_path):
    code = (
        "import importlib.util as u, sys; find = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'plotly' else find(name, *more)\n"
        "from tercet.cli.app import app; app()"
    )
    command = [
        sys.executable,
        "-c",
        code,
        *map(str, train_arguments(csv_file, bert, tmp_path / "m", "--report", "r.html")),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "--report needs plotly: pip install 'tercet[report]'" in done.stderr
    assert os.listdir(tmp_path) == ["data.csv"]


def test_an_inspection_writes_its_report(csv_file, bert, tmp_path):
    done = run("inspect", csv_file, "--model", bert, "--batch-size", 8, "--samples-per-label", 2,
               "--output", tmp_path / "i.html")  # fmt: skip
    assert f"report written to {tmp_path / 'i.html'}" in done.stderr
    text = (tmp_path / "i.html").read_text()
    assert "Label issues" in text
    assert "Suggested settings" in text
    plain = run("inspect", csv_file, "--output", tmp_path / "p.html")
    assert "Texts and labels" in plain.stdout
    assert "Label issues" not in (tmp_path / "p.html").read_text()


def test_a_warning_of_the_run_is_in_its_metrics_and_in_its_report(csv_file, eval_file, bert, tmp_path):
    options = ("--distance", "cosine", "--margin", 5, "--max-steps", 2, "--report", tmp_path / "r.html")
    done = run(*train_arguments(csv_file, bert, tmp_path / "m", "--eval-data", eval_file, *options))
    (warning,) = json.loads((tmp_path / "m/metrics.json").read_text())["warnings"]
    assert warning["kind"] == "unreachable-margin"
    assert "margin" in warning["message"]
    assert warning["message"] in " ".join(done.stderr.split())
    assert f"<span>{html.escape(warning['message'])}" in (tmp_path / "r.html").read_text()


def test_evaluation_during_training_changes_no_step_and_is_in_the_report(csv_file, eval_file, bert, tmp_path):
    for name, more in (("a", ()), ("b", ("--eval-steps", 3, "--report", tmp_path / "r.html"))):
        run(*train_arguments(csv_file, bert, tmp_path / name, "--epochs", 2, "--eval-data", eval_file, *more))
    a, b = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in "ab")
    assert a["evaluation"] == b["evaluation"]
    assert a["by_step"] == {}
    assert list(b["by_step"]) == ["3", "4"]  # the last step too
    assert b["by_step"]["3"] != b["by_step"]["4"] == b["evaluation"]["among_themselves"]["after"]
    assert f"{b['by_step']['3']['map@r']}" in (tmp_path / "r.html").read_text()


def test_eval_steps_without_evaluation_data_is_an_error(csv_file, bert, tmp_path):
    options = ("--eval-fraction", 0, "--eval-steps", 3)
    done = run(*train_arguments(csv_file, bert, tmp_path / "m", *options), expect=2)
    assert "--eval-steps needs evaluation data, but no row is held out; pass --eval-data" in done.stderr
    assert not (tmp_path / "m").exists()


def test_a_resumed_run_is_evaluated_at_its_own_interval(csv_file, bert, tmp_path):
    """The checkpoint remembers the steps of the run that wrote it."""
    from datasets import Dataset

    from tercet import SentenceTransformer
    from tercet.data.loading.training_data import TrainingData
    from tercet.runs import RunSettings
    from tercet.runs.build import build_trainer
    from tercet.runs.run_training import run_training

    data = Dataset.from_csv(str(csv_file)).rename_column("text", "sentence")
    settings = RunSettings(max_steps=6, batch_size=8, samples_per_label=2, save_every=3, distance="cosine", margin=0.3)
    build_trainer(SentenceTransformer(bert), data, settings, tmp_path / "m.checkpoints", []).train()
    shutil.rmtree(tmp_path / "m.checkpoints/checkpoint-6")
    again = replace(settings, eval_steps=2)
    both = TrainingData(train=data, evaluation=evaluation_data(), train_rows=range(len(data)))
    run = run_training(SentenceTransformer(bert), both, tmp_path / "m", again, resume=True)
    assert list(run.record.by_step) == ["4", "6"]


@pytest.mark.parametrize(
    ("output", "message"),
    [("afile/m", "is a file, not a folder"), ("x" * 300, "is an invalid path: File name too long"),
     ("x" * 250, "is an invalid path: File name too long"), ("a\nb", "has a line break"), ("m\udcff", "is not UTF-8"),
     ("~nobody99/m", "there is no home folder of the user"), ("../data.csv", "is the input data"),
     ("/proc/x", "cannot write /proc/x: No such file or directory")],
)  # fmt: skip
def test_a_path_that_cannot_be_a_model_is_refused_before_training(csv_file, bert, tmp_path, output, message):
    here = tmp_path / "here"
    here.mkdir()
    (here / "afile").touch()
    done = run(*train_arguments(csv_file, bert, output, "--overwrite"), cwd=here, expect=2)
    assert message in done.stderr
    assert os.listdir(here) == ["afile"]
    assert "is a file, not a folder" in run(*train_arguments(csv_file, bert, "m", "--report", "afile/r.html"), cwd=here,
                                            expect=2).stderr  # fmt: skip


def test_a_report_in_the_folder_of_the_checkpoints_is_refused(csv_file, bert, tmp_path):
    report = tmp_path / "m.checkpoints/report.html"
    done = run(*train_arguments(csv_file, bert, tmp_path / "m", "--report", report), expect=2)
    assert f"--report {report} is inside of the folder for the checkpoints" in done.stderr
    assert not report.parent.exists()
