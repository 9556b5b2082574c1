"""Statistics in the log against the batches that they describe."""

import pytest
import torch
from datasets import Dataset

from tercet import SentenceTransformer, losses
from tercet.losses import functional
from tercet.losses import miners as rules
from tercet.runs.build import build_trainer
from tercet.runs.settings import RunSettings
from tercet.trainer.logs.log_stats import LogStats
from tests.trainer.helpers import make_trainer


def test_statistics_of_several_batches_are_those_of_all_triplets():
    """Counts are added, and means are weighted by the number of their terms."""
    torch.manual_seed(0)
    stats, pairs = LogStats(), []
    for size in (6, 9):
        x, y = torch.randn(size, 4, dtype=torch.float64), torch.arange(size) % 3
        stats.update(functional.batch_loss_with_stats(x, y, rules.all_triplets(0.1))[1], x)
        apart = torch.cdist(x, x)
        same = (y == y.unsqueeze(1)) & ~torch.eye(size, dtype=torch.bool)
        pairs.append((apart[same], apart[y != y.unsqueeze(1)], x.norm(dim=1)))
    positives, negatives, norms = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    computed = stats.compute_and_reset(torch.device("cpu"))
    assert computed["positive_distance"] == pytest.approx(float(positives.mean()), abs=1e-5)
    assert computed["negative_distance"] == pytest.approx(float(negatives.mean()), abs=1e-5)
    assert computed["norm"] == pytest.approx(float(norms.mean()), abs=1e-5)
    assert computed["norm_std"] == pytest.approx(float(norms.std(correction=0)), abs=1e-5)
    assert computed["anchors_without_triplet"] == 0
    assert stats.compute_and_reset(torch.device("cpu")) == {}


def test_anchors_without_a_triplet_are_a_fraction_of_all_sentences():
    stats = LogStats()
    x, y = torch.eye(5), torch.tensor([0, 0, 1, 1, 2])
    stats.update(functional.batch_loss_with_stats(x, y, rules.all_triplets(0.1))[1], x)
    assert stats.compute_and_reset(torch.device("cpu"))["anchors_without_triplet"] == pytest.approx(0.2)


@pytest.mark.slow
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


def test_a_soft_margin_triplet_is_active_if_its_negative_is_no_farther_than_its_positive():
    x, y = torch.tensor([[0.0], [1.0], [3.0], [3.5]]), torch.tensor([0, 0, 1, 1])
    assert functional.batch_loss_with_stats(x, y, rules.hard_soft_margin())[1].active_fraction == 0
    tied = functional.batch_loss_with_stats(torch.zeros(4, 1), y, rules.hard_soft_margin())[1]
    assert tied.active_fraction == 1  # as after a collapse
    x[1] = 2.8  # nearer to both of the others than to its own
    stats = functional.batch_loss_with_stats(x, y, rules.hard_soft_margin())[1]
    assert stats.active_triplets == 2


@pytest.mark.parametrize(
    ("settings", "logged"), [({"max_steps": 30}, 1), ({"max_steps": 100}, 5), ({"epochs": 200}, 10)]
)
def test_short_runs_are_logged_more_often(bert, sentences, tmp_path, settings, logged):
    """Then their report has curves. 16 sentences in batches of 8 are two steps per epoch."""
    data = Dataset.from_dict({"sentence": sentences, "label": [row // 4 for row in range(16)]})
    settings = RunSettings(batch_size=8, samples_per_label=2, **settings)
    trainer = build_trainer(SentenceTransformer(bert, device="cpu"), data, settings, tmp_path, [])
    assert trainer.args.logging_steps == logged
