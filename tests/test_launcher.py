"""Environment variables of a launcher: a complete set, none, and variables that are set by accident."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tercet import SentenceTransformerTrainingArguments
from tercet._distributed import check_launcher, is_first_launched, launched_world_size, report_wait
from tercet.errors import DataError
from tests.child import ENVIRONMENT

COMPLETE = {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.fixture
def environment(monkeypatch):
    """A function that sets the variables of a launcher, and removes the others."""

    def set_variables(**variables):
        for name in COMPLETE:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


@pytest.mark.parametrize("variables", [{}, {"WORLD_SIZE": "1", "RANK": "0"}, {"LOCAL_RANK": "-1"}, {"RANK": ""}])
def test_one_process_needs_no_launcher(variables, environment):
    environment(**variables)
    check_launcher()
    assert (launched_world_size(), is_first_launched()) == (1, True)


def test_a_complete_set_gives_size_and_rank(environment):
    environment(**COMPLETE)
    check_launcher()
    assert (launched_world_size(), is_first_launched()) == (4, False)
    environment(**{**COMPLETE, "RANK": "0"})
    assert is_first_launched()
    environment(**{**COMPLETE, "RANK": "4"})
    with pytest.raises(DataError, match="RANK=4 and WORLD_SIZE=4, but the rank must be from 0 to 3"):
        check_launcher()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"RANK": "3"}, "the environment has RANK=3, as in distributed training, but WORLD_SIZE, LOCAL_RANK"),
        ({"WORLD_SIZE": "2"}, "has WORLD_SIZE=2, .* run `unset WORLD_SIZE` to train in one process"),
        ({"LOCAL_RANK": "1"}, "has LOCAL_RANK=1"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "has WORLD_SIZE=2, .* LOCAL_RANK, MASTER_ADDR, MASTER_PORT not set"),
        ({**COMPLETE, "WORLD_SIZE": "two"}, "has WORLD_SIZE=two, RANK=3, LOCAL_RANK=1"),
        ({**COMPLETE, "RANK": "-1"}, "has WORLD_SIZE=4, RANK=-1"),
    ],
)
def test_variables_that_are_set_by_accident_raise_one_error(variables, words, environment, tmp_path):
    environment(**variables)
    assert (launched_world_size(), is_first_launched()) == (1, True)
    with pytest.raises(DataError, match=words):
        SentenceTransformerTrainingArguments(str(tmp_path))


@pytest.mark.slow
def test_a_stray_rank_ends_train_before_it_reads_and_does_not_silence_inspect(csv_file, tmp_path):
    without = {name: value for name, value in ENVIRONMENT.items() if name not in COMPLETE}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "tercet", *map(str, arguments)],
            env={**without, "RANK": "3"}, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    done = run("train", tmp_path / "missing.csv", "--output", tmp_path / "model")
    assert done.returncode == 2
    assert done.stderr.count(os.linesep) == 1
    assert "error: the environment has RANK=3" in done.stderr
    assert "label" in run("inspect", csv_file).stdout


@pytest.mark.slow
def test_a_long_wait_for_other_processes_is_reported(environment, caplog):
    environment(**COMPLETE)
    with report_wait(0.05):
        time.sleep(0.5)
    assert "still waiting for the other 3 process(es) of this training after 0.05 seconds (WORLD_SIZE=4" in caplog.text
    assert "run `unset WORLD_SIZE RANK LOCAL_RANK MASTER_ADDR MASTER_PORT` to train in one process" in caplog.text
    caplog.clear()
    with report_wait(30):
        pass
    environment()
    with report_wait(0):
        time.sleep(0.1)
    assert caplog.text == ""


@pytest.mark.distributed
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_complete_environment_without_a_launcher_says_what_it_waits_for(rank, csv_file, bert, tmp_path):
    command = ["tercet", "train", csv_file, "--output", tmp_path / "model", "--model", bert, "--quiet"]
    program = (
        "import sys; from tercet import _distributed; from tercet.cli.app import app;"
        f"_distributed._SECONDS_TO_REPORT = 1.0; sys.argv = {list(map(str, command))}; app()"
    )
    variables = {**COMPLETE, "WORLD_SIZE": "2", "RANK": rank, "MASTER_PORT": str(29731 + int(rank))}
    process = subprocess.Popen(
        [sys.executable, "-c", program], env={**ENVIRONMENT, **variables}, stderr=subprocess.PIPE, text=True
    )
    try:
        found = next((line for line in process.stderr if "still waiting" in line), "")
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert f"for the other 1 process(es) of this training after 1 seconds (WORLD_SIZE=2, RANK={rank}" in found
