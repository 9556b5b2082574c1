"""Comparisons of tiny real models: the same start and batches, resuming, failing; subprocesses only where needed."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
import torch

from tercet import SentenceTransformer
from tercet.catalogue import DISTANCES, LOSSES, METRICS, DistanceSpec, LossSpec, MetricSpec
from tercet.comparison import Variant, baselines, budget, parse_grid
from tercet.comparison import loop as comparison
from tercet.comparison.files import read_comparison
from tercet.comparison.subprocess_runner import _interrupts_deferred, describe_error, run_in_subprocess
from tercet.errors import DataError
from tercet.evaluation import LabelEvaluator
from tercet.records import ComparisonRecord, MeanAndStd, RunRecord
from tests.child import ENVIRONMENT, ROOT
from tests.comparison.helpers import PLAN, Load, evaluation_data, labelled_data
from tests.waiting import wait_until

_CHANGES_EACH_TIME = ("seconds_per_step", "seconds", "head_seconds", "peak_memory_mib")


def _patch(monkeypatch, name, value):
    """Replace a function in each module of the comparison that calls it."""
    for module in (baselines, budget, comparison):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, value)


@pytest.fixture
def here(monkeypatch):
    """Make runs take place in this process: faster, and tests can look into them."""

    def call(function, argument):
        try:
            return function(argument)
        except ValueError as error:
            return {"failed": describe_error(error)}

    _patch(monkeypatch, "run_in_subprocess", call)


class Watched(Load):
    """Record the token ids of each training batch, one list per model."""

    def __init__(self, folder):
        super().__init__(folder)
        self.batches = []

    def __call__(self):
        model, seen = super().__call__(), []
        self.batches.append(seen)
        model.register_forward_pre_hook(
            lambda module, inputs: seen.append(inputs[0]["input_ids"].tolist()) if module.training else None
        )
        return model


class Damaged(Load):
    """Load a model with a weight that is NaN."""

    def __call__(self):
        model = super().__call__()
        with torch.no_grad():
            next(model.parameters()).fill_(torch.nan)
        return model


def _without_times(record):
    """Return the record without what depends on the time of the run."""
    content = record.to_dict()
    for fields in (*content["runs"], *(line["metrics"] for line in content["summary"])):
        for name in _CHANGES_EACH_TIME:
            fields.pop(name, None)
    for name in ("variant", "seed", "reason"):  # among equal variants the faster one is recommended
        del content["recommendation"][name]
    return content


def _read(output):
    return ComparisonRecord.from_dict(json.loads((output / "compare.json").read_text()))


def _compare(bert, output, plan=PLAN, load=Load, data=None, **options):
    data = data or labelled_data()
    load = load(bert) if isinstance(load, type) else load
    load = load if isinstance(load, dict) else {None: load}
    return comparison.run_comparison(load, data, evaluation_data(), output, plan, **options)


def test_every_variant_has_the_same_start_and_for_each_seed_the_same_batches(here, bert, tmp_path):
    load, models_kept = Watched(bert), []

    def count_models(_):
        models_kept.append(len(os.listdir(tmp_path / "out/.runs")))

    record = _compare(bert, tmp_path / "out", load=load, report_progress=count_models)
    runs = record.runs
    untouched, first, second, third, fourth = load.batches
    assert untouched == []
    assert [(line.start, line.metrics) for line in record.baselines] == [(runs[0].start, runs[0].before)]
    for one, other in ((first, second), (third, fourth)):
        common = min(len(one), len(other))
        assert common >= 8  # early stopping may end one of them before step ten
        assert one[:common] == other[:common]
    assert first[0] != third[0]
    assert [(run.loss, run.seed) for run in runs] == [
        ("batch-all", 3), ("batch-hard", 3), ("batch-all", 4), ("batch-hard", 4)
    ]  # fmt: skip
    assert len({run.start for run in runs}) == 1
    assert [run.batches for run in runs] == [runs[0].batches] * 2 + [runs[2].batches] * 2
    assert runs[0].batches != runs[2].batches
    assert models_kept == [1, 2, 2, 2]


def test_the_best_state_counts_and_the_best_model_is_complete(here, bert, tmp_path):
    record = _compare(bert, tmp_path / "out")
    for run in record.runs:
        by_step = {int(step): value for step, value in run.map_at_r_by_step.items()}
        assert run.metrics["map@r"] == max(by_step.values()) == by_step[run.best_step]
        assert list(by_step) == [2, 4, 6, 8, 10][: len(by_step)]
        assert run.stopped_early == (run.steps < 10)
        assert 0 < run.active_fraction <= 1
        assert run.seconds_per_step > 0
        assert run.peak_memory_mib > 50
    assert sorted(os.listdir(tmp_path / "out")) == ["compare.json", "model"]
    chosen = record.recommendation
    best = next(run for run in record.runs if (run.variant, run.seed) == (chosen.variant, chosen.seed))
    data = evaluation_data()
    now = LabelEvaluator(data["sentence"][:], data["label"][:])(SentenceTransformer(tmp_path / "out/model"))
    assert now["map@r"] == pytest.approx(best.metrics["map@r"])
    saved = RunRecord.from_dict(json.loads((tmp_path / "out/model/metrics.json").read_text()))
    assert (saved.before, saved.after) == (best.before, best.metrics)
    assert (saved.settings["loss"], saved.settings["steps"]) == (best.loss, best.best_step)
    assert saved.gain == best.gain == record.gain
    assert record.gain.untouched == record.baselines[0].scores
    for line in record.summary:
        of_runs = [run.gain.trained.classifiers for run in record.runs if run.variant == line.variant]
        assert line.accuracy["class_means"].mean == pytest.approx(
            sum(found["class_means"].accuracy for found in of_runs) / len(of_runs)
        )
        assert line.macro_f1["class_means"].mean == pytest.approx(
            sum(found["class_means"].macro_f1 for found in of_runs) / len(of_runs)
        )
    card = (tmp_path / "out/model/README.md").read_text()
    assert f"| MAP@R | {best.before['map@r']:.4f} | {best.metrics['map@r']:.4f} |" in card
    assert _read(tmp_path / "out") == record


@pytest.mark.slow
def test_a_comparison_that_was_killed_resumes_to_the_same_results(here, bert, tmp_path):
    output = tmp_path / "killed"
    command = [sys.executable, "-m", "tests.comparison.comparison_run", str(bert), str(output)]
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT)
    wait_until(lambda: (output / "compare.json").exists() and _read(output).runs != [], process)
    wait_until(lambda: len(os.listdir(output / ".runs")) > 1, process)  # the second run has begun
    process.kill()
    process.wait()
    before = _read(output)
    assert not before.finished
    assert 0 < len(before.runs) < 4
    subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=True, timeout=300)
    resumed = _read(output)
    assert resumed.runs[: len(before.runs)] == before.runs
    assert _without_times(resumed) == _without_times(_compare(bert, tmp_path / "undisturbed"))
    assert sorted(os.listdir(output)) == ["compare.json", "model"]


def test_a_variant_that_fails_is_reported_and_the_others_run(here, bert, tmp_path):
    failing = Variant(loss="batch-all", margin=-1.0, distance="euclidean")
    record = _compare(bert, tmp_path / "out", replace(PLAN, variants=(failing, *PLAN.variants[1:])))
    reasons = [run.failed for run in record.runs]
    assert [reason is not None for reason in reasons] == [True, False, True, False]
    assert "the margin must be a finite number of at least 0, got -1.0" in reasons[0]
    assert record.summary[0].metrics["map@r"] == MeanAndStd(mean=None, std=None)
    assert record.recommendation.variant == "batch-hard, margin 0.3"
    assert record.recommendation.outcome == "alone"
    assert (tmp_path / "out/model/modules.json").exists()


def test_if_every_run_fails_it_is_an_error_and_resume_tries_again(here, bert, tmp_path):
    with pytest.raises(DataError, match="every run failed, the first with: .*NaN"):
        _compare(bert, tmp_path / "out", load=Damaged)
    assert os.listdir(tmp_path / "out") == ["compare.json"]
    assert len(_read(tmp_path / "out").runs) == 4
    assert _compare(bert, tmp_path / "out", resume=True).finished


def _killed(_):
    os.kill(os.getpid(), signal.SIGKILL)


def _out_of_memory(_):
    raise MemoryError


def _process_id(number):
    return {"pid": os.getpid(), "number": number}


@pytest.mark.slow
def test_a_subprocess_that_crashes_is_reported_and_this_process_continues():
    assert run_in_subprocess(_killed, None) == {
        "failed": "killed by SIGKILL, probably because the machine ran out of memory"
    }
    failed = run_in_subprocess(_out_of_memory, None)["failed"]
    assert failed.startswith("out of memory; set or reduce mini_batch_tokens")
    result = run_in_subprocess(_process_id, 7)
    assert result["number"] == 7
    assert result["pid"] != os.getpid()


def test_what_resume_refuses(here, bert, tmp_path):
    out = tmp_path / "out"
    calls = []

    def stop(_):
        calls.append(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # Without a compare.json, `resume` starts the comparison.
        _compare(bert, out, report_progress=stop, resume=True)
    with pytest.raises(
        DataError, match=r"unfinished comparison with 1 run\(s\); add resume=True to continue it, or overwrite=True"
    ):
        _compare(bert, out)
    with pytest.raises(DataError, match=r"was started with seeds \[3, 4\], but now it is \[3, 4, 5\]; pass the same"):
        _compare(bert, out, replace(PLAN, seeds=(3, 4, 5)), resume=True)
    with pytest.raises(DataError, match='was started with budget {"steps": 10}, but now it is {"minutes": 1}'):
        _compare(bert, out, replace(PLAN, minutes=1), resume=True)
    with pytest.raises(DataError, match=r"different training data: 16 rows then, 15 now"):
        _compare(bert, out, data=labelled_data().select(range(15)), resume=True)
    record = _compare(bert, out, resume=True)
    again = _compare(bert, out, resume=True, report_progress=stop)  # nothing is left to do
    assert again == record
    assert calls == [1]
    with pytest.raises(DataError, match="has a finished comparison; pass another output, or overwrite=True"):
        _compare(bert, out)


@pytest.mark.parametrize(
    ("map_at_r", "copies", "message"),
    [
        ("high", 1, "map@r of the run of NAME is 'high', which is not a number"),
        (99.0, 1, "map@r of the run of NAME is 99.0, which is not between 0 and 1"),
        (0.5, 2, "the run of NAME is there twice"),
    ],
)
def test_a_record_that_was_edited_is_not_resumed(map_at_r, copies, message, tmp_path):
    content = json.loads((ROOT / "tests/fixtures/format-2/compare.json").read_text())
    run = content["runs"][0]
    run["metrics"]["map@r"] = map_at_r
    content["runs"] = [run] * copies
    (tmp_path / "compare.json").write_text(json.dumps(content))
    message = message.replace("NAME", f"{run['variant']} with seed {run['seed']}")
    with pytest.raises(DataError, match=f"was changed since the comparison wrote it: {re.escape(message)}"):
        read_comparison(tmp_path, resume=True)


def test_a_model_that_changes_or_is_missing_ends_the_comparison(here, bert, tmp_path):
    class Changing(Load):
        seed = 0

        def __call__(self):
            model = super().__call__()
            with torch.no_grad():
                next(model.parameters()).add_(self.seed)
            self.seed += 1
            return model

    with pytest.raises(DataError, match="the model has changed since"):
        _compare(bert, tmp_path / "out", load=Changing)
    with pytest.raises(DataError, match="no model directory at"):
        _compare("./nowhere", tmp_path / "none")
    with pytest.raises(DataError, match="no model directory at"):  # the failed start has left nothing in the way
        _compare("./nowhere", tmp_path / "none", replace(PLAN, minutes=1.0))
    assert len(_compare(bert, tmp_path / "none").runs) == 4


def test_several_encoders_have_their_own_start_and_the_same_batches(here, bert, tmp_path):
    other = SentenceTransformer(str(bert), device="cpu")
    with torch.no_grad():
        next(other.parameters()).mul_(1.5)
    other.save_pretrained(tmp_path / "other")
    plan = replace(PLAN, variants=parse_grid([f"model={bert},{tmp_path / 'other'}", "batch_size=8"]))
    names = [str(bert), str(tmp_path / "other")]
    loaders = {name: Load(name) for name in names}
    calls = []

    def stop(_):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _compare(bert, tmp_path / "out", plan, load=loaders, report_progress=stop)
    record = _compare(bert, tmp_path / "out", plan, load=loaders, report_progress=stop, resume=True)
    assert len(calls) == 4
    first, second = record.baselines
    assert [first.model, second.model] == names
    assert first.start != second.start
    assert [(run.model, run.start) for run in record.runs] == [
        (line.model, line.start) for line in record.baselines
    ] * 2
    assert [run.before for run in record.runs] == [first.metrics, second.metrics] * 2
    assert [run.batches for run in record.runs] == [record.runs[0].batches] * 2 + [record.runs[2].batches] * 2
    assert record.runs[0].settings == {"batch_size": 8}
    assert 0 < record.runs[0].seconds < 60
    saved = RunRecord.from_dict(json.loads((tmp_path / "out/model/metrics.json").read_text()))
    chosen = next(run for run in record.runs if run.variant == record.recommendation.variant)
    assert saved.settings["model"] == chosen.model
    calls = [1, 1]
    with pytest.raises(KeyboardInterrupt):
        _compare(bert, tmp_path / "changed", plan, load=loaders, report_progress=stop)
    loaders[names[1]] = Load(bert)
    with pytest.raises(DataError, match="the model has changed since"):
        _compare(bert, tmp_path / "changed", plan, load=loaders, resume=True)


def test_a_head_alone_a_head_before_the_encoder_and_the_encoder_alone(here, bert, tmp_path):
    variants = parse_grid(["train=head,both,encoder"])
    record = _compare(bert, tmp_path / "out", replace(PLAN, variants=variants))
    assert [run.failed for run in record.runs] == [None] * 6
    head, both, encoder = record.runs[:3]
    assert (head.steps, head.best_step, head.budget_steps, head.batches) == (0, 0, 0, None)
    assert head.map_at_r_by_step == {"0": head.metrics["map@r"]}
    assert 0 < head.head_seconds == head.seconds
    assert (head.seconds_per_step, head.active_fraction) == (None, None)
    assert 0 < both.head_seconds < both.seconds
    assert both.budget_steps == encoder.budget_steps == 10
    assert encoder.head_seconds is None
    assert len({run.start for run in record.runs}) == 1
    assert record.baselines[0].metrics == head.before == both.before
    saved = SentenceTransformer(tmp_path / "out/model")
    chosen = record.recommendation
    best = next(run for run in record.runs if (run.variant, run.seed) == (chosen.variant, chosen.seed))
    data = evaluation_data()
    assert LabelEvaluator(data["sentence"][:], data["label"][:])(saved)["map@r"] == pytest.approx(best.metrics["map@r"])


def test_the_time_for_the_head_is_taken_off_a_budget_of_minutes(here, bert, tmp_path, monkeypatch):
    timed = {"seconds_per_step": 0.5, "head_seconds": 20.0, "failed": "only timed"}
    _patch(monkeypatch, "run_trial", lambda trial: timed)
    plan = replace(PLAN, minutes=1.0, variants=parse_grid(["train=head,both"]))
    with pytest.raises(DataError, match="every run failed"):
        _compare(bert, tmp_path / "out", plan)
    assert _read(tmp_path / "out").steps_in_budget == {"train both": 80}


def test_when_a_repeated_seed_is_equally_good_the_model_of_the_first_seed_is_kept(here, bert, tmp_path, monkeypatch):
    """A repeated seed changes the order of the runs; among equal ones, the first seed is kept and recommended."""
    calls, run_trial = [], comparison.run_trial

    def failing_first(trial):
        calls.append(trial.settings.seed)
        result = {"failed": "only the first time"} if len(calls) == 1 else run_trial(trial)
        if "metrics" in result:
            result["metrics"]["map@r"] = 0.5
        return result

    def stop(_):
        if len(calls) == 2:
            raise KeyboardInterrupt

    _patch(monkeypatch, "run_trial", failing_first)
    with pytest.raises(KeyboardInterrupt):
        _compare(bert, tmp_path / "out", replace(PLAN, seeds=(3, 4, 5)), report_progress=stop)
    found = _compare(bert, tmp_path / "out", replace(PLAN, seeds=(3, 4, 5)), resume=True).recommendation
    assert (tmp_path / "out/model/modules.json").exists()
    assert json.loads((tmp_path / "out/model/metrics.json").read_text())["settings"]["seed"] == found.seed == 3


def test_overwrite_removes_the_model_of_the_earlier_comparison(here, bert, tmp_path):
    _compare(bert, tmp_path / "out")
    with pytest.raises(DataError, match="no model directory at"):
        _compare("./nowhere", tmp_path / "out", overwrite=True)
    assert sorted(os.listdir(tmp_path / "out")) == ["compare.json", "model"]  # a mistyped model loses nothing
    with pytest.raises(DataError, match="every run failed"):
        _compare(bert, tmp_path / "out", load=Damaged, overwrite=True)
    assert os.listdir(tmp_path / "out") == ["compare.json"]


def test_each_run_says_how_long_the_remaining_ones_take(here, bert, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "SHORTEST_FORECAST", 1e-9)
    lines = []
    _compare(bert, tmp_path / "out", report_progress=lines.append)
    runs = [line for line in lines if line.startswith("run ")]
    assert all(re.search(r"; the remaining runs take about \d+ s$", line) for line in runs[:-1])
    assert "the remaining runs" not in runs[-1]


def test_a_budget_of_minutes_or_epochs_becomes_steps(here, bert, tmp_path, monkeypatch):
    plan = replace(PLAN, minutes=1.0)
    _patch(monkeypatch, "run_trial", lambda trial: {"seconds_per_step": 0.5, "failed": "only timed"})
    with pytest.raises(DataError, match="every run failed"):
        _compare(bert, tmp_path / "minutes", plan)
    record = _read(tmp_path / "minutes")
    assert record.steps_in_budget == {variant.name: 120 for variant in plan.variants}
    assert all(run.budget_steps == 120 for run in record.runs)
    plan = replace(PLAN, settings=replace(PLAN.settings, max_steps=-1, epochs=2.5))
    with pytest.raises(DataError, match="every run failed"):
        _compare(bert, tmp_path / "epochs", plan)
    assert all(run.budget_steps == 5 for run in _read(tmp_path / "epochs").runs)  # two batches of eight per epoch


def test_data_without_a_triplet_are_refused_before_anything_runs(bert, tmp_path):
    data = labelled_data()
    for rows, message in (([0, 3, 6], "needs two labels, one of which has two rows"), ([0, 1], "needs two labels")):
        with pytest.raises(DataError, match=message):
            comparison.run_comparison({None: Load(bert)}, data, evaluation_data().select(rows), tmp_path / "out", PLAN)
    with pytest.raises(DataError, match="all 16 texts of the evaluation data are also in the training data"):
        comparison.run_comparison({None: Load(bert)}, data, data, tmp_path / "out", PLAN)
    with pytest.raises(DataError, match="a batch of 9 cannot hold labels"):
        _compare(bert, tmp_path / "out", replace(PLAN, settings=replace(PLAN.settings, batch_size=9)))
    assert not (tmp_path / "out").exists()


def test_a_registered_loss_distance_and_metric_are_compared(here, bert, tmp_path):
    """One registration each is enough: the grid, the table and the summary derive from the catalogue."""
    loss = LossSpec(name="mine", cls="tercet.losses.modules:BatchAllTripletLoss", summary="a loss of the user")
    distance = DistanceSpec(name="taxi", distance="tercet.distances:MANHATTAN", summary="a distance of the user")
    metric = MetricSpec(key="best_step", title="best step", kind="run", compared=True)
    LOSSES.register(loss)
    DISTANCES.register(distance)
    METRICS.register(metric)
    try:
        assert "mine, margin 0.3" in [variant.name for variant in parse_grid()]
        variants = parse_grid(["loss=mine,batch-hard", "distance=taxi"])
        record = _compare(bert, tmp_path / "out", replace(PLAN, variants=variants, seeds=(3,)))
        assert [run.failed for run in record.runs] == [None, None]
        assert record.summary[0].variant == "mine, margin 0.3, taxi"
        assert record.summary[0].metrics["best_step"].mean == record.runs[0].best_step
    finally:
        LOSSES.unregister("mine")
        DISTANCES.unregister("taxi")
        METRICS.unregister("best_step")


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows has no signal masks")
def test_ctrl_c_is_deferred_while_a_process_starts():
    """Another thread receives the signal, as with the threads that PyTorch starts."""
    done, ended = threading.Event(), []
    # A shell ignores Ctrl-C in the processes that it starts in the background, and they inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt():
        with _interrupts_deferred():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            ended.append(True)

    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupt()
    finally:
        done.set()
        thread.join()
    assert ended
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler
