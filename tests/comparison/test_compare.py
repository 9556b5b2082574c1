"""Comparisons of tiny real models: the same start and batches for each variant, and the best model is kept."""

import json
import os
from dataclasses import replace

import pytest
import torch

from tercet import SentenceTransformer
from tercet.catalogue import DISTANCES, LOSSES, METRICS, DistanceSpec, LossSpec, MetricSpec
from tercet.comparison import loop as comparison
from tercet.comparison import parse_grid
from tercet.errors import DataError
from tercet.evaluation import LabelEvaluator
from tercet.records import RunRecord
from tercet.runs.repeat import read_record as read_run_record
from tests.comparison.helpers import PLAN, Load, compare, evaluation_data, read_record, replace_function


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


def test_every_variant_has_the_same_start_and_for_each_seed_the_same_batches(here, bert, tmp_path):
    load, models_kept = Watched(bert), []

    def count_models(_):
        models_kept.append(len(os.listdir(tmp_path / "out/.runs")))

    record = compare(bert, tmp_path / "out", load=load, report_progress=count_models)
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
    record = compare(bert, tmp_path / "out")
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
    assert read_record(tmp_path / "out") == record


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
        compare(bert, tmp_path / "out", plan, load=loaders, report_progress=stop)
    record = compare(bert, tmp_path / "out", plan, load=loaders, report_progress=stop, resume=True)
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
        compare(bert, tmp_path / "changed", plan, load=loaders, report_progress=stop)
    loaders[names[1]] = Load(bert)
    with pytest.raises(DataError, match="the model has changed since"):
        compare(bert, tmp_path / "changed", plan, load=loaders, resume=True)


def test_a_head_alone_a_head_before_the_encoder_and_the_encoder_alone(here, bert, tmp_path):
    variants = parse_grid(["train=head,both,encoder"])
    record = compare(bert, tmp_path / "out", replace(PLAN, variants=variants))
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


@pytest.mark.parametrize("train", ["head", "both", "encoder"])
def test_the_saved_model_says_what_was_trained(train, here, bert, tmp_path):
    variants = [variant for variant in parse_grid(["train=head,both,encoder"]) if variant.name == f"train {train}"]
    plan = replace(PLAN, variants=variants, seeds=(3,))
    best = compare(bert, tmp_path / "out", plan).runs[0].best_step
    record = read_run_record(tmp_path / "out/model")
    assert (record.choices["head"] is None) is (train == "encoder")
    assert record.keeps_encoder is (best == 0)
    titles = SentenceTransformer(tmp_path / "out/model").training_record.settings
    assert ("Linear head trained first" in titles, "Trained" in titles) == (train == "both" and best > 0, best == 0)


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

    replace_function(monkeypatch, "run_trial", failing_first)
    with pytest.raises(KeyboardInterrupt):
        compare(bert, tmp_path / "out", replace(PLAN, seeds=(3, 4, 5)), report_progress=stop)
    found = compare(bert, tmp_path / "out", replace(PLAN, seeds=(3, 4, 5)), resume=True).recommendation
    assert (tmp_path / "out/model/modules.json").exists()
    assert json.loads((tmp_path / "out/model/metrics.json").read_text())["settings"]["seed"] == found.seed == 3


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
        record = compare(bert, tmp_path / "out", replace(PLAN, variants=variants, seeds=(3,)))
        assert [run.failed for run in record.runs] == [None, None]
        assert record.summary[0].variant == "mine, margin 0.3, taxi"
        assert record.summary[0].metrics["best_step"].mean == record.runs[0].best_step
    finally:
        LOSSES.unregister("mine")
        DISTANCES.unregister("taxi")
        METRICS.unregister("best_step")
