"""`tercet compare` as a user meets it: real processes, a table, one line for what is wrong."""

import json
import os
import re
import shutil
import signal

import pytest

from tercet._version import __version__
from tercet.catalogue import CLASSIFIERS
from tercet.cli.comparison_tables import print_comparison
from tercet.encoder.devices import cpu_has_bfloat16
from tercet.records import MeanAndStd
from tests.cli.command import run
from tests.forked import ForkedProcess, command_line
from tests.report.helpers import comparison
from tests.waiting import wait_until


def _compare(csv_file, bert, output, *more):
    held_out = csv_file.with_name("eval.csv")
    return (
        "compare", csv_file, "--model", bert, "--output", output, "--eval-data", held_out, "--batch-size", 8,
        "--samples-per-label", 2, "--learning-rate", 1e-3, "--grid", "loss=batch-all,batch-hard-soft-margin", *more,
    )  # fmt: skip


def _runs_in(file):
    """Return the runs in a `compare.json`. The command first tries with an empty file whether it can write there."""
    try:
        return json.loads(file.read_text() or '{"runs": []}')["runs"]
    except FileNotFoundError:
        return []


@pytest.mark.slow
def test_ctrl_c_prints_how_to_resume_and_the_table_and_the_model_come_at_the_end(csv_file, eval_file, bert, tmp_path):
    arguments = _compare(csv_file, bert, tmp_path / "out", "--steps", 5, "--seeds", 2)
    process = ForkedProcess(command_line, *map(str, arguments), new_session=True)
    file = tmp_path / "out/compare.json"
    wait_until(lambda: _runs_in(file), process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes of the group
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert re.search(r"interrupted; \d run\(s\) are complete\. Resume with:\n  tercet compare .* --resume", errors)
    refused = run(*arguments, expect=2)
    assert "run(s); add --resume to continue it, or --overwrite to start a new one" in refused.stderr
    done = run(*arguments, "--resume")
    assert re.search(r"batch-all, margin 0.3, cosine +0\.\d{4}", done.stdout)
    for title in ("MAP@R", "recall@1", "kNN accuracy", "active fraction", "s/step", "peak MiB"):
        assert title in done.stdout
    assert "before training" in done.stdout
    assert "±" in done.stdout
    assert re.search(r"Recommended: batch-", done.stdout)
    assert "model of batch-" in done.stderr
    again = json.loads(run(*arguments, "--resume", "--json").stdout)
    assert again == json.loads(file.read_text())
    assert again["environment"]["tercet"] == __version__
    assert len(again["runs"]) == 4
    assert sorted(os.listdir(tmp_path / "out")) == ["compare.json", "model"]
    assert run("evaluate", tmp_path / "out/model", csv_file).returncode == 0


@pytest.mark.slow
def test_two_encoders_and_a_head_are_compared_and_reported(csv_file, eval_file, bert, tmp_path):
    copy = tmp_path / "second"
    shutil.copytree(bert, copy)
    held_out = csv_file.with_name("eval.csv")
    done = run(
        "compare", csv_file, "--output", tmp_path / "out", "--eval-data", held_out, "--batch-size", 8,
        "--samples-per-label", 2, "--steps", 4, "--seeds", 1, "--report", tmp_path / "c.html",
        "--grid", f"model={bert},{copy}", "--grid", "train=head",
    )  # fmt: skip
    record = json.loads((tmp_path / "out/compare.json").read_text())
    assert record["settings"]["model"] == [str(bert), str(copy)]
    assert [run["failed"] for run in record["runs"]] == [None] * 2
    assert [line["model"] for line in record["baselines"]] == [str(bert), str(copy)]
    assert f"{bert} and {copy} have the same weights" in done.stderr
    words = " ".join(done.stdout.split())
    for text in ("second, before training", "second, train head", "Accuracy: evaluation sentences classified by",
                 "logistic regression", "Macro-F1 of the same classifiers",
                 "Budget of a run: 4 steps. Equal steps are not equal time"):  # fmt: skip
        assert text in words
    assert "Recommended: " in (tmp_path / "c.html").read_text()
    refused = run(
        "compare", csv_file, "--output", tmp_path / "new", "--grid", f"model={bert},{tmp_path / 'nowhere'}", expect=2
    )
    assert "no model directory at" in refused.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--grid", "loss=x"), "--grid: 'loss' is given twice"),
        (("--grid", "margin=x"), "--grid: margin 'x' is not a number of at least 0"),
        (("--seeds", "0"), "--seeds must be at least 1, got 0"),
        (("--steps", "5", "--minutes", "1"), "--steps, --minutes and --epochs exclude each other; give one"),
        pytest.param(
            ("--minutes", "1", "--model", "./nowhere"), "no model directory at nowhere", marks=pytest.mark.slow
        ),
        (("--seed", "4294967295", "--seeds", "2"), "--seeds must be at most 1 with --seed 4294967295, got 2"),
        (("--output", "x" * 300), "is an invalid path: File name too long"),
        (("--minutes", "0"), "--minutes must be above 0, got 0.0"),
        (("--eval-fraction", "0.2"), "--eval-data and --eval-fraction exclude each other"),
        (("--resume", "--overwrite"), "--resume and --overwrite exclude each other"),
        pytest.param(("--model", "./nowhere"), "no model directory at nowhere", marks=pytest.mark.slow),
        (
            ("--grid", "model=bundled"),
            "--model and the key 'model' of --grid exclude each other; put all models into the",
        ),
        (("--grid", "learning-rate=1,2"), "--grid: --learning-rate is in the grid, but --learning-rate 0.001 is given"),
        (("--grid", "epochs=1,2", "--steps", "5"), "--grid: epochs are in the grid, but --steps is the budget"),
        (("--grid", "rate=1"), "--grid: cannot read 'rate=1'; expected for example 'loss=batch-hard'"),
        pytest.param(
            ("--bf16",),
            "--bf16 needs a GPU with bfloat16 or a processor with avx512_bf16",
            marks=pytest.mark.skipif(cpu_has_bfloat16(), reason="this processor computes in bfloat16"),
        ),
        (("--output", "/proc/nowhere"), "cannot write /proc/nowhere: "),
    ],
)
def test_bad_options_are_one_line_and_code_2(more, message, csv_file, eval_file, bert, tmp_path):
    done = run(*_compare(csv_file, bert, tmp_path / "out", *more), expect=2)
    assert message in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("tercet: error: ")]) == 1


