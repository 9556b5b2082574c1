"""The plots alone, as a notebook uses them."""

import numpy as np
import plotly.graph_objects as go
import pytest

from tercet.report import plots
from tests.report.helpers import LOG, RECORD


def test_training_curves_hold_the_log():
    figure = plots.training_curves(LOG)
    lines = {line.name: (list(line.x), list(line.y)) for line in figure.data}
    assert lines["loss"] == ([10, 20], [0.3, 0.1])
    assert lines["active fraction"] == ([10, 20], [0.9, 0.4])
    assert lines["to negatives"] == ([10, 20], [1.0, 1.2])
    assert "to the nearest negative" not in lines  # not in this log
    whole = dict.fromkeys(("hardest_positive_distance", "hardest_negative_distance"), 1.0)
    drawn = plots.training_curves([{**entry, **whole} for entry in LOG if "loss" in entry]).data
    assert len({line.line.color for line in drawn}) == len(drawn) == 7


def test_a_long_log_is_thinned_and_keeps_its_last_entry():
    log = [{"loss": 1 / step, "step": step} for step in range(1, 20_000)]
    (line,) = plots.training_curves(log).data
    assert len(line.x) <= 1000
    assert line.x[-1] == 19_999


def test_metric_curves_go_from_before_through_the_evaluations_to_after():
    figure = plots.metric_curves(LOG, RECORD.before, RECORD.after, {"map@r": "MAP@R"})
    (line,) = figure.data
    assert (list(line.x), list(line.y)) == ([0, 15, 30], [0.25, 0.4, 0.5])
    assert plots.metric_curves([], None, None, {"map@r": "MAP@R"}).data == ()


def test_histograms_are_shares_and_the_margin_begins_at_the_mean_positive():
    rng = np.random.default_rng(0)
    before = (rng.normal(0.9, 0.2, 500), rng.normal(1.0, 0.2, 700))
    after = (rng.normal(0.4, 0.1, 500), rng.normal(1.2, 0.1, 700))
    figure = plots.distance_histograms(before, after, margin=0.3)
    for line in figure.data:
        assert sum(line.y) == pytest.approx(1, abs=1e-4)
    bands = [(shape.x0, shape.x1) for shape in figure.layout.shapes]
    assert bands == [(sample[0].mean(), pytest.approx(sample[0].mean() + 0.3)) for sample in (before, after)]
    assert not plots.distance_histograms(before, after, margin=None).layout.shapes


def test_histograms_of_nothing_and_of_one_value():
    nothing, ones = np.empty(0), np.ones(5)
    for pair in ((nothing, nothing), (ones, nothing), (nothing, ones)):
        assert isinstance(plots.distance_histograms(pair, pair, margin=0.3), go.Figure)


def test_72_labels_have_72_styles_and_each_its_own_sentences():
    names, label_ids = [f"label {number:02}" for number in range(73)], np.tile(np.arange(72), 2)
    sentences = [f"sentence {number}" for number in range(144)]
    points = np.arange(288.0).reshape(144, 2)
    figure = plots.embedding_map(points, label_ids, names, sentences, "Before")
    styles = {(line.marker.color, line.marker.symbol) for line in figure.data}
    assert len(styles) == 72
    for code, line in enumerate(figure.data):
        assert line.name == f"label {code:02}"
        assert list(line.text) == [f"sentence {code}", f"sentence {72 + code}"]
        assert list(line.x) == [2.0 * code, 2.0 * (72 + code)]


def test_recall_shows_the_first_labels_before_and_after():
    figure = plots.recall_of_labels(["a", "b", "c"], [0.1, 0.5, 1.0], [0.2, 0.2, 0.2], max_labels=2)
    (link,) = (line for line in figure.data if line.mode == "lines")
    assert (list(link.x), list(link.y)) == ([0.2, 0.1, None, 0.2, 0.5, None], [0, 0, None, 1, 1, None])
    points = {line.name: list(line.x) for line in figure.data if line.mode == "markers"}
    assert points == {"before": [0.2, 0.2], "after": [0.1, 0.5]}
    assert list(figure.layout.yaxis.ticktext) == ["a", "b"]


def test_people_with_colour_blindness_can_distinguish_the_colours():
    """Machado, Oliveira and Fernandes 2009, severity 1: all pairs stay apart in linear light."""
    kinds = {
        "all": np.eye(3),
        "no red": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                            [-0.003882, -0.048116, 1.051998]]),
        "no green": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                              [-0.011820, 0.042940, 0.968881]]),
        "no blue": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                             [0.004733, 0.691367, 0.303900]]),
    }  # fmt: skip
    channels = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in plots.COLOURS])
    light = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    for seen in kinds.values():
        colours = light @ seen.T
        d = np.linalg.norm(colours[:, None] - colours[None], axis=2)
        assert d[np.triu_indices(len(colours), 1)].min() > 0.05


def test_without_evaluations_during_training_the_metrics_are_rows_with_two_points():
    figure = plots.metric_curves([{"loss": 1.0, "step": 5}], {"map@r": 0.25}, {"map@r": 0.5}, {"map@r": "MAP@R"})
    assert list(figure.layout.yaxis.ticktext) == ["MAP@R"]
    assert [list(trace.x) for trace in figure.data[1:]] == [[0.25], [0.5]]


def test_recall_per_label_shows_the_number_of_sentences():
    figure = plots.recall_of_labels(["a", "<b>"], [0.5, 1.0], [0.25, 0.5], sizes=[3, 1200])
    assert list(figure.layout.yaxis.ticktext) == ["a (3)", "&lt;b&gt; (1,200)"]
    assert plots.bars(["a"], [1], "sentences").layout.showlegend is False


def test_thirty_labels_have_thirty_looks():
    markers = [plots._map_marker(at, 30) for at in range(30)]
    assert len({(marker["color"], marker["symbol"]) for marker in markers}) == 30
    assert len({marker["color"] for marker in markers}) == 24
