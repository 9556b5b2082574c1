"""A comparison records the warnings about its data, as a training does, and its report shows them."""

import json

from tercet.comparison import compare, loop
from tercet.records import ComparisonRecord
from tercet.report import write_comparison_report
from tercet.runs import RunSettings
from tests.conftest import EVALUATION_TOPICS, TOPICS


def _columns(topics):
    rows = [(text, label) for label, texts in topics.items() for text in texts]
    return dict(zip(("text", "label"), map(list, zip(*rows, strict=True)), strict=True))


def test_the_warnings_about_the_data_are_in_the_record_and_in_the_report(bert, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "run_in_subprocess", lambda function, argument: function(argument))
    settings = RunSettings(max_steps=2, batch_size=8, samples_per_label=2, train="encoder", distance="cosine")
    train, evaluation = _columns(TOPICS), _columns(EVALUATION_TOPICS)
    train["text"][3] = None
    evaluation["text"][0] = train["text"][0]
    given = {"grid": ["loss=batch-hard,batch-all", "distance=cosine"], "seeds": 1, "settings": settings, "model": bert}
    record = compare(train, tmp_path / "out", eval_data=evaluation, device="cpu", **given)
    assert [warning["kind"] for warning in record.warnings] == ["changed-data", "overlap"]
    assert "1 of 16 rows has no text (row 3)" in record.warnings[0]["message"]
    content = json.loads((tmp_path / "out/compare.json").read_text())
    assert content["warnings"] == record.warnings
    assert content["format_version"] == 4
    write_comparison_report(tmp_path / "c.html", record)
    assert "1 of 16 rows has no text (row 3)" in (tmp_path / "c.html").read_text()
    # A record that was written before has no such field.
    del content["warnings"]
    assert ComparisonRecord.from_dict(content).warnings == []
