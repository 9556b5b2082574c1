"""The sections on classified rows: the verdict, precision and recall per label, and the confusion matrix."""

import numpy as np
import pytest

from tercet.evaluation.label_scores import label_scores
from tercet.report.classification import gain_parts, prediction_parts
from tercet.report.classifier_plots import TITLES, accuracy_bars, confusion_matrix
from tercet.report.page import Wide
from tercet.report.page_table import Table
from tercet.report.run_report import write_run_report
from tests.report.helpers import LOG, NASTY, RECORD, Tags, classified, titles

NAMES = [f"label {number}" for number in range(30)]


def test_the_picture_shows_the_scores_and_the_interval_of_the_record():
    gain = classified(NAMES)[0].gain
    figure = accuracy_bars(gain)
    assert figure.layout.title.text.replace("<br>", " ") == TITLES[gain.outcome]
    untouched, trained, interval, point = figure.data
    assert list(untouched.x) == [scores.accuracy for scores in gain.untouched.classifiers.values()]
    assert list(trained.x) == [scores.accuracy for scores in gain.trained.classifiers.values()]
    assert list(trained.y) == ["5 nearest neighbours", "class means", "logistic regression"]
    assert list(interval.x) == [100 * gain.accuracy.low, 100 * gain.accuracy.high]
    assert point.x[0] == pytest.approx(100 * gain.accuracy.difference)


def test_every_prediction_is_in_the_matrix_once():
    _, predictions = classified(NAMES)
    given, predicted = predictions.label_ids, predictions.predicted["class_means"]
    order = np.arange(30)[::-1]
    figure = confusion_matrix(given, predicted, order, NAMES)
    found = np.zeros((30, 30), dtype=int)
    for trace in figure.data:
        for column, row, number in zip(trace.x, trace.y, trace.text, strict=True):
            found[order[row], order[column]] += int(number)
            assert (trace.name == "right") == (row == column)
    expected = np.zeros((30, 30), dtype=int)
    np.add.at(expected, (given, predicted), 1)
    np.testing.assert_array_equal(found, expected)


def test_the_worst_labels_are_first_and_their_numbers_are_right():
    record, predictions = classified(NAMES)
    parts = prediction_parts(record, predictions)
    worst, every, confusions = [part for part in parts if isinstance(part, Table)]
    assert (worst.caption, every.caption, every.folded) == ("The 20 worst of 30 labels", "All 30 labels", True)
    f1 = [float(row[4]) for row in every.rows]
    assert f1 == sorted(f1)
    scores = label_scores(predictions.label_ids, predictions.predicted[record.gain.trained.best])
    for name, size, precision, recall, *_ in every.rows:
        at = NAMES.index(name)
        assert (size, precision, recall) == ("20", f"{scores.precision[at]:.1%}", f"{scores.recall[at]:.1%}")
    counts = [int(row[2]) for row in confusions.rows]
    assert counts == sorted(counts, reverse=True)
    assert len(counts) <= 15
    (matrix,) = [part for part in parts if isinstance(part, Wide)]
    assert list(matrix.plot.layout.yaxis.ticktext[:20]) == [row[0] for row in worst.rows]


def test_labels_never_become_markup_and_the_page_has_the_sections(tmp_path):
    names = [f"{nasty} {number}" for number, nasty in enumerate(NASTY)]
    record, predictions = classified(names)
    write_run_report(tmp_path / "r.html", record, LOG, None, predictions=predictions)
    text = (tmp_path / "r.html").read_text()
    page = Tags(text)
    assert titles(text)[:3] == ["Was it worth it?", "Predictions per label", "Metrics"]
    assert page.tags["script"] == 2
    assert not {"b", "i"} & set(page.tags)
    assert record.gain.sentence in page.words
    assert "<script>alert(1)</script> 0" in page.words


def test_no_error_at_all_and_a_label_that_is_only_predicted():
    record, predictions = classified(["a", "b", "c"])
    predictions.predicted.update(dict.fromkeys(predictions.predicted, predictions.label_ids))
    assert "No prediction is wrong." in prediction_parts(record, predictions)
    only = np.where(predictions.label_ids == 2, 1, predictions.label_ids)
    predictions.predicted.update(dict.fromkeys(predictions.predicted, only))
    tables = [part for part in prediction_parts(record, predictions) if isinstance(part, Table)]
    row = next(row for row in tables[0].rows if row[0] == "c")
    assert row[1:] == ["20", "–", "0.0%", "0.000", "b (20)"]


def test_without_a_gain_the_section_says_why():
    assert gain_parts(RECORD.gain, RECORD.gain_missing_reason) == [
        "Unknown, because no label of the evaluation data is in the training data."
    ]


@pytest.mark.slow
def test_1000_labels_are_listed_in_part_and_the_page_stays_small(tmp_path):
    record, predictions = classified([f"{number} {'&' * 100}" for number in range(1000)], rows=4)
    write_run_report(tmp_path / "r.html", record, LOG, None, predictions=predictions)
    text = (tmp_path / "r.html").read_text()
    assert "The 500 worst of 1,000 labels" in text
    assert "Confusion matrix of the 200 worst of 1,000 labels" in text
    assert len(text) < 6_000_000
