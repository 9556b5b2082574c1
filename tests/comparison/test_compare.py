"""Comparisons of tiny real models: the same start and batches, going on, failing; processes only where they matter."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from tercet import SentenceTransformer
from tercet.comparison import compare as comparison
from tercet.comparison.compare import compare
from tercet.comparison.plan import Variant
from tercet.comparison.subprocess_runner import _reason, run_in_subprocess
from tercet.errors import DataError
from tercet.evaluation import LabelEvaluator
from tests.child import ENVIRONMENT, ROOT
from tests.comparison.comparison_run import PLAN, Load, labelled

_OF_THE_MOMENT = ("seconds_per_step", "peak_memory_mib")


@pytest.fixture
def here(monkeypatch):
    """Runs in this process: quicker, and they can be looked into."""

    def call(function, argument):
        try:
            return function(argument)
        except ValueError as error:
            return {"failed": _reason(error)}

    monkeypatch.setattr(comparison, "run_in_subprocess", call)


class Watched(Load):
    """Notes the sentences of each training batch, a list a model."""

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
    """A model whose weights are not numbers."""

    def __call__(self):
        model = super().__call__()
        with torch.no_grad():
            next(model.parameters()).fill_(torch.nan)
        return model


def _without_times(results):
    """What does not depend on the moment, of compare.json."""
    results = json.loads(json.dumps(results))
    for line in (*results["runs"], *results.get("summary", ())):
        for name in _OF_THE_MOMENT:
            line.pop(name, None)
    if results.get("recommendation"):  # among equals it goes by the times
        for name in ("variant", "seed", "because"):
            results["recommendation"].pop(name)
    return results


def _compare(bert, output, plan=PLAN, load=Load, data=None, **options):
    data = data or labelled()
    return compare(load(bert) if isinstance(load, type) else load, data, data, output, plan, **options)


def test_every_variant_has_the_same_start_and_for_each_seed_the_same_batches(here, bert, tmp_path):
    load, bounded = Watched(bert), []
    results = _compare(
        bert, tmp_path / "out", load=load, tell=lambda _: bounded.append(len(os.listdir(tmp_path / "out/.runs")))
    )
    first, second, third, fourth = load.batches
    for one, other in ((first, second), (third, fourth)):
        shared = min(len(one), len(other))
        assert shared >= 8  # early stopping may end one of them before ten
        assert one[:shared] == other[:shared]
    assert first[0] != third[0]
    runs = results["runs"]
    assert [(run["loss"], run["seed"]) for run in runs] == [
        ("batch-all", 3), ("batch-hard", 3), ("batch-all", 4), ("batch-hard", 4)
    ]  # fmt: skip
    assert len({run["start"] for run in runs}) == 1
    assert [run["batches"] for run in runs] == [runs[0]["batches"]] * 2 + [runs[2]["batches"]] * 2
    assert runs[0]["batches"] != runs[2]["batches"]
    assert bounded == [1, 2, 2, 2]


def test_the_best_state_counts_and_the_best_model_is_whole(here, bert, tmp_path):
    results = _compare(bert, tmp_path / "out")
    for run in results["runs"]:
        measured = {int(step): value for step, value in run["map@r_by_step"].items()}
        assert run["metrics"]["map@r"] == max(measured.values()) == measured[run["best_step"]]
        assert list(measured) == [2, 4, 6, 8, 10][: len(measured)]
        assert run["stopped_early"] == (run["steps"] < 10)
        assert 0 < run["active_fraction"] <= 1
        assert run["seconds_per_step"] > 0
        assert run["peak_memory_mib"] > 50
    assert sorted(os.listdir(tmp_path / "out")) == ["compare.json", "model"]
    chosen = results["recommendation"]
    best = next(r for r in results["runs"] if (r["variant"], r["seed"]) == (chosen["variant"], chosen["seed"]))
    data = labelled()
    now = LabelEvaluator(data["sentence"][:], data["label"][:])(SentenceTransformer(tmp_path / "out/model"))
    assert now["map@r"] == pytest.approx(best["metrics"]["map@r"])
    metrics = json.loads((tmp_path / "out/model/metrics.json").read_text())
    assert (metrics["before"], metrics["after"]) == (best["before"], best["metrics"])
    assert (metrics["settings"]["loss"], metrics["settings"]["steps"]) == (best["loss"], best["best_step"])
    card = (tmp_path / "out/model/README.md").read_text()
    assert f"| MAP@R | {best['before']['map@r']:.4f} | {best['metrics']['map@r']:.4f} |" in card
    assert json.loads((tmp_path / "out/compare.json").read_text()) == results


def test_a_comparison_that_was_killed_goes_on_to_the_same_results(here, bert, tmp_path):
    command = [sys.executable, "-m", "tests.comparison.comparison_run", str(bert), str(tmp_path / "killed")]
    file = tmp_path / "killed/compare.json"
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT)
    deadline = time.time() + 200
    while not file.exists() or not json.loads(file.read_text())["runs"]:
        assert time.time() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.5)
    process.kill()
    process.wait()
    before = json.loads(file.read_text())
    assert not before["finished"]
    assert 0 < len(before["runs"]) < 4
    subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=True, timeout=300)
    resumed = json.loads(file.read_text())
    assert resumed["runs"][: len(before["runs"])] == before["runs"]
    assert _without_times(resumed) == _without_times(_compare(bert, tmp_path / "undisturbed"))
    assert sorted(os.listdir(tmp_path / "killed")) == ["compare.json", "model"]


def test_a_variant_that_fails_is_told_and_the_others_go_on(here, bert, tmp_path):
    plan = replace(PLAN, variants=(Variant("batch-all", -1.0, "euclidean"), *PLAN.variants[1:]))
    results = _compare(bert, tmp_path / "out", plan)
    reasons = [run.get("failed", "") for run in results["runs"]]
    assert [bool(reason) for reason in reasons] == [True, False, True, False]
    assert "the margin must be a finite number of at least 0, got -1.0" in reasons[0]
    assert results["summary"][0]["map@r"] == {"mean": None, "spread": None}
    assert results["recommendation"]["variant"] == "batch-hard, margin 0.3"
    assert results["recommendation"]["verdict"] == "alone"
    assert (tmp_path / "out/model/modules.json").exists()


def test_if_all_fail_it_is_an_error_and_resume_tries_again(here, bert, tmp_path):
    with pytest.raises(DataError, match="every run failed, the first with: .*NaN"):
        _compare(bert, tmp_path / "out", load=Damaged)
    assert os.listdir(tmp_path / "out") == ["compare.json"]
    assert len(json.loads((tmp_path / "out/compare.json").read_text())["runs"]) == 4
    assert _compare(bert, tmp_path / "out", resume=True)["finished"]


def _killed(_):
    os.kill(os.getpid(), signal.SIGKILL)


def _out_of_memory(_):
    raise MemoryError


def _threads(number):
    return {"pid": os.getpid(), "number": number}


def test_a_process_that_ends_badly_is_told_and_this_one_goes_on():
    assert run_in_subprocess(_killed, None) == {"failed": "ended by SIGKILL, as happens when memory runs out"}
    assert run_in_subprocess(_out_of_memory, None)["failed"].startswith("out of memory; a smaller --mini-batch-tokens")
    answer = run_in_subprocess(_threads, 7)
    assert answer["number"] == 7
    assert answer["pid"] != os.getpid()


def test_what_resume_refuses(here, bert, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"nothing to resume: no compare\.json in"):
        _compare(bert, out, resume=True)
    calls = []

    def stop(_):
        calls.append(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _compare(bert, out, tell=stop)
    with pytest.raises(DataError, match=r"a comparison with 1 run\(s\) so far; add --resume to go on, or --overwrite"):
        _compare(bert, out)
    with pytest.raises(DataError, match=r"was begun with seeds \[3, 4\], and now it is \[3, 4, 5\]; give the same"):
        _compare(bert, out, replace(PLAN, seeds=(3, 4, 5)), resume=True)
    with pytest.raises(DataError, match='was begun with budget {"steps": 10}, and now it is {"minutes": 1}'):
        _compare(bert, out, replace(PLAN, minutes=1), resume=True)
    with pytest.raises(DataError, match=r"other training data \(16 sentences, now 15\)"):
        _compare(bert, out, data=labelled().select(range(15)), resume=True)
    results = _compare(bert, out, resume=True)
    again = _compare(bert, out, resume=True, tell=stop)  # nothing is left to do
    assert again == results
    assert calls == [1]
    with pytest.raises(DataError, match="holds a finished comparison; take another --output, or --overwrite"):
        _compare(bert, out)


def test_a_model_that_is_another_or_is_not_there_ends_it(here, bert, tmp_path):
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
    with pytest.raises(DataError, match="no model directory at"):
        _compare("./nowhere", tmp_path / "none", replace(PLAN, minutes=1.0))  # nothing is left that is in the way
    assert len(_compare(bert, tmp_path / "none")["runs"]) == 4


def test_a_seed_that_is_tried_again_may_be_as_good_and_the_model_is_there(here, bert, tmp_path, monkeypatch):
    """Runs come in another order then, and of equals the first seed is kept and recommended."""
    calls, run = [], comparison.run_trial

    def failing_first(trial):
        calls.append(trial.settings.seed)
        found = {"failed": "for once"} if len(calls) == 1 else run(trial)
        if "metrics" in found:
            found["metrics"]["map@r"] = 0.5
        return found

    def stop(_):
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(comparison, "run_trial", failing_first)
    with pytest.raises(KeyboardInterrupt):
        _compare(bert, tmp_path / "out", replace(PLAN, seeds=(3, 4, 5)), tell=stop)
    found = _compare(bert, tmp_path / "out", replace(PLAN, seeds=(3, 4, 5)), resume=True)["recommendation"]
    assert (tmp_path / "out/model/modules.json").exists()
    assert json.loads((tmp_path / "out/model/metrics.json").read_text())["settings"]["seed"] == found["seed"] == 3


def test_starting_anew_leaves_no_model_of_the_earlier_comparison(here, bert, tmp_path):
    _compare(bert, tmp_path / "out")
    with pytest.raises(DataError, match="no model directory at"):
        _compare("./nowhere", tmp_path / "out", overwrite=True)
    assert sorted(os.listdir(tmp_path / "out")) == ["compare.json", "model"]  # a slip costs nothing
    with pytest.raises(DataError, match="every run failed"):
        _compare(bert, tmp_path / "out", load=Damaged, overwrite=True)
    assert os.listdir(tmp_path / "out") == ["compare.json"]


def test_a_budget_of_minutes_or_epochs_becomes_steps(here, bert, tmp_path, monkeypatch):
    plan = replace(PLAN, minutes=1.0)
    monkeypatch.setattr(comparison, "run_trial", lambda trial: {"seconds_per_step": 0.5, "failed": "only timed"})
    with pytest.raises(DataError, match="every run failed"):
        _compare(bert, tmp_path / "minutes", plan)
    results = json.loads((tmp_path / "minutes/compare.json").read_text())
    assert results["steps_in_budget"] == {variant.name: 120 for variant in plan.variants}
    assert all(run["budget_steps"] == 120 for run in results["runs"])
    plan = replace(PLAN, settings=replace(PLAN.settings, max_steps=-1, epochs=2.5))
    with pytest.raises(DataError, match="every run failed"):
        _compare(bert, tmp_path / "epochs", plan)
    results = json.loads((tmp_path / "epochs/compare.json").read_text())
    assert all(run["budget_steps"] == 5 for run in results["runs"])  # two batches of eight an epoch


def test_data_that_nothing_can_be_learnt_from_are_refused_before_anything_runs(bert, tmp_path):
    with pytest.raises(DataError, match="the held-out data has no label twice"):
        compare(Load(bert), labelled(), labelled().select([0, 4, 8]), tmp_path / "out", PLAN)
    with pytest.raises(DataError, match="a batch of 9 cannot hold labels"):
        _compare(bert, tmp_path / "out", replace(PLAN, settings=replace(PLAN.settings, batch_size=9)))
    assert not (tmp_path / "out").exists()
