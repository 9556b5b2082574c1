"""Records: files of older versions are read for ever, JSON has no NaN."""

import json
import math
from pathlib import Path

import pytest

from tercet.records import ComparisonRecord, Difference, MeanAndStd, RunRecord, TrialRecord

VERSION_1 = Path(__file__).parent / "fixtures/version-0.1.0"


def _read(name):
    return json.loads((VERSION_1 / name).read_text(encoding="utf-8"))


def test_metrics_of_version_1_are_converted():
    content = _read("metrics.json")
    record = RunRecord.from_dict(content)
    assert (record.before, record.after, record.by_step) == (content["before"], content["after"], content["by_step"])
    assert record.settings["cross_batch_memory"] == 8
    assert "memory_size" not in record.settings
    assert record.warnings == [{"kind": "other", "message": content["warnings"][0]}]
    assert (record.tercet_version, record.format_version) == ("0.1.0", 2)
    assert RunRecord.from_dict(record.to_dict()) == record


def test_a_comparison_of_version_1_is_converted():
    content = _read("compare.json")
    record = ComparisonRecord.from_dict(content)
    assert record.finished
    assert record.format_version == 2
    assert record.settings["cross_batch_memory"] == 0
    assert record.data["eval"] == content["data"]["held_out"]
    first, old = record.runs[0], content["runs"][0]
    assert (first.variant, first.seed, first.metrics) == (old["variant"], old["seed"], old["metrics"])
    assert first.map_at_r_by_step == old["map@r_by_step"]
    assert first.active_fraction == old["active_share"]
    line = content["summary"][0]["active_share"]
    assert record.summary[0].metrics["active_fraction"] == MeanAndStd(mean=line["mean"], std=line["spread"])
    assert record.recommendation.outcome == "no difference"
    assert record.recommendation.reason == content["recommendation"]["because"]
    assert record.recommendation.differences == {
        "batch-hard, margin 0.3": Difference(mean=0.0, half_width=0.0001, seeds=2, beyond_noise=False)
    }
    assert ComparisonRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_an_unfinished_comparison_of_version_1_is_converted():
    content = _read("compare.json")
    failed = {"variant": "batch-all, margin 0.3", "loss": "batch-all", "margin": 0.3, "distance": "euclidean",
              "seed": 1, "budget_steps": 10, "failed": "out of memory"}  # fmt: skip
    content |= {"finished": False, "runs": [content["runs"][0], failed]}
    del content["summary"], content["recommendation"]
    record = ComparisonRecord.from_dict(content)
    assert [run.failed for run in record.runs] == [None, "out of memory"]
    assert (record.summary, record.recommendation, record.steps_in_budget) == ([], None, {})


def test_nan_and_infinity_become_none():
    run = TrialRecord(variant="a", loss="a", margin=None, distance="euclidean", seed=0, metrics={"map@r": math.nan})
    content = ComparisonRecord(settings={"margin": math.inf}, data={}, environment={}, runs=[run]).to_dict()
    assert content["runs"][0]["metrics"] == {"map@r": None}
    assert content["settings"] == {"margin": None}
    assert RunRecord(before={"map@r": math.nan}, after=None).to_dict()["before"] == {"map@r": None}


def test_content_that_is_no_comparison_is_an_error():
    with pytest.raises((KeyError, TypeError)):
        ComparisonRecord.from_dict({})
