"""The report of a comparison: its sections, its numbers, and that names stay text."""

from dataclasses import replace

import pytest

from tercet.comparison.recommendation import recommend, summarize
from tercet.report.comparison_plots import Point, metric_by_seconds, metric_by_step
from tercet.report.comparison_report import write_comparison_report
from tests.report.helpers import NASTY, Tags, comparison, titles


def _written(tmp_path, record, **more):
    path = tmp_path / "c.html"
    write_comparison_report(path, record, **more)
    return path.read_text(encoding="utf-8")


def test_it_has_the_recommendation_with_its_reason_the_table_and_the_warnings(tmp_path):
    record = comparison()
    text = _written(tmp_path, record, command="tercet compare x.csv")
    assert titles(text) == [
        "Recommendation", "Was it worth it?", "Variants", "Quality and time", "MAP@R by step", "All runs",
        "To repeat the comparison",
    ]  # fmt: skip
    assert "Training was worth it: an invented gain." in text
    words = Tags(text).words
    assert "Recommended: b, epochs 2" in words
    assert record.recommendation.reason in words
    assert "tercet compare x.csv" in words
    assert "a, epochs 2; b, epochs 2: mind the gap" in words
    assert "a, epochs 2, seed 3 failed: out of memory" in words
    row = words[words.index("a, before training") :]
    assert [word for word in row if word.strip()][:4] == ["a, before training", "–", "–", "0.4000"]
    row = words[words.index("b, epochs 2") :]
    assert [word for word in row if word.strip()][:4] == ["b, epochs 2", "3", "highest", "0.7100 ± 0.0100"]
    assert any(
        word.startswith("Budget of a run: 2 epochs (20 steps). Equal steps are not equal time") for word in words
    )
    for fact in ("a; b", "0, 1, 2, 3", "2 epochs", "x.csv; 80 rows, 4 labels", "held out, 20% of the data; 20 rows"):
        assert any(word.startswith(fact) for word in words), fact


@pytest.mark.slow
def test_the_accuracy_of_classifiers_is_shown_for_each_variant_and_each_untouched_encoder(tmp_path):
    record = comparison()
    words = [word for word in Tags(_written(tmp_path, record)).words if word.strip()]
    caption = "Accuracy of classifiers: evaluation sentences, classified by the training sentences"
    table = words[words.index(caption) :]
    at = table.index("a, before training")
    assert table[at : at + 4] == ["a, before training", "0.8000", "0.8000", "0.8000"]
    at = table.index("b, epochs 2")
    assert table[at : at + 4] == ["b, epochs 2", *["0.9100 ± 0.0100"] * 3]
    table = words[words.index("Macro-F1 of the same classifiers") :]
    at = table.index("b, epochs 2")
    assert table[at : at + 4] == ["b, epochs 2", *["0.9100 ± 0.0100"] * 3]
    for run in record.runs:
        run.gain = None
    for line in record.summary:
        line.accuracy = {}
    text = _written(tmp_path, record)
    assert "Unknown, because the record has no classified evaluation rows." in text
    assert caption not in text


def test_a_variant_whose_runs_all_failed_stays_in_the_accuracy_table(tmp_path):
    record = comparison()
    for run in record.runs:
        if run.variant == "a, epochs 2":
            run.failed, run.gain = "out of memory", None
    record.summary = summarize(record.runs, [line.variant for line in record.summary])
    words = [word for word in Tags(_written(tmp_path, record)).words if word.strip()]
    for caption in (
        "Accuracy of classifiers: evaluation sentences, classified by the training sentences",
        "Macro-F1 of the same classifiers",
    ):
        table = words[words.index(caption) :]
        at = table.index("a, epochs 2")
        assert table[at : at + 5] == ["a, epochs 2", "–", "–", "–", "b, epochs 2"]


def test_a_difference_has_its_interval(tmp_path):
    record = comparison()
    record.runs.pop()  # the failed run
    names = [line.variant for line in record.summary]
    record = replace(record, summary=summarize(record.runs, names), recommendation=recommend(record.runs, names, ""))
    words = Tags(_written(tmp_path, record)).words
    found = record.recommendation.differences["a, epochs 2"]
    assert f"{found.mean:.4f} ± {found.half_width:.4f}" in words


def test_equal_time_is_explained(tmp_path):
    record = comparison()
    record.settings["budget"] = {"minutes": 1}
    record.runs[0].budget_steps = 1200
    assert record.describe_budget() == (
        "Budget of a run: 1 minute of training (20 to 1,200 steps), without loading, evaluations and saving. All "
        "variants have the same time, so a variant with slower steps, such as one of a larger encoder, takes fewer of "
        "them."
    )


@pytest.mark.slow
def test_names_never_become_markup(tmp_path):
    tame = Tags(_written(tmp_path, comparison()))
    for nasty in NASTY[:4]:
        page = Tags(_written(tmp_path, comparison(nasty=nasty), command=nasty))
        assert page.tags == {**tame.tags, "pre": 1}


def test_a_record_of_an_older_format_has_no_seconds(tmp_path):
    record = comparison(models=("a",))
    for line in record.summary:
        del line.metrics["seconds"]
    assert "The seconds of the runs are not in the record." in Tags(_written(tmp_path, record)).words


def test_the_plots_have_a_trace_for_each_variant():
    points = [
        Point(name="untouched", seconds=0, value=0.4, trained=False),
        Point(name="<b>", seconds=3, value=0.6, std=0.1),
    ]
    figure = metric_by_seconds(points, "MAP@R")
    assert [trace.name for trace in figure.data] == ["untouched", "&lt;b&gt;"]
    assert [trace.error_y.array for trace in figure.data] == [None, (0.1,)]
    curves = metric_by_step({"x": {10: 0.5, 0: 0.4}}, "MAP@R")
    assert (curves.data[0].x, curves.data[0].y) == ((0, 10), (0.4, 0.5))
