"""Extensions: one registration call adds a loss, a distance, a metric or a file format everywhere."""

import math

import pytest
import torch
from typer.testing import CliRunner

from tercet import catalogue
from tercet.catalogue import DISTANCES, FILE_FORMATS, LOSSES, METRICS
from tercet.cli.app import app
from tercet.comparison.grid import parse_grid
from tercet.comparison.recommendation import compared_metrics
from tercet.distances import Distance
from tercet.losses import BatchHardTripletLoss


class HarderTripletLoss(BatchHardTripletLoss):
    """A loss of the user's own."""


class ChebyshevDistance(Distance):
    """The largest difference of a coordinate."""

    name = "chebyshev"

    def pairs(self, x, y):
        return (x - y).abs().amax(1)

    def matrix(self, x, y):
        return torch.cdist(x, y, p=math.inf)


def read_pipes(path):
    """Read a file whose columns are separated by `|`."""
    header, *rows = [line.split("|") for line in path.read_text().splitlines()]
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True)), list(range(2, len(rows) + 2))


def first_is_relevant(ranking):
    """Return 1 for each query whose nearest sentence is relevant, else 0."""
    return ranking.hits[:, :1].any(dim=1).double()


@pytest.fixture(autouse=True)
def _extensions():
    LOSSES.register(catalogue.LossSpec(name="harder", cls=HarderTripletLoss, summary="harder than hard"))
    DISTANCES.register(catalogue.DistanceSpec(name="chebyshev", distance=ChebyshevDistance(), summary="max |xᵢ − yᵢ|"))
    METRICS.register(
        catalogue.MetricSpec(key="first", title="first is relevant", score=first_is_relevant, compared=True)
    )
    FILE_FORMATS.register(catalogue.FileFormatSpec(suffix=".pipes", reader=read_pipes, summary="columns between |"))
    yield
    for registry, name in ((LOSSES, "harder"), (DISTANCES, "chebyshev"), (METRICS, "first"), (FILE_FORMATS, ".pipes")):
        registry.unregister(name)


def _tercet(*arguments, exit_code=0):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == exit_code, done.output
    return done.output


def _train(data, model, output, *more):
    options = ("--batch-size", 8, "--samples-per-label", 2, "--max-steps", 2, "--eval-fraction", 0.5, *more)
    return _tercet("train", data, "--model", model, "--output", output, *options)


def test_the_help_lists_them():
    text = " ".join(_tercet("train", "--help").split())
    assert "harder: harder than hard" in text
    assert "chebyshev: max |xᵢ − yᵢ|" in text
    assert ".arrow, .pipes)" in text
    assert "kNN accuracy, AUROC of unknown labels, NDCG@10, first is relevant." in " ".join(
        _tercet("evaluate", "--help").split()
    )


def test_an_unknown_choice_lists_them():
    refused = _tercet("train", "x.csv", "--output", "y", "--loss", "x", exit_code=2)
    assert "'triplet', 'harder'" in refused


def test_the_distance_is_in_the_grid_of_compare():
    variants = parse_grid(["distance=euclidean,chebyshev"])
    assert {variant.distance for variant in variants} == {"euclidean", "chebyshev"}


def test_the_metric_has_a_column_in_the_table_of_compare():
    assert "first" in compared_metrics()


def test_the_loss_is_in_the_grid_of_compare():
    assert "harder" in {variant.loss for variant in parse_grid()}
    assert len(parse_grid(["loss=batch-hard,harder"])) == 2


@pytest.mark.slow
def test_the_loss_and_the_distance_train_and_are_in_the_report_and_the_card(csv_file, bert, tmp_path):
    report = tmp_path / "report.html"
    _train(csv_file, bert, tmp_path / "m", "--loss", "harder", "--distance", "chebyshev", "--report", report)
    card = (tmp_path / "m/README.md").read_text()
    assert "HarderTripletLoss" in card
    assert "chebyshev" in card
    page = report.read_text()
    assert "harder" in page
    assert "chebyshev" in page


@pytest.mark.slow
def test_the_distance_trains_and_ranks(csv_file, bert, tmp_path):
    _train(csv_file, bert, tmp_path / "m", "--distance", "chebyshev")
    assert "chebyshev" in (tmp_path / "m/README.md").read_text()
    ranked = _tercet("evaluate", tmp_path / "m", csv_file, "--distance", "chebyshev")
    assert "MAP@R" in ranked


@pytest.mark.slow
def test_the_metric_is_measured_and_is_in_the_report_and_the_card(csv_file, bert, tmp_path):
    report = tmp_path / "report.html"
    printed = _train(csv_file, bert, tmp_path / "m", "--report", report)
    assert "first is relevant" in printed
    assert "first is relevant" in (tmp_path / "m/README.md").read_text()
    assert "first is relevant" in report.read_text()


def test_the_file_format_is_read(csv_file, bert, tmp_path):
    path = tmp_path / "data.pipes"
    path.write_text(csv_file.read_text().replace(",", "|"))
    assert "MAP@R" in _tercet("evaluate", bert, path)
