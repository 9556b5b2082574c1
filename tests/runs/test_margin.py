"""The distance and the margin of a run are chosen by the scale of the encoder."""

import logging

import pytest

from tercet import SentenceTransformer
from tercet.encoder.modules import Normalize
from tercet.errors import DataError
from tercet.runs import RunSettings
from tercet.runs.margin import choose_margin_and_distance


@pytest.fixture(scope="module")
def models(bert):
    model = SentenceTransformer(bert, device="cpu")
    return {"plain": model, "unit": SentenceTransformer(modules=[*model, Normalize()], device="cpu")}


@pytest.mark.parametrize(
    ("encoder", "given", "chosen"),
    [
        ("unit", {}, ("euclidean", 0.3)),
        ("plain", {}, ("cosine", 0.3)),
        ("plain", {"margin": 0.1}, ("cosine", 0.1)),
        ("plain", {"margin": 5.0}, ("euclidean", 5.0)),
        ("unit", {"margin": 0.1}, ("euclidean", 0.1)),
        ("plain", {"distance": "cosine"}, ("cosine", 0.3)),
        ("unit", {"distance": "euclidean"}, ("euclidean", 0.3)),
        ("plain", {"distance": "euclidean", "margin": 0.3}, ("euclidean", 0.3)),
        ("plain", {"loss": "batch-hard-soft-margin"}, ("euclidean", None)),
    ],
)
def test_what_is_not_given_is_chosen(models, sentences, encoder, given, chosen):
    settings = choose_margin_and_distance(RunSettings(**given), models[encoder], sentences)
    assert (settings.distance, settings.margin) == chosen


@pytest.mark.parametrize(
    ("encoder", "distance"), [("plain", "euclidean"), ("plain", "manhattan"), ("unit", "manhattan")]
)
def test_a_given_distance_that_grows_with_the_norm_gets_a_quarter_of_its_mean(
    models, sentences, encoder, distance, caplog
):
    with caplog.at_level(logging.INFO, logger="tercet"):
        settings = choose_margin_and_distance(RunSettings(distance=distance), models[encoder], sentences)
    assert 0 < settings.margin < 40
    assert f"margin {settings.margin:g}: a quarter of " in caplog.text


def test_the_choice_is_logged_with_its_reason(models, sentences, caplog):
    with caplog.at_level(logging.INFO, logger="tercet"):
        choose_margin_and_distance(RunSettings(), models["plain"], sentences)
    assert "distance cosine: the embeddings of the encoder do not have length 1 (their mean norm is " in caplog.text


@pytest.mark.parametrize("margin", [float("nan"), float("inf"), -0.1, "0.3"])
def test_a_margin_is_checked_with_the_other_settings(margin):
    with pytest.raises(DataError, match="the margin must be a finite number of at least 0"):
        RunSettings(margin=margin).check()


def test_unknown_tokens_are_not_reported_while_the_margin_is_chosen(bert, caplog):
    """The trainer reports those of all sentences; two warnings in one run would be one too many."""
    model = SentenceTransformer(bert, device="cpu")
    choose_margin_and_distance(RunSettings(), model, ["漢字 漢字", "仮名 仮名"])
    assert "unknown" not in caplog.text
