"""The budget of a comparison, in steps, epochs or minutes, and the time that it takes."""

import re
from dataclasses import replace

import pytest

from tercet.comparison import loop as comparison
from tercet.comparison import parse_grid
from tercet.errors import DataError
from tests.comparison.helpers import PLAN, compare, read_record, replace_function


def test_the_time_for_the_head_is_taken_off_a_budget_of_minutes(here, bert, tmp_path, monkeypatch):
    timed = {"seconds_per_step": 0.5, "head_seconds": 20.0, "failed": "only timed"}
    replace_function(monkeypatch, "run_trial", lambda trial: timed)
    plan = replace(PLAN, minutes=1.0, variants=parse_grid(["train=head,both"]))
    with pytest.raises(DataError, match="every run failed"):
        compare(bert, tmp_path / "out", plan)
    assert read_record(tmp_path / "out").steps_in_budget == {"train both": 80}


def test_each_run_says_how_long_the_remaining_ones_take(here, bert, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "SHORTEST_FORECAST", 1e-9)
    lines = []
    compare(bert, tmp_path / "out", report_progress=lines.append)
    runs = [line for line in lines if line.startswith("run ")]
    assert all(re.search(r"; the remaining runs take about \d+ s$", line) for line in runs[:-1])
    assert "the remaining runs" not in runs[-1]


def test_a_budget_of_minutes_or_epochs_becomes_steps(here, bert, tmp_path, monkeypatch):
    plan = replace(PLAN, minutes=1.0)
    replace_function(monkeypatch, "run_trial", lambda trial: {"seconds_per_step": 0.5, "failed": "only timed"})
    with pytest.raises(DataError, match="every run failed"):
        compare(bert, tmp_path / "minutes", plan)
    record = read_record(tmp_path / "minutes")
    assert record.steps_in_budget == {variant.name: 120 for variant in plan.variants}
    assert all(run.budget_steps == 120 for run in record.runs)
    plan = replace(PLAN, settings=replace(PLAN.settings, max_steps=-1, epochs=2.5))
    with pytest.raises(DataError, match="every run failed"):
        compare(bert, tmp_path / "epochs", plan)
    assert all(run.budget_steps == 5 for run in read_record(tmp_path / "epochs").runs)  # two batches of eight per epoch
