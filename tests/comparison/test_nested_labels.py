"""Flat and nested training in one comparison."""

import pytest

from tercet.cli.comparison_tables import print_comparison
from tercet.comparison import compare, loop
from tercet.errors import DataError
from tercet.report.comparison_report import write_comparison_report
from tercet.runs import RunSettings
from tests.conftest import EVALUATION_TOPICS, TOPICS

PARENTS = {"sport": "leisure", "travel": "leisure", "money": "office", "food": "home"}


def _columns(topics):
    rows = [(text, PARENTS[label], label) for label, texts in topics.items() for text in texts]
    return dict(zip(("text", "area", "intent"), map(list, zip(*rows, strict=True)), strict=True))


def test_flat_and_nested_training_are_compared(bert, tmp_path, monkeypatch, capsys):
    """The variants have one reading of the labels, and each its loss."""
    monkeypatch.setattr(loop, "run_in_subprocess", lambda function, argument: function(argument))
    settings = RunSettings(max_steps=6, batch_size=8, samples_per_label=2, learning_rate=1e-2, train="encoder")
    record = compare(
        _columns(TOPICS), tmp_path / "out", grid=["label-levels=none,/", "distance=cosine"], seeds=1,
        settings=settings, model=bert, eval_data=_columns(EVALUATION_TOPICS), label_column=["area", "intent"],
        device="cpu",
    )  # fmt: skip
    assert [run.variant for run in record.runs] == ["cosine, label levels none", "cosine, label levels /"]
    assert [run.failed for run in record.runs] == [None, None]
    first, second = (run.map_at_r_by_step for run in record.runs)
    assert record.runs[0].before == record.runs[1].before
    assert first != second
    for run in record.runs:
        assert run.metrics["map@r_level1"] != run.before["map@r_level1"]
    for line, run in zip(record.summary, record.runs, strict=True):
        assert line.metrics["map@r_level1"].mean == run.metrics["map@r_level1"]
        assert line.metrics["tree_distance"].mean == run.metrics["tree_distance"]
    print_comparison(record)
    write_comparison_report(tmp_path / "r.html", record)
    for text in (capsys.readouterr().out, (tmp_path / "r.html").read_text()):
        assert "MAP@R, level 1" in text
        assert "mean distance in the tree" in text
        assert "levels of the labels" in text


def test_two_separators_are_refused():
    with pytest.raises(DataError, match="the variants may have one separator, or no label_levels; got '/', '>'"):
        compare(_columns(TOPICS), "unused", grid=["label-levels=/,>"])
