"""The monitor: statistics in the log against the batches that they describe, and warnings about planted failures."""

import json
import logging
import random

import pytest
import torch
from datasets import Dataset
from torch import nn

from tercet import SentenceTransformer, SentenceTransformerTrainer, losses
from tercet._events import WarningKind, collect_warnings, emit_warning
from tercet.distances import MANHATTAN
from tercet.encoder.modules.pooling import Normalize
from tercet.errors import DataError
from tercet.losses import functional
from tercet.losses import miners as rules
from tercet.losses._engine.stats import LossStats
from tercet.runs.run import build_trainer
from tercet.runs.settings import RunSettings
from tercet.trainer.monitor import MIN_BATCHES, WINDOW, BatchStats, TrainingMonitor
from tests.trainer.helpers import make_arguments, make_trainer, turn_off_dropout

COLLAPSE = WarningKind.COLLAPSE
INACTIVE_TRIPLETS = WarningKind.INACTIVE_TRIPLETS
LABELS_NOT_SEPARATED = WarningKind.LABELS_NOT_SEPARATED


def _batch(positive=0.5, negative=1.0, anchors=8, active=10):
    return LossStats(
        anchors=anchors, valid_triplets=100, mined_triplets=20, active_triplets=active,
        mean_positive_distance=positive, mean_negative_distance=negative,
        mean_hardest_positive_distance=positive, mean_hardest_negative_distance=negative,
        positive_pairs=16, negative_pairs=48,
    )  # fmt: skip


def _warnings(batches, norms=None, finish=False, **options):
    """The warnings of a monitor that observes these batches, as pairs of kind and message."""
    monitor = TrainingMonitor(**options)
    with collect_warnings() as warnings:
        for at, batch in enumerate(batches):
            monitor.observe(batch, norms[at] if norms else 1.0)
        if finish:
            monitor.finish()
    return [(warning.kind, warning.message) for warning in warnings]


