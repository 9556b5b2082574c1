"""Records: files of older versions are read for ever, JSON has no NaN."""

import json
import math
from pathlib import Path

import pytest

from tercet.records import (
    ComparisonRecord,
    Difference,
    EvaluationRecord,
    MeanAndStd,
    RowCounts,
    RunRecord,
    TrialRecord,
)

FIXTURES = Path(__file__).parent / "fixtures"
VERSION_1, FORMAT_2 = FIXTURES / "version-0.1.0", FIXTURES / "format-2"


def _read(name, folder=VERSION_1):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_metrics_of_version_1_are_converted():
    content = _read("metrics.json")
    record = RunRecord.from_dict(content)
    assert (record.before, record.after, record.by_step) == (content["before"], content["after"], content["by_step"])
    assert record.settings["cross_batch_memory"] == 8
    assert "memory_size" not in record.settings
    assert record.warnings == [{"kind": "other", "message": content["warnings"][0]}]
    assert (record.tercet_version, record.format_version) == ("0.1.0", 3)
    assert RunRecord.from_dict(record.to_dict()) == record
    assert RunRecord.from_dict(_read("metrics.json", FORMAT_2)) == record


def test_metrics_of_old_files_have_the_name_of_their_protocol():
    """Before format 3, the evaluation sentences were ranked among themselves."""
    content = _read("metrics.json", FORMAT_2)
    record = RunRecord.from_dict(content)
    assert (record.protocol, list(record.evaluation)) == ("among_themselves", ["among_themselves"])
    assert record.evaluation["among_themselves"].rows is None
    triplets = RunRecord.from_dict({**content, "before": {"cosine_accuracy": 0.5}, "after": {"cosine_accuracy": 0.7}})
    assert (triplets.protocol, triplets.after) == ("triplets", {"cosine_accuracy": 0.7})
    nothing = RunRecord.from_dict({**content, "before": None, "after": None})
    assert (nothing.evaluation, nothing.protocol, nothing.before, nothing.after) == ({}, None, None, None)


def test_the_headline_is_the_first_protocol_and_survives_a_file():
    rows = RowCounts(rows=10, measured=6, overlapping=1, unknown_labels=2, unpaired=1, reference=40)
    record = RunRecord(
        evaluation={
            "against_reference": EvaluationRecord(before={"map@r": 0.1}, after={"map@r": 0.2}, rows=rows),
            "among_themselves": EvaluationRecord(before={"map@r": 0.3}, after={"map@r": 0.4}),
        }
    )
    again = RunRecord.from_dict(json.loads(json.dumps(record.to_dict())))
    assert again == record
    assert (again.protocol, again.before, again.after) == ("against_reference", {"map@r": 0.1}, {"map@r": 0.2})


def test_rows_are_described_in_one_line():
    assert RowCounts(rows=1234, measured=1234).describe() == "1,234 rows"
    rows = RowCounts(rows=991, measured=449, overlapping=8, copies=2, unknown_labels=532, few_relevant=20)
    assert rows.describe("train.csv") == (
        "449 of 991 rows; left out: 8 with a text that is in train.csv, 2 that repeat an earlier text with the same "
        "label, 532 with a label that is not in train.csv"
    )
    few = RowCounts(rows=4, measured=4, few_relevant=3)
    assert few.describe().startswith("4 rows. Do not use kNN accuracy here: 3 rows have fewer than 3 rows")


def test_a_comparison_of_version_1_is_converted():
    content = _read("compare.json")
    record = ComparisonRecord.from_dict(content)
    assert record.finished
    assert record.format_version == 4
    assert ComparisonRecord.from_dict(_read("compare.json", FORMAT_2)) == record
    assert (record.protocol, record.rows) == ("among_themselves", None)
    assert record.settings["cross_batch_memory"] == 0
    assert record.data["eval"]["rows"] == content["data"]["held_out"]["sentences"]
    assert record.data["eval"]["sha256"] == content["data"]["held_out"]["sha256"]
    first, old = record.runs[0], content["runs"][0]
    assert [(line.model, line.start, line.metrics) for line in record.baselines] == [
        ("tiny-bert", old["start"], old["before"])
    ]
    assert {run.model for run in record.runs} == {"tiny-bert"}
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


def test_a_comparison_survives_a_file():
    from tests.report.helpers import comparison

    record = comparison()
    assert record.gain is not None
    assert record.summary[0].accuracy["class_means"].std > 0
    assert ComparisonRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_nan_and_infinity_become_none():
    run = TrialRecord(variant="a", loss="a", margin=None, distance="euclidean", seed=0, metrics={"map@r": math.nan})
    content = ComparisonRecord(settings={"margin": math.inf}, data={}, environment={}, runs=[run]).to_dict()
    assert content["runs"][0]["metrics"] == {"map@r": None}
    assert content["settings"] == {"margin": None}
    evaluation = {"triplets": EvaluationRecord(before={"map@r": math.nan})}
    assert RunRecord(evaluation=evaluation).to_dict()["evaluation"]["triplets"]["before"] == {"map@r": None}


def test_content_that_is_no_comparison_is_an_error():
    with pytest.raises((KeyError, TypeError)):
        ComparisonRecord.from_dict({})
