"""The loss engine equals loops over all triplets, sentence-transformers, and itself with every algorithm."""

import warnings
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tercet import distances
from tercet.losses._engine import kernels, matrix_product_source
from tercet.losses._engine.inputs import Anchors
from tests.losses.engine_cases import DISTANCES, NAMES, assert_same, loops, miner_of, shifted, with_gradient
from tests.losses.helpers import batch_loss


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("distance", [*DISTANCES, shifted])
@given(
    labels=st.lists(st.integers(-3, 3), min_size=1, max_size=14),
    seed=st.integers(0, 10**6),
    margin=st.sampled_from([0.0, 0.2, 1.0, 5.0]),
)
@settings(max_examples=60, deadline=None)
def test_equals_the_loops(name, distance, labels, seed, margin):
    x = torch.randn(len(labels), 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    labels = torch.tensor(labels)
    got = with_gradient(lambda e: batch_loss(e, labels, miner_of(name, margin), distance)[0], x)
    wanted = with_gradient(lambda e: loops(name, e, labels, margin, distance), x)
    assert_same(got, wanted, 1e-10)
    single = batch_loss(x.float(), labels, miner_of(name, margin), distance)[0]
    assert single.item() == pytest.approx(wanted[0].item(), rel=1e-4, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("distance", DISTANCES)
@given(
    labels=st.lists(st.integers(0, 2), min_size=2, max_size=12),
    seed=st.integers(0, 10**6),
    margin=st.sampled_from([0.0, 0.3]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
@settings(max_examples=40, deadline=None)
def test_repeated_rows_tie_as_in_the_loops(name, distance, labels, seed, margin, dtype):
    random = torch.Generator().manual_seed(seed)
    number = len(labels)
    x = torch.randn(number, 7, dtype=dtype, generator=random)[torch.randint(0, number, (number,), generator=random)]
    labels = torch.tensor(labels)
    value, gradient = with_gradient(lambda e: batch_loss(e, labels, miner_of(name, margin), distance)[0], x)
    assert value.item() == pytest.approx(loops(name, x, labels, margin, distance).item(), abs=1e-5)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("trials", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_equals_sentence_transformers_on_healthy_batches(trials):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers.sentence_transformer import losses as peer
    margin, model = 0.3, torch.nn.Module()
    cases = {
        "all": peer.BatchAllTripletLoss(model, margin=margin).batch_all_triplet_loss,
        "hard": peer.BatchHardTripletLoss(model, margin=margin).batch_hard_triplet_loss,
        "semi": peer.BatchSemiHardTripletLoss(model, margin=margin).batch_semi_hard_triplet_loss,
        "soft": peer.BatchHardSoftMarginTripletLoss(model).batch_hard_triplet_soft_margin_loss,
    }
    random = torch.Generator().manual_seed(0)
    for trial in range(trials):
        per_label = 2 + trial % 4
        labels = torch.arange(2 + trial % 5).repeat_interleave(per_label)
        labels = labels[torch.randperm(len(labels), generator=random)]
        double = trial % 2 == 0
        x = torch.randn(len(labels), 9, dtype=torch.float64 if double else torch.float32, generator=random)
        x = torch.nn.functional.normalize(x, dim=1)
        for name, loss in cases.items():
            wanted = with_gradient(partial(loss, labels), x)
            got = with_gradient(lambda e, n=name, y=labels: batch_loss(e, y, miner_of(n, margin))[0], x)
            assert_same(got, wanted, 1e-10 if double else 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("distance", DISTANCES)
def test_anchors_that_are_no_candidates(name, distance):
    """The loss of anchors without a column of their own is that of all their pairs; other anchors skip themselves."""
    random = torch.Generator().manual_seed(5)
    for trial in range(30):
        candidates = torch.randn(9, 4, dtype=torch.float64, generator=random)
        labels = torch.randint(0, 3, (9,), generator=random)
        own = torch.where(torch.rand(9, generator=random) < 0.5, torch.arange(9), -1)
        strangers = torch.randn(9, 4, dtype=torch.float64, generator=random)
        anchors = torch.where((own >= 0).unsqueeze(1), candidates, strangers)
        if trial % 2:
            anchors[own < 0] = candidates[own < 0]  # a stranger that equals a candidate
        x = [anchors.requires_grad_(), candidates.requires_grad_()]
        anchor_labels = torch.where(own >= 0, labels, torch.randint(0, 4, (9,), generator=random))
        wanted = strangers_by_loops(name, x[0], anchor_labels, own, x[1], labels, distance)
        gradients = torch.autograd.grad(wanted, x) if not trial % 2 else ()
        for rows in (1, 3, 256):
            got = batch_loss(
                x[1],
                labels,
                miner_of(name, 0.4),
                distance,
                anchors=Anchors(x[0], anchor_labels, own),
                block_rows=rows,
            )[0]
            assert got.item() == pytest.approx(wanted.item(), abs=1e-9), rows
            if gradients:
                for one, other in zip(torch.autograd.grad(got, x), gradients, strict=True):
                    torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


def strangers_by_loops(name, anchors, anchor_labels, own, candidates, labels, distance) -> Tensor:
    """The losses by their formulas, with anchors apart from the candidates and a margin of 0.4."""
    d, terms = distances.matrix(anchors, candidates, distance), []
    for a in range(len(anchors)):
        positives = [d[a, p] for p in range(len(labels)) if labels[p] == anchor_labels[a] and p != own[a]]
        negatives = [d[a, n] for n in range(len(labels)) if labels[n] != anchor_labels[a]]
        if not positives or not negatives:
            continue
        if name in ("hard", "soft"):
            gap = max(positives) - min(negatives)
            terms.append(torch.nn.functional.softplus(gap) if name == "soft" else (gap + 0.4).relu())
        elif name == "all":
            terms += [p - n + 0.4 for p in positives for n in negatives if p - n + 0.4 > 0]
        else:
            for p in positives:
                farther = [n for n in negatives if n > p]
                terms.append((p - (min(farther) if farther else max(negatives)) + 0.4).relu())
    return torch.stack(terms).mean() if terms else d.sum() * 0


@pytest.mark.parametrize("name", NAMES)
def test_all_algorithms_give_the_same(name, monkeypatch):
    labels = torch.arange(24) % 5
    x = torch.randn(24, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    run = partial(with_gradient, lambda e: batch_loss(e, labels, miner_of(name, 1.0))[0], x)
    wanted = run()
    monkeypatch.setattr(kernels, "CACHED_DISTANCES", 50)  # two rows at a time
    assert_same(run(), wanted, 1e-12)
    monkeypatch.setattr(kernels, "MAX_PASSES_TO_COUNT", 0)  # search and sort
    monkeypatch.setattr(kernels, "MAX_PASSES_TO_SEARCH", 0)
    assert_same(run(), wanted, 1e-12)
    monkeypatch.setattr(matrix_product_source, "SMALL_BATCH", 0)  # lists of pairs instead of products
    monkeypatch.setattr(matrix_product_source, "SPARSE_FRACTION", 1.0)
    monkeypatch.setattr(matrix_product_source, "MAX_LISTED_PAIRS", 10)
    assert_same(run(), wanted, 1e-12)
    monkeypatch.setattr(matrix_product_source, "CLOSE_RATIO", 1e9)  # all pairs from differences, listed …
    assert_same(run(), wanted, 1e-12)
    monkeypatch.setattr(matrix_product_source, "PAIRS_PER_CHUNK", 16)  # … and as a block
    assert_same(run(), wanted, 1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("distance", DISTANCES)
def test_anchors_apart_from_candidates(name, distance):
    """Anchors that are part of the batch: losses and gradients of the parts add up to those of the batch."""
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])
    x = torch.randn(10, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    miner = miner_of(name, 2.0)
    wanted, gradient = with_gradient(lambda e: batch_loss(e, labels, miner, distance)[0], x)
    total, weight, summed = torch.zeros(()), 0, torch.zeros_like(x)
    for rows in (torch.arange(0, 4), torch.arange(4, 10)):
        leaf = x.clone().requires_grad_()
        anchors = Anchors(leaf[rows], labels[rows], rows)
        loss, stats = batch_loss(leaf, labels, miner, distance, anchors=anchors, with_stats=True)
        number = stats.active_triplets if name == "all" else stats.mined_triplets
        (number * loss).backward()
        total, weight, summed = total + number * loss.detach(), weight + number, summed + leaf.grad
    assert_same((total / weight, summed / weight), (wanted, gradient), 1e-12)
    strangers = Anchors(x[:3] + 0.01, labels[:3], torch.full((3,), -1))
    _, stats = batch_loss(x, labels, miner, distance, anchors=strangers, with_stats=True)
    assert (stats.anchors, stats.valid_triplets) == (3, 3 * 3 * 7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("labels", [[0], [0, 0, 0], [0, 1, 2], [5, 9]])
def test_no_triplet_is_zero_loss_and_zero_gradient(name, distance, labels):
    x = torch.randn(len(labels), 3)
    value, gradient = with_gradient(lambda e: batch_loss(e, torch.tensor(labels), miner_of(name, 1.0), distance)[0], x)
    assert value == 0
    assert not gradient.any()