def test_a_folder_that_holds_something_else_is_left_alone(csv_file, eval_file, bert, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    assert "already exists" in run(*_compare(csv_file, bert, tmp_path / "out"), expect=2).stderr
    (tmp_path / "out/compare.json").write_text("{}")
    refused = run(*_compare(csv_file, bert, tmp_path / "out", "--resume"), expect=2)
    assert "is not a record of `tercet compare`; pass another output, or --overwrite to replace it" in refused.stderr


def test_on_80_columns_each_table_has_its_own_title(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    print_comparison(comparison())
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.count("mean ± standard deviation over seeds") == 1
    assert printed.count("The same runs: speed and memory") == 1


def test_a_narrow_table_wraps_its_numbers_and_cuts_none(monkeypatch, capsys):
    record = comparison()
    for at, line in enumerate(record.summary):  # Each number occurs once.
        line.accuracy = {key: MeanAndStd(mean=0.1111 + 0.01 * place + 0.1 * at, std=0.0012 + 0.0001 * at)
                         for place, key in enumerate(CLASSIFIERS)}  # fmt: skip
    monkeypatch.setenv("COLUMNS", "200")
    print_comparison(record)
    numbers = set(re.findall(r"\d\.\d{3,}", capsys.readouterr().out))
    assert {"0.1111", "0.1311", "0.2311", "0.0013"} <= numbers
    monkeypatch.setenv("COLUMNS", "80")
    print_comparison(record)
    narrow = capsys.readouterr().out
    assert re.search(r"\bregression\b", narrow)
    assert all(len(line) <= 80 for line in narrow.splitlines())
    assert numbers <= set(re.findall(r"\d\.\d{3,}", narrow))
