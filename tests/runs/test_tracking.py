"""Experiment trackers get the settings, the log, and the metrics before and after training; their errors end no run."""

import pytest
from transformers import TrainerCallback
from transformers.integrations import integration_utils

from tercet.errors import DataError
from tercet.runs import RunSettings, TrainingInterrupted, train

SETTINGS = {"max_steps": 4, "batch_size": 8, "samples_per_label": 2, "learning_rate": 1e-3}


class Recorder(TrainerCallback):
    """A tracker that records what it gets."""

    fails_at = ""

    def __init__(self):
        self.events = type(self).events = []

    def _record(self, event, state, **content):
        self.events.append((event, state.global_step, content))
        if event == self.fails_at:
            raise ConnectionError("no route to the tracker\nsecond line")

    def on_train_begin(self, args, state, control, **kwargs):
        self._record("begin", state, config=args.to_dict(), name=args.run_name)

    def on_log(self, args, state, control, logs=None, **kwargs):
        self._record("log", state, **logs)

    def on_train_end(self, args, state, control, **kwargs):
        self._record("end", state)


@pytest.fixture
def recorder(monkeypatch):
    """A class of trackers that stands for TensorBoard."""
    recorder = type("Fresh", (Recorder,), {})
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "tensorboard", recorder)
    monkeypatch.setattr("tercet.runs.trackers._exists", lambda module: True)
    return recorder


def _train(csv_file, output, bert, **settings):
    settings = RunSettings(**SETTINGS, report_to="tensorboard", **settings)
    return train(csv_file, output, model=bert, settings=settings, device="cpu", eval_fraction=0.5)


def test_a_tracker_gets_settings_and_metrics_before_and_after(recorder, bert, csv_file, tmp_path):
    run = _train(csv_file, tmp_path / "m", bert)
    (first, _, started), *logs, (last, _, _) = recorder.events
    assert (first, last) == ("begin", "end")
    assert started["name"] == "m"
    # Paths of the user stay on this machine.
    assert (started["config"]["data"], started["config"]["model"]) == ("data.csv", bert.name)
    assert started["config"].items() >= SETTINGS.items()
    assert [step for _, step, _ in logs] == sorted(step for _, step, _ in logs)
    key = "eval_against_reference_map_at_r"
    values = {step: content[key] for _, step, content in logs if key in content}
    assert values == {0: run.record.before["map@r"], 4: run.record.after["map@r"]}
    assert sum("loss" in content for *_, content in logs) >= 1
    assert not any("@" in name for *_, content in logs for name in content)


def test_a_run_without_steps_reports_the_metrics_after_it_at_step_1(recorder, bert, csv_file, tmp_path):
    run = _train(csv_file, tmp_path / "m", bert, train="head")
    key = "eval_against_reference_map_at_r"
    values = {step: content[key] for _, step, content in recorder.events if key in content}
    assert values == {0: run.record.before["map@r"], 1: run.record.after["map@r"]}


def test_a_tracker_that_fails_later_does_not_end_the_run(recorder, bert, csv_file, tmp_path):
    recorder.fails_at = "log"
    run = _train(csv_file, tmp_path / "m", bert)
    assert (tmp_path / "m/model.safetensors").exists()
    (warning,) = [warning for warning in run.record.warnings if warning["kind"] == "tracker-failed"]
    assert warning["message"].endswith("gets no more metrics of this run: no route to the tracker")
    assert [event for event, *_ in recorder.events] == ["begin", "log"]


def test_a_tracker_that_cannot_start_is_an_error_before_the_evaluation(recorder, bert, csv_file, tmp_path):
    recorder.fails_at = "begin"
    with pytest.raises(DataError, match="report_to='tensorboard' cannot start: no route to the tracker; correct that"):
        _train(csv_file, tmp_path / "m", bert)
    assert not (tmp_path / "m").exists()
    assert not (tmp_path / "m.checkpoints").exists()


def test_a_tracker_ends_when_the_run_is_interrupted(recorder, bert, csv_file, tmp_path, monkeypatch):
    def interrupt(self, measured):
        raise KeyboardInterrupt

    monkeypatch.setattr("tercet.runs.tracking.Trackers.log_evaluation", interrupt)
    with pytest.raises(TrainingInterrupted):
        _train(csv_file, tmp_path / "m", bert)
    assert [event for event, *_ in recorder.events] == ["begin", "end"]


def test_tensorboard_writes_beside_the_model(bert, csv_file, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = _train(csv_file, tmp_path / "m", bert)
    (logs,) = (tmp_path / "m.logs").iterdir()
    events = EventAccumulator(str(logs))
    events.Reload()
    values = [scalar.value for scalar in events.Scalars("eval/against_reference_map_at_r")]
    assert values == pytest.approx([run.record.before["map@r"], run.record.after["map@r"]])
    assert not (tmp_path / "m.checkpoints").exists()
