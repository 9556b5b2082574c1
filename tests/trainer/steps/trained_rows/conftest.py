"""Fixtures: a tiny encoder with many unused words, and a switch for the training of some rows alone."""

import pytest

from tercet import SentenceTransformer
from tercet.trainer.steps import trained_rows_training
from tests.conftest import build_bert, build_roberta
from tests.trainer.steps.trained_rows.watched_run import UNUSED


@pytest.fixture(scope="module", params=[build_bert, build_roberta], ids=["bert", "roberta"])
def encoder(request, tmp_path_factory):
    """A tiny encoder of which most words occur in no training sentence."""
    folder = request.param(tmp_path_factory.mktemp("large"))
    model = SentenceTransformer(folder)
    model.tokenizer.add_tokens(UNUSED)
    model[0].auto_model.resize_token_embeddings(len(model.tokenizer), mean_resizing=False)
    model.save(folder / "model")
    return folder / "model"


@pytest.fixture
def alone(monkeypatch):
    """A function that turns the training of some rows alone on or off."""

    def turn(on):
        monkeypatch.setattr(trained_rows_training, "_MOST_ROWS", 0.9 if on else 0.0)

    return turn
