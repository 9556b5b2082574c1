"""Warnings of real training runs with planted failures, and data that are rejected before training."""

import logging
import random

import pytest
from datasets import Dataset
from torch import nn

from tercet import SentenceTransformer, SentenceTransformerTrainer, losses
from tercet._events import WarningKind, collect_warnings
from tercet.encoder.modules import Normalize
from tercet.errors import DataError
from tests.trainer.helpers import make_arguments, make_trainer, turn_off_dropout

COLLAPSE = WarningKind.COLLAPSE
INACTIVE_TRIPLETS = WarningKind.INACTIVE_TRIPLETS
LABELS_NOT_SEPARATED = WarningKind.LABELS_NOT_SEPARATED


def _run(bert, tmp_path, data, loss, **options):
    """Train, and return the warnings of the run by kind."""
    settings = {"max_steps": 60, "logging_steps": 10, "per_device_train_batch_size": 8, **options}
    with collect_warnings() as warnings:
        make_trainer(bert, tmp_path, data, loss, changes=settings).train()
    return {warning.kind: warning.message for warning in warnings}


@pytest.mark.slow
def test_a_learning_rate_of_10_collapses_the_embeddings(bert, labelled, tmp_path):
    model = SentenceTransformer(bert, device="cpu")
    model = SentenceTransformer(modules=[*model, Normalize()], device="cpu")
    arguments = make_arguments(tmp_path, learning_rate=10.0, max_steps=40)
    loss = losses.BatchHardTripletLoss(model, margin=0.3)
    with collect_warnings() as warnings:
        SentenceTransformerTrainer(model, arguments, labelled, loss=loss).train()
    (message,) = [warning.message for warning in warnings if warning.kind == COLLAPSE]
    assert "collapsed" in message


@pytest.mark.slow
@pytest.mark.parametrize("steps", [20, 40])
def test_random_labels_are_reported_and_right_labels_are_not(bert, labelled, tmp_path, steps):
    """On an encoder that was trained to separate the labels. A run of 20 steps is only checked at its end."""
    settings = {"max_steps": 30, "learning_rate": 3e-3}
    trained = make_trainer(bert, tmp_path, labelled, losses.BatchAllTripletLoss, changes=settings)
    trained.train()
    trained.model.save_pretrained(tmp_path / "trained")
    shuffled = labelled["label"][:]
    random.Random(1).shuffle(shuffled)
    for labels, reported in ((labelled["label"][:], False), (shuffled, True)):
        data = Dataset.from_dict({"text": labelled["text"][:], "label": labels})
        options = {"learning_rate": 1e-6, "max_steps": steps}
        warnings = _run(tmp_path / "trained", tmp_path, data, losses.BatchAllTripletLoss, **options)
        assert (LABELS_NOT_SEPARATED in warnings) == reported


@pytest.mark.parametrize(
    ("labels", "message"), [(range(16), "train_dataset has no label twice"), (["a"] * 16, "one label only .'a'.")]
)
def test_labels_without_a_triplet_raise_an_error(bert, sentences, tmp_path, labels, message):
    data = Dataset.from_dict({"text": sentences, "label": list(labels)})
    with pytest.raises(DataError, match=message):
        make_trainer(bert, tmp_path, data, losses.BatchAllTripletLoss, changes={"batch_sampler": "batch_sampler"})


@pytest.mark.slow
def test_a_batch_without_positives_is_reported_once(bert, sentences, tmp_path, caplog):
    """Of 16 sentences two share a label, and batches hold four."""
    data = Dataset.from_dict({"text": sentences, "label": [0, *range(15)]})
    options = {"batch_sampler": "batch_sampler", "per_device_train_batch_size": 4}
    with caplog.at_level(logging.WARNING, "tercet"):
        _run(bert, tmp_path, data, losses.BatchAllTripletLoss, **options)
    assert caplog.text.count("holds no triplet") == 1
    assert "batch_sampler='group_by_label'" in caplog.text


@pytest.mark.slow
def test_each_run_of_a_trainer_warns_again(bert, labelled, tmp_path, caplog):
    trainer = make_trainer(bert, tmp_path, labelled, losses.BatchHardTripletLoss, changes={"max_steps": 3})
    trainer.loss.distance_metric = "cosine"
    trainer.loss.margin = 5.0
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "tercet"):
            trainer.train()
        assert caplog.text.count("can never be met") == 1
        logged = [entry for entry in trainer.state.log_history if "loss" in entry]
        assert len(logged) == 3


@pytest.mark.slow
def test_a_margin_that_every_triplet_meets_is_reported(bert, labelled, tmp_path):
    """Positives are copies of the anchor, so a tiny margin is met from the first batch on."""
    texts = [label for label in labelled["label"] for _ in range(2)]
    data = Dataset.from_dict({"text": texts, "label": texts})
    options = {"learning_rate": 1e-6}

    def loss(model: SentenceTransformer, margin: float) -> nn.Module:
        turn_off_dropout(model)
        return losses.BatchHardTripletLoss(model, margin=1e-4)

    assert INACTIVE_TRIPLETS in _run(bert, tmp_path, data, loss, **options)
