"""What a run says about itself: figures of the log against the batches they are of, and planted failures."""

import logging
import random

import pytest
import torch
from datasets import Dataset
from torch import nn

from tercet import SentenceTransformer, SentenceTransformerTrainer, losses
from tercet.encoder.modules.pooling import Normalize
from tercet.errors import DataError
from tercet.losses import functional
from tercet.losses import miners as rules
from tercet.losses._engine.stats import LossStats
from tercet.runs.build import build_trainer
from tercet.runs.settings import RunSettings
from tercet.trainer.monitor import BATCHES, ENOUGH, BatchStats, TrainingMonitor
from tests.trainer.test_trainer import _arguments, _trainer


def _batch(positive=0.5, negative=1.0, anchors=8, active=10):
    return LossStats(anchors, 100, 20, active, positive, negative, positive, negative, 16, 48)


def _told(caplog, batches, norms=None, finish=False, **kind):
    watch = TrainingMonitor(**kind)
    with caplog.at_level(logging.WARNING, "tercet"):
        for at, batch in enumerate(batches):
            watch.see(batch, norms[at] if norms else 1.0)
        if finish:
            watch.finish()
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("batches", "words"),
    [
        ([_batch()] + [_batch(0.1, 0.1)] * BATCHES, "collapsed: sentences of different labels were, as a share of"),
        ([_batch()] + [_batch(0.0, 0.0)] * BATCHES, "and are 0 apart now"),
        ([_batch(active=0)] * BATCHES, "nothing is learnt"),
        ([_batch(1.01, 1.0)] * BATCHES, "labels and texts belong together"),
        ([_batch(0.98, 1.0), _batch(1.0, 0.98)] * (BATCHES // 2), "labels and texts belong together"),
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
        [_batch(0.98, 1.0)] * BATCHES,  # hard to learn, but nearer in every batch
        [_batch()] * 15 + [_batch(0.2, 0.2)] + [_batch()] * 15,  # one batch is no collapse
        [_batch(anchors=0, active=0)] * BATCHES,  # the loss tells of it
    ],
)
def test_a_healthy_run_is_not_disturbed(batches, caplog):
    assert _told(caplog, batches) == []


def test_a_collapse_is_measured_by_the_length_of_the_embeddings_where_the_distance_grows_with_it(caplog):
    grown = [_batch()] + [_batch(10.0, 10.0)] * BATCHES
    (message,) = [m for m in _told(caplog, grown, [1.0] + [100.0] * BATCHES) if "collapsed" in m]
    assert "were, as a share of their length, 1 apart in the first batch and are 0.19 apart now" in message
    caplog.clear()
    longer = [1.0] + [10.0] * BATCHES  # the cosine is what it was, however long they are
    assert not [m for m in _told(caplog, [_batch()] + [_batch(1.0, 1.0)] * BATCHES, longer, scales=False)
                if "collapsed" in m]  # fmt: skip
    caplog.clear()
    shorter = [1.0] + [0.03] * BATCHES
    assert "were 1 apart" in _told(caplog, [_batch()] + [_batch(0.01, 0.01)] * BATCHES, shorter, scales=False)[0]


def test_what_is_collapsing_says_nothing_of_the_labels(caplog):
    assert _told(caplog, [_batch()] + [_batch(0.4, 0.4)] * (BATCHES - 1)) == []


def test_a_short_run_is_looked_at_when_it_ends(caplog):
    assert _told(caplog, [_batch(active=0)] * ENOUGH) == []
    assert "nothing is learnt" in _told(caplog, [_batch(active=0)] * ENOUGH, finish=True)[0]
    caplog.clear()
    assert _told(caplog, [_batch(active=0)] * (ENOUGH - 1), finish=True) == []


def test_of_a_run_that_goes_on_the_labels_are_not_judged(caplog):
    assert _told(caplog, [_batch(1.01, 1.0)] * BATCHES, resumed=True) == []


def test_a_soft_margin_always_has_a_loss(caplog):
    assert _told(caplog, [_batch(active=0)] * BATCHES, hinge=False) == []


def test_figures_of_several_batches_are_those_of_all_triplets():
    """Counts add up, and means are weighted by what they are means of."""
    torch.manual_seed(0)
    figures, pairs = BatchStats(), []
    for size in (6, 9):
        x, y = torch.randn(size, 4, dtype=torch.float64), torch.arange(size) % 3
        figures.add(functional.batch_loss_with_stats(x, y, rules.all_triplets(0.1))[1], x)
        apart = torch.cdist(x, x)
        same = (y == y.unsqueeze(1)) & ~torch.eye(size, dtype=torch.bool)
        pairs.append((apart[same], apart[y != y.unsqueeze(1)], x.norm(dim=1)))
    positives, negatives, norms = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    taken = figures.take(torch.device("cpu"))
    assert taken["positive_distance"] == pytest.approx(float(positives.mean()), abs=1e-5)
    assert taken["negative_distance"] == pytest.approx(float(negatives.mean()), abs=1e-5)
    assert taken["norm"] == pytest.approx(float(norms.mean()), abs=1e-5)
    assert taken["norm_std"] == pytest.approx(float(norms.std(correction=0)), abs=1e-5)
    assert taken["anchors_without_triplet"] == 0
    assert figures.take(torch.device("cpu")) == {}


def test_anchors_without_a_triplet_are_a_share_of_all_sentences():
    figures = BatchStats()
    x, y = torch.eye(5), torch.tensor([0, 0, 1, 1, 2])
    figures.add(functional.batch_loss_with_stats(x, y, rules.all_triplets(0.1))[1], x)
    assert figures.take(torch.device("cpu"))["anchors_without_triplet"] == pytest.approx(0.2)


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
        assert entry["active_fraction"] == 1
        assert entry["hardest_positive_distance"] == entry["positive_distance"]
    else:
        assert 0 < entry["active_fraction"] <= 1
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


@pytest.mark.parametrize("steps", [20, 40])
def test_labels_at_random_are_told_and_right_ones_are_not(bert, labelled, tmp_path, caplog, steps):
    """On an encoder that was trained to tell the labels apart; 20 steps are too few to be looked at but at the end."""
    settings = {"max_steps": 30, "learning_rate": 3e-3}
    trained = _trainer(bert, tmp_path, labelled, losses.BatchAllTripletLoss, changes=settings)
    trained.train()
    trained.model.save_pretrained(tmp_path / "trained")
    shuffled = labelled["label"][:]
    random.Random(1).shuffle(shuffled)
    for labels, told in ((labelled["label"][:], False), (shuffled, True)):
        caplog.clear()
        data = Dataset.from_dict({"text": labelled["text"][:], "label": labels})
        options = {"learning_rate": 1e-6, "max_steps": steps}
        text = _run(tmp_path / "trained", tmp_path, data, losses.BatchAllTripletLoss, caplog, **options)
        assert ("labels and texts belong together" in text) == told


@pytest.mark.parametrize(
    ("labels", "message"), [(range(16), "train_dataset has no label twice"), (["a"] * 16, "one label only .'a'.")]
)
def test_labels_that_make_no_triplet_are_refused(bert, sentences, tmp_path, labels, message):
    data = Dataset.from_dict({"text": sentences, "label": list(labels)})
    with pytest.raises(DataError, match=message):
        _trainer(bert, tmp_path, data, losses.BatchAllTripletLoss, changes={"batch_sampler": "batch_sampler"})


def test_a_batch_without_positives_is_told_once(bert, sentences, tmp_path, caplog):
    """Of 16 sentences two share a label, and batches hold four."""
    data = Dataset.from_dict({"text": sentences, "label": [0, *range(15)]})
    options = {"batch_sampler": "batch_sampler", "per_device_train_batch_size": 4}
    text = _run(bert, tmp_path, data, losses.BatchAllTripletLoss, caplog, **options)
    assert text.count("holds no triplet") == 1
    assert "batch_sampler='group_by_label'" in text


def test_each_run_of_a_trainer_is_told_of_what_goes_wrong_in_it(bert, labelled, tmp_path, caplog):
    trainer = _trainer(bert, tmp_path, labelled, losses.BatchHardTripletLoss, changes={"max_steps": 3})
    trainer.loss.distance_metric = "cosine"
    trainer.loss.margin = 5.0
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "tercet"):
            trainer.train()
        assert caplog.text.count("can never be met") == 1
        logged = [entry for entry in trainer.state.log_history if "loss" in entry]
        assert len(logged) == 3


