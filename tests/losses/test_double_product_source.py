"""The losses that never wait for a GPU: on a CPU against float64, and on a device from which nothing can be read."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from tercet import losses
from tercet.errors import EmbeddingError
from tercet.losses._engine import double_product_source
from tercet.losses._engine.double_product_source import DoubleProductSource
from tercet.losses._engine.inputs import Anchors
from tests.losses.helpers import batch_loss
from tests.losses.test_engine import NAMES, assert_same, miner_of, with_gradient

LOSSES = [
    losses.BatchAllTripletLoss, losses.BatchHardTripletLoss, losses.BatchHardSoftMarginTripletLoss,
    losses.BatchSemiHardTripletLoss,
]  # fmt: skip


@pytest.fixture
def doubles(monkeypatch):
    monkeypatch.setattr(double_product_source, "DEVICE_TYPES", {"cpu", "meta"})


def batches():
    random = torch.Generator().manual_seed(3)
    x = torch.randn(40, 12, generator=random)
    yield "unit length", F.normalize(x, dim=1)
    yield "far from the origin", x + 300
    yield "near copies", F.normalize(x[torch.arange(40) // 4] + 1e-4 * torch.randn(40, 12, generator=random), dim=1)
    yield "copies", x[torch.randint(0, 15, (40,), generator=random)]
    yield "zero rows", torch.where(torch.arange(40).unsqueeze(1) % 9 == 0, 0.0, x)
    yield "collapsed", torch.ones(40, 12)


def loss_of(leaf, labels, miner, distance, anchors):
    chosen = None
    if anchors is not None:
        chosen = Anchors(leaf[anchors], labels[anchors], torch.arange(len(labels))[anchors])
    return batch_loss(leaf, labels, miner, distance, anchors=chosen)[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_it_is_as_accurate_as_the_source_of_the_cpu(name, distance, monkeypatch):
    """Value and gradient against float64, where the source of the CPU agrees with it too.

    Else distances are equal up to the rounding of float32, so that both sources may choose another triplet.
    """
    agreed = 0
    for labels in (torch.arange(40) // 4, torch.arange(40) % 7, torch.tensor([0, 1] * 15 + [2] * 10)):
        for kind, x in batches():
            for anchors in (None, slice(5, 30)):
                run = partial(loss_of, labels=labels, miner=miner_of(name, 0.3), distance=distance, anchors=anchors)
                monkeypatch.setattr(double_product_source, "DEVICE_TYPES", set())
                exact, of_cpu = with_gradient(run, x.double()), with_gradient(run, x)
                monkeypatch.setattr(double_product_source, "DEVICE_TYPES", {"cpu"})
                ours = with_gradient(run, x)
                assert ours[0].dtype == ours[1].dtype == torch.float32
                assert ours[0].item() == pytest.approx(of_cpu[0].item(), rel=1e-5, abs=1e-6), kind
                assert ours[1].isfinite().all()
                if (of_cpu[1] - exact[1]).abs().max() <= 1e-5 * max(1.0, exact[1].abs().max()):
                    assert_same(ours, exact, 1e-5)
                    agreed += 1
    assert agreed >= 24


def test_it_is_used_for_small_batches_of_float32_on_a_gpu(monkeypatch):
    rows = torch.zeros(8, 2)
    assert not double_product_source.suits(rows)
    monkeypatch.setattr(double_product_source, "DEVICE_TYPES", {"cpu"})
    assert double_product_source.suits(rows)
    assert not double_product_source.suits(rows.double())
    assert not double_product_source.suits(torch.zeros(double_product_source.MAX_CANDIDATES + 1, 1))


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 2, 3, 3], [0, 0, 0, 0, 1, 1, 2, 3], [0] * 8])
def test_no_loss_reads_from_the_device(kind, labels, doubles):
    """The meta device has no values: whatever reads one raises an error."""
    x = torch.empty(8, 6, device="meta", requires_grad=True)
    loss = kind()
    loss.collect_stats = loss.defer_checks = loss._margin_checked = True
    value = loss.compute_loss_from_embeddings(x, torch.tensor(labels))
    value.backward()
    assert x.grad.shape == x.shape
    assert loss.pending_stats.is_valid.shape == ()
    if len(set(labels)) > 1:
        with pytest.raises((RuntimeError, NotImplementedError)):
            loss.pending_stats.read()


def test_given_triplets_are_checked_when_their_statistics_are_read():
    on_cpu = losses.TripletLoss(triplet_margin=0.3)
    on_cpu.collect_stats = on_cpu.defer_checks = on_cpu._margin_checked = True
    rows = torch.randn(12, 6)
    value, stats = on_cpu.compute_loss_from_embeddings(rows.chunk(3)), on_cpu.stats
    assert bool(on_cpu.pending_stats.is_valid)
    on_cpu.defer_checks = False
    assert on_cpu.compute_loss_from_embeddings(rows.chunk(3)) == value
    assert on_cpu.stats == stats
    on_cpu.defer_checks = True
    rows[7, 0] = torch.nan
    on_cpu.compute_loss_from_embeddings(rows.chunk(3))
    assert not on_cpu.pending_stats.is_valid


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_a_check_that_was_put_off_finds_the_same_values(distance):
    for x in (torch.ones(4, 2), torch.zeros(4, 2), torch.full((4, 2), 1e30), torch.full((4, 2), 1e-30)):
        for bad in (1.0, float("nan"), float("inf"), 1e30, 1e-30, 0.0):
            rows = x.clone()
            rows[1, 0] = bad
            loss = losses.BatchHardTripletLoss(distance_metric=distance)
            loss._margin_checked = loss.collect_stats = True
            try:
                loss.compute_loss_from_embeddings(rows, torch.tensor([0, 0, 1, 1]))
                is_valid = True
            except EmbeddingError:
                is_valid = False
            loss.defer_checks = True
            loss.compute_loss_from_embeddings(rows, torch.tensor([0, 0, 1, 1]))
            assert bool(loss.pending_stats.is_valid) == is_valid


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [40, 400, 2400])
def test_a_gpu_computes_the_loss_of_the_cpu(name, size):
    x = F.normalize(torch.randn(size, 24), dim=1)
    labels = torch.arange(size) // 4
    expected = with_gradient(lambda e: batch_loss(e, labels, miner_of(name, 0.3))[0], x.double())
    for where in ("cpu", "cuda"):
        y = labels.to(where)
        value, gradient = with_gradient(lambda e, y=y: batch_loss(e, y, miner_of(name, 0.3))[0], x.cuda())
        value, gradient = value.double().cpu(), gradient.double().cpu()
        if size > double_product_source.MAX_CANDIDATES:
            # Two distances may be equal up to the rounding of float32, and then another triplet is chosen. It changes
            # three rows, each by less than two gradients of one pair.
            others = (gradient - expected[1]).abs().amax(1) > 1e-5
            assert others.sum() <= 0.005 * size
            assert (gradient - expected[1]).abs().max() <= 2 / (3 * size)
            gradient = torch.where(others.unsqueeze(1), expected[1], gradient)
        assert_same((value, gradient), expected, 1e-5)
    source = DoubleProductSource if size <= double_product_source.MAX_CANDIDATES else None
    assert (source is not None) == double_product_source.suits(x.cuda())
