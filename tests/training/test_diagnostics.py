"""What a run says about itself: figures of the log against the batches they are of, and planted failures."""

import logging
import random

import pytest
import torch
from datasets import Dataset
from torch import nn

from tercet import SentenceTransformer, SentenceTransformerTrainer, losses
from tercet.encoder.modules import Normalize
from tercet.losses import functional, rules
from tercet.losses.statistics import LossStatistics
from tercet.training.diagnostics import BATCHES, BatchFigures, Watch
from tests.training.test_trainer import _arguments, _trainer


def _batch(positive=0.5, negative=1.0, anchors=8, active=10):
    return LossStatistics(anchors, 100, 20, active, positive, negative, positive, negative, 16, 48)


def _told(caplog, batches):
    watch = Watch()
    with caplog.at_level(logging.WARNING, "tercet"):
        for batch in batches:
            watch.see(batch, 1.0)
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("batches", "words"),
    [
        ([_batch()] + [_batch(0.1, 0.1)] * BATCHES, "collapsed"),
        ([_batch(active=0)] * BATCHES, "nothing is learnt"),
        ([_batch(anchors=0)] * 20 + [_batch()] * 10, "held no triplet"),
        ([_batch(0.99, 1.0)] * BATCHES, "labels and texts belong together"),
    ],
)
def test_a_failure_is_told_once(batches, words, caplog):
    (message,) = [message for message in _told(caplog, batches * 3) if words in message]
    assert message


@pytest.mark.parametrize(
    "batches",
    [
        [_batch()] * 200,
        [_batch(0.5 - step / 200, 1.0, active=40 - step // 2) for step in range(80)],
        [_batch(active=0)] * (BATCHES - 1) + [_batch()],
        [_batch()] * BATCHES + [_batch(0.99, 1.0)] * BATCHES,
    ],
)
def test_a_healthy_run_is_not_disturbed(batches, caplog):
    assert _told(caplog, batches) == []


def test_figures_of_several_batches_are_those_of_all_triplets():
    """Counts add up, and means are weighted by what they are means of."""
    torch.manual_seed(0)
    figures, pairs = BatchFigures(torch.device("cpu")), []
    for size in (6, 9):
        x, y = torch.randn(size, 4, dtype=torch.float64), torch.arange(size) % 3
        figures.add(functional.batch_loss_with_statistics(x, y, rules.all_triplets(0.1))[1], x)
        apart = torch.cdist(x, x)
        same = (y == y.unsqueeze(1)) & ~torch.eye(size, dtype=torch.bool)
        pairs.append((apart[same], apart[y != y.unsqueeze(1)], x.norm(dim=1)))
    positives, negatives, norms = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    taken = figures.take()
    assert taken["positive_distance"] == pytest.approx(float(positives.mean()), abs=1e-5)
    assert taken["negative_distance"] == pytest.approx(float(negatives.mean()), abs=1e-5)
    assert taken["norm"] == pytest.approx(float(norms.mean()), abs=1e-5)
    assert taken["norm_spread"] == pytest.approx(float(norms.std(correction=0)), abs=1e-5)
    assert taken["anchors_without_triplet"] == 0
    assert figures.take() == {}


@pytest.mark.parametrize("loss", [losses.BatchAllTripletLoss, losses.BatchHardTripletLoss, losses.TripletLoss])
@pytest.mark.parametrize("tokens", [None, 20])
def test_the_log_holds_the_figures_of_its_batches(loss, tokens, bert, labelled, sentences, tmp_path):
    data = labelled
    if loss is losses.TripletLoss:
        data = Dataset.from_dict({"anchor": sentences, "positive": sentences[::-1], "negative": sentences})  # itself
    sampler = "batch_sampler" if loss is losses.TripletLoss else "group_by_label"
    options = {"mini_batch_tokens": tokens, "max_steps": 2, "logging_steps": 2, "batch_sampler": sampler}
    trainer = _trainer(bert, tmp_path, data, loss, changes=options)
    trainer.train()
    (entry,) = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert entry["anchors_without_triplet"] == 0
    if loss is losses.TripletLoss:
        assert entry["active_share"] == 1
        assert entry["hardest_positive_distance"] == entry["positive_distance"]
    else:
        assert 0 < entry["active_share"] <= 1
        assert entry["hardest_negative_distance"] < entry["negative_distance"]
        assert entry["hardest_positive_distance"] >= entry["positive_distance"]


def _run(bert, tmp_path, data, loss, caplog, **options):
    settings = {"max_steps": 60, "logging_steps": 10, "per_device_train_batch_size": 8, **options}
    with caplog.at_level(logging.WARNING, "tercet"):
        _trainer(bert, tmp_path, data, loss, changes=settings).train()
    return caplog.text


def test_a_learning_rate_of_10_is_told(bert, labelled, tmp_path, caplog):
    model = SentenceTransformer(bert, device="cpu")
    model = SentenceTransformer(modules=[*model.parts, Normalize()], device="cpu")
    arguments = _arguments(tmp_path, learning_rate=10.0, max_steps=40)
    loss = losses.BatchHardTripletLoss(model, margin=0.3)
    with caplog.at_level(logging.WARNING, "tercet"):
        SentenceTransformerTrainer(model, arguments, labelled, loss=loss).train()
    assert "collapsed" in caplog.text


def test_labels_at_random_are_told(bert, labelled, tmp_path, caplog):
    labels = labelled["label"][:]
    random.Random(0).shuffle(labels)
    data = Dataset.from_dict({"text": labelled["text"][:], "label": labels})
    options = {"learning_rate": 1e-5}
    text = _run(bert, tmp_path, data, losses.BatchAllTripletLoss, caplog, **options)
    assert "labels and texts belong together" in text


def test_labels_that_are_all_unique_are_told(bert, sentences, tmp_path, caplog):
    data = Dataset.from_dict({"text": sentences, "label": list(range(len(sentences)))})
    text = _run(bert, tmp_path, data, losses.BatchAllTripletLoss, caplog, batch_sampler="batch_sampler")
    assert "held no triplet" in text


def test_a_margin_that_is_met_everywhere_is_told(bert, labelled, tmp_path, caplog):
    """Positives are copies of the anchor, so a tiny margin is met from the first batch on."""
    texts = [label for label in labelled["label"] for _ in range(2)]
    data = Dataset.from_dict({"text": texts, "label": texts})
    options = {"learning_rate": 1e-6}

    def loss(model: SentenceTransformer, margin: float) -> nn.Module:
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        return losses.BatchHardTripletLoss(model, margin=1e-4)

    assert "nothing is learnt" in _run(bert, tmp_path, data, loss, caplog, **options)