@pytest.mark.parametrize(
    ("batches", "kind", "words"),
    [
        ([_batch()] + [_batch(0.1, 0.1)] * WINDOW, COLLAPSE, "sentences with different labels relative to their norm"),
        ([_batch()] + [_batch(0.0, 0.0)] * WINDOW, COLLAPSE, "and is 0 now"),
        ([_batch(active=0)] * WINDOW, INACTIVE_TRIPLETS, "the model learns nothing any more"),
        ([_batch(1.01, 1.0)] * WINDOW, LABELS_NOT_SEPARATED, "Check that each text has its own label"),
        (
            [_batch(0.98, 1.0), _batch(1.0, 0.98)] * (WINDOW // 2),
            LABELS_NOT_SEPARATED,
            "Check that each text has its own label",
        ),
    ],
)
def test_a_failure_is_reported_once(batches, kind, words):
    warnings = _warnings(batches * 3)
    assert [found for found, _ in warnings].count(kind) == 1
    (message,) = [message for found, message in warnings if found == kind]
    assert words in message
    assert sum(words in message for _, message in warnings) == 1


def test_a_warning_is_logged_and_can_be_stored_as_json(caplog):
    with caplog.at_level(logging.WARNING, "tercet"), collect_warnings() as warnings:
        emit_warning(COLLAPSE, "the embeddings have collapsed")
    emit_warning(COLLAPSE, "after the block")
    assert json.loads(json.dumps([warning.to_dict() for warning in warnings])) == [
        {"kind": "collapse", "message": "the embeddings have collapsed"}
    ]
    assert caplog.records[0].getMessage() == "the embeddings have collapsed"


@pytest.mark.parametrize(
    "batches",
    [
        [_batch()] * 200,
        [_batch(0.5 - step / 200, 1.0, active=40 - step // 2) for step in range(80)],
        [_batch(active=0)] * (WINDOW - 1) + [_batch()],
        [_batch()] * WINDOW + [_batch(0.99, 1.0)] * WINDOW,
        [_batch(0.98, 1.0)] * WINDOW,  # hard to learn, but nearer in every batch
        [_batch()] * 15 + [_batch(0.2, 0.2)] + [_batch()] * 15,  # one batch is no collapse
        [_batch(anchors=0, active=0)] * WINDOW,  # the loss warns about it
    ],
)
def test_a_healthy_run_gets_no_warning(batches):
    assert _warnings(batches) == []


def _collapses(*args, **options):
    return [message for kind, message in _warnings(*args, **options) if kind == COLLAPSE]


def test_a_collapse_is_measured_relative_to_the_norm_if_the_distance_scales_with_it():
    grown = [_batch()] + [_batch(10.0, 10.0)] * WINDOW
    (message,) = _collapses(grown, [1.0] + [100.0] * WINDOW)
    assert "relative to their norm was 1 in the first batch and is 0.19 now" in message
    longer = [1.0] + [10.0] * WINDOW  # the cosine does not change with the norm
    assert not _collapses([_batch()] + [_batch(1.0, 1.0)] * WINDOW, longer, scales_with_norm=False)
    shorter = [1.0] + [0.03] * WINDOW
    warnings = _warnings([_batch()] + [_batch(0.01, 0.01)] * WINDOW, shorter, scales_with_norm=False)
    assert "different labels was 1 in the first batch" in warnings[0][1]


def test_the_labels_are_not_judged_while_the_embeddings_collapse():
    assert _warnings([_batch()] + [_batch(0.4, 0.4)] * (WINDOW - 1)) == []


def test_a_short_run_is_checked_when_it_ends():
    assert _warnings([_batch(active=0)] * MIN_BATCHES) == []
    ((kind, _),) = _warnings([_batch(active=0)] * MIN_BATCHES, finish=True)
    assert kind == INACTIVE_TRIPLETS
    assert _warnings([_batch(active=0)] * (MIN_BATCHES - 1), finish=True) == []


def test_a_resumed_run_does_not_judge_the_labels():
    assert _warnings([_batch(1.01, 1.0)] * WINDOW, resumed=True) == []


def test_a_soft_margin_always_has_a_loss():
    assert _warnings([_batch(active=0)] * WINDOW, has_margin=False) == []


@pytest.mark.parametrize(
    ("make_loss", "scales_with_norm", "has_margin"),
    [
        (lambda: losses.BatchHardTripletLoss(distance_metric="euclidean"), True, True),
        (lambda: losses.BatchHardTripletLoss(distance_metric="cosine"), False, True),
        (lambda: losses.TripletLoss(distance_metric=MANHATTAN), True, True),
        (lambda: losses.BatchAllTripletLoss(distance_metric=lambda x: torch.cdist(x, x)), False, True),
        (losses.BatchHardSoftMarginTripletLoss, True, False),
        (nn.Identity, False, True),  # a custom loss of unknown properties
    ],
)
def test_the_monitor_takes_the_properties_of_the_loss_from_its_distance_and_the_catalogue(
    make_loss, scales_with_norm, has_margin
):
    monitor = TrainingMonitor.for_loss(make_loss())
    assert (monitor._scales_with_norm, monitor._has_margin) == (scales_with_norm, has_margin)


def test_statistics_of_several_batches_are_those_of_all_triplets():
    """Counts are added, and means are weighted by the number of their terms."""
    torch.manual_seed(0)
    stats, pairs = BatchStats(), []
    for size in (6, 9):
        x, y = torch.randn(size, 4, dtype=torch.float64), torch.arange(size) % 3
        stats.update(functional.batch_loss_with_stats(x, y, rules.all_triplets(0.1))[1], x)
        apart = torch.cdist(x, x)
        same = (y == y.unsqueeze(1)) & ~torch.eye(size, dtype=torch.bool)
        pairs.append((apart[same], apart[y != y.unsqueeze(1)], x.norm(dim=1)))
    positives, negatives, norms = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    taken = stats.compute_and_reset(torch.device("cpu"))
    assert taken["positive_distance"] == pytest.approx(float(positives.mean()), abs=1e-5)
    assert taken["negative_distance"] == pytest.approx(float(negatives.mean()), abs=1e-5)
    assert taken["norm"] == pytest.approx(float(norms.mean()), abs=1e-5)
    assert taken["norm_std"] == pytest.approx(float(norms.std(correction=0)), abs=1e-5)
    assert taken["anchors_without_triplet"] == 0
    assert stats.compute_and_reset(torch.device("cpu")) == {}


def test_anchors_without_a_triplet_are_a_fraction_of_all_sentences():
    stats = BatchStats()
    x, y = torch.eye(5), torch.tensor([0, 0, 1, 1, 2])
    stats.update(functional.batch_loss_with_stats(x, y, rules.all_triplets(0.1))[1], x)
    assert stats.compute_and_reset(torch.device("cpu"))["anchors_without_triplet"] == pytest.approx(0.2)


@pytest.mark.parametrize("loss", [losses.BatchAllTripletLoss, losses.BatchHardTripletLoss, losses.TripletLoss])
@pytest.mark.parametrize("tokens", [None, 20])
def test_the_log_contains_the_statistics_of_its_batches(loss, tokens, bert, labelled, sentences, tmp_path):
    data = labelled
    if loss is losses.TripletLoss:
        data = Dataset.from_dict({"anchor": sentences, "positive": sentences[::-1], "negative": sentences})  # itself
    sampler = "batch_sampler" if loss is losses.TripletLoss else "group_by_label"
    options = {"mini_batch_tokens": tokens, "max_steps": 2, "logging_steps": 2, "batch_sampler": sampler}
    trainer = make_trainer(bert, tmp_path, data, loss, changes=options)
    trainer.train()
    (entry,) = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert entry["anchors_without_triplet"] == 0
    if loss is losses.TripletLoss:
        assert entry["active_fraction"] == 1
        assert entry["hardest_positive_distance"] == entry["positive_distance"]
    else:
        assert 0 < entry["active_fraction"] <= 1
        assert entry["hardest_negative_distance"] < entry["negative_distance"]
        assert entry["hardest_positive_distance"] >= entry["positive_distance"]


def _run(bert, tmp_path, data, loss, **options):
    """Train, and return the warnings of the run by kind."""
    settings = {"max_steps": 60, "logging_steps": 10, "per_device_train_batch_size": 8, **options}
    with collect_warnings() as warnings:
        make_trainer(bert, tmp_path, data, loss, changes=settings).train()
    return {warning.kind: warning.message for warning in warnings}


def test_a_learning_rate_of_10_collapses_the_embeddings(bert, labelled, tmp_path):
    model = SentenceTransformer(bert, device="cpu")
    model = SentenceTransformer(modules=[*model.parts, Normalize()], device="cpu")
    arguments = make_arguments(tmp_path, learning_rate=10.0, max_steps=40)
    loss = losses.BatchHardTripletLoss(model, margin=0.3)
    with collect_warnings() as warnings:
        SentenceTransformerTrainer(model, arguments, labelled, loss=loss).train()
    (message,) = [warning.message for warning in warnings if warning.kind == COLLAPSE]
    assert "collapsed" in message


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
def test_labels_that_make_no_triplet_are_refused(bert, sentences, tmp_path, labels, message):
    data = Dataset.from_dict({"text": sentences, "label": list(labels)})
    with pytest.raises(DataError, match=message):
        make_trainer(bert, tmp_path, data, losses.BatchAllTripletLoss, changes={"batch_sampler": "batch_sampler"})


def test_a_batch_without_positives_is_reported_once(bert, sentences, tmp_path, caplog):
    """Of 16 sentences two share a label, and batches hold four."""
    data = Dataset.from_dict({"text": sentences, "label": [0, *range(15)]})
    options = {"batch_sampler": "batch_sampler", "per_device_train_batch_size": 4}
    with caplog.at_level(logging.WARNING, "tercet"):
        _run(bert, tmp_path, data, losses.BatchAllTripletLoss, **options)
    assert caplog.text.count("holds no triplet") == 1
    assert "batch_sampler='group_by_label'" in caplog.text


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


def test_a_soft_margin_triplet_is_active_if_its_negative_is_no_farther_than_its_positive():
    x, y = torch.tensor([[0.0], [1.0], [3.0], [3.5]]), torch.tensor([0, 0, 1, 1])
    assert functional.batch_loss_with_stats(x, y, rules.hard_soft_margin())[1].active_fraction == 0
    tied = functional.batch_loss_with_stats(torch.zeros(4, 1), y, rules.hard_soft_margin())[1]
    assert tied.active_fraction == 1  # as after a collapse
    x[1] = 2.8  # nearer to both of the others than to its own
    stats = functional.batch_loss_with_stats(x, y, rules.hard_soft_margin())[1]
    assert stats.active_triplets == 2


def test_a_margin_that_every_triplet_meets_is_reported(bert, labelled, tmp_path):
    """Positives are copies of the anchor, so a tiny margin is met from the first batch on."""
    texts = [label for label in labelled["label"] for _ in range(2)]
    data = Dataset.from_dict({"text": texts, "label": texts})
    options = {"learning_rate": 1e-6}

    def loss(model: SentenceTransformer, margin: float) -> nn.Module:
        turn_off_dropout(model)
        return losses.BatchHardTripletLoss(model, margin=1e-4)

    assert INACTIVE_TRIPLETS in _run(bert, tmp_path, data, loss, **options)


@pytest.mark.parametrize(
    ("settings", "logged"), [({"max_steps": 30}, 1), ({"max_steps": 100}, 5), ({"epochs": 200}, 10)]
)
def test_short_runs_are_logged_more_often(bert, sentences, tmp_path, settings, logged):
    """Then their report has curves. 16 sentences in batches of 8 are two steps per epoch."""
    data = Dataset.from_dict({"sentence": sentences, "label": [row // 4 for row in range(16)]})
    settings = RunSettings(batch_size=8, samples_per_label=2, **settings)
    trainer = build_trainer(SentenceTransformer(bert, device="cpu"), data, settings, tmp_path, [])
    assert trainer.args.logging_steps == logged