def test_of_a_soft_margin_those_triplets_are_active_that_are_in_the_wrong_order():
    x, y = torch.tensor([[0.0], [1.0], [3.0], [3.5]]), torch.tensor([0, 0, 1, 1])
    assert functional.batch_loss_with_stats(x, y, rules.hard_soft_margin())[1].active_fraction == 0
    tied = functional.batch_loss_with_stats(torch.zeros(4, 1), y, rules.hard_soft_margin())[1]
    assert tied.active_fraction == 1  # as after a collapse
    x[1] = 2.8  # nearer to both of the others than to its own
    seen = functional.batch_loss_with_stats(x, y, rules.hard_soft_margin())[1]
    assert seen.active_triplets == 2


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


@pytest.mark.parametrize(
    ("settings", "logged"), [({"max_steps": 30}, 1), ({"max_steps": 100}, 5), ({"epochs": 200}, 10)]
)
def test_short_runs_are_logged_more_often(bert, sentences, tmp_path, settings, logged):
    """So that they have curves; 16 sentences in batches of 8 are two steps an epoch."""
    data = Dataset.from_dict({"sentence": sentences, "label": [row // 4 for row in range(16)]})
    settings = RunSettings(batch_size=8, samples_per_label=2, **settings)
    trainer = build_trainer(SentenceTransformer(bert, device="cpu"), data, settings, tmp_path, [])
    assert trainer.args.logging_steps == logged
