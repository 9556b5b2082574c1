"""Gradients, precision, autocast and statistics of the loss engine."""

import pytest
import torch
from torch import Tensor

from tercet import distances
from tercet.errors import EmbeddingError
from tercet.losses import functional, miners
from tercet.losses._engine import matrix_product_source
from tests.losses.engine_cases import DISTANCES, NAMES, assert_same, dense, loops, miner_of, with_gradient
from tests.losses.helpers import batch_loss


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("distance", DISTANCES)
def test_gradcheck_away_from_kinks(name, distance):
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 3])
    x = torch.randn(8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(11), requires_grad=True)
    assert torch.autograd.gradcheck(lambda e: batch_loss(e, labels, miner_of(name, 0.9), distance)[0], (x,))


def test_distances_are_right_near_collapse():
    """Unit vectors 1e-4 apart around points far from each other, and all around one point."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(32) % 4  # the close ones are negatives
    for spread in (1.0, 0.0):
        base = torch.nn.functional.normalize(torch.randn(8, 64, dtype=torch.float64, generator=random), dim=1)
        base = base[:1] + spread * (base - base[:1])
        x = (
            base.repeat_interleave(4, 0) + 1e-4 / 8 * torch.randn(32, 64, dtype=torch.float64, generator=random)
        ).float()
        for distance in ("euclidean", "cosine"):
            got = with_gradient(lambda e, d=distance: batch_loss(e, labels, miners.hard_soft_margin(), d)[0], x)
            exact = with_gradient(lambda e, d=distance: dense("soft", e, labels, 0, d), x.double())
            assert_same(got, exact, 1e-4)
            stats = batch_loss(x, labels, miners.hard(0.1), distance, with_stats=True)[1]
            truth = distances.matrix(x.double(), x.double(), distance)
            nearest = truth.masked_fill(labels.unsqueeze(1) == labels, torch.inf).amin(1).mean().item()
            assert stats.mean_hardest_negative_distance == pytest.approx(nearest, rel=1e-3)


def test_distance_zero_has_gradient_zero():
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    for name in NAMES:
        for distance in DISTANCES:
            _, gradient = with_gradient(
                lambda e, n=name, d=distance: batch_loss(e, torch.tensor([0, 0, 1, 1]), miner_of(n, 1.0), d)[0],
                x,
            )
            assert not gradient.any()


def test_rows_of_zeros_have_cosine_zero_to_everything():
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 1])
    for name in NAMES:
        got = with_gradient(lambda e, n=name: batch_loss(e, labels, miner_of(n, 0.5), "cosine")[0], x)
        assert got[0].item() == pytest.approx(loops(name, x, labels, 0.5, "cosine").item())
        assert got[1].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NAMES)
def test_error_in_low_precision_is_at_most_that_of_the_plain_formula(dtype, name):
    labels = torch.arange(48) // 4
    x = torch.nn.functional.normalize(torch.randn(48, 32, generator=torch.Generator().manual_seed(2)), dim=1).to(dtype)
    exact = with_gradient(lambda e: dense(name, e, labels, 0.3, "euclidean"), x.double())

    def plain(e: Tensor) -> Tensor:
        d = (e.square().sum(1, keepdim=True) + e.square().sum(1) - 2 * e @ e.T).clamp(min=1e-3).sqrt()
        return dense(name, d, labels, 0.3, lambda matrix: matrix)

    got, naive = (
        with_gradient(lambda e: batch_loss(e, labels, miner_of(name, 0.3))[0], x),
        with_gradient(plain, x),
    )
    assert got[0].dtype == torch.float32
    assert got[1].dtype == dtype
    for ours, theirs, truth in zip(got, naive, exact, strict=True):
        assert (ours.double() - truth).norm() <= (theirs.double() - truth).norm()


def test_distances_are_computed_outside_autocast():
    labels = torch.arange(12) // 3
    x = torch.randn(12, 8)
    for name in NAMES:
        loss = lambda e, n=name: batch_loss(e, labels, miner_of(n, 1.0))[0]  # noqa: E731
        wanted = with_gradient(loss, x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert_same(with_gradient(loss, x), wanted, 0)


def test_the_users_choice_of_precision_is_restored():
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        functional.batch_all_triplet_loss(torch.randn(4, 3), [0, 0, 1, 1])
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_second_derivative_is_an_error():
    x = torch.randn(6, 3, requires_grad=True)
    loss = functional.batch_hard_triplet_loss(x, [0, 0, 1, 1, 2, 2])
    with pytest.raises(EmbeddingError, match="cannot be differentiated twice"):
        torch.autograd.grad(loss, x, create_graph=True)


def test_backward_scales_and_no_gradient_is_computed_without_need(monkeypatch):
    x, labels = torch.randn(6, 3, requires_grad=True), torch.tensor([0, 0, 1, 1, 2, 2])
    loss = functional.batch_all_triplet_loss(x, labels)
    (one,) = torch.autograd.grad(loss, x, retain_graph=True)
    (three,) = torch.autograd.grad(3 * loss, x)
    assert torch.allclose(three, 3 * one)
    monkeypatch.setattr(
        matrix_product_source.MatrixProductSource, "add_weights", lambda *_: pytest.fail("a gradient was computed")
    )
    assert not functional.batch_all_triplet_loss(x.detach(), labels).requires_grad
    with torch.no_grad():
        assert not functional.batch_all_triplet_loss(x, labels).requires_grad


@pytest.mark.parametrize("distance", DISTANCES)
def test_stats(distance):
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    x = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    d = distances.matrix(x, x, distance)
    triplets = [
        (a, p, n)
        for a in range(6)
        for p in range(6)
        for n in range(6)
        if a != p and labels[a] == labels[p] != labels[n]
    ]
    active = sum(bool(d[a, p] - d[a, n] + 0.5 > 0) for a, p, n in triplets)
    assert 0 < active < len(triplets)
    pairs = {(a, p) for a, p, _ in triplets}
    negatives = {(a, n) for a, _, n in triplets}
    chosen = {"all": len(triplets), "semi": 8, "hard": 5, "soft": 5}
    for name in NAMES:
        miner = miner_of(name, 0.5)
        loss, got = functional.batch_loss_with_stats(x, labels, miner, distance)
        assert loss == functional.loss_with_miner(x, labels, miner, distance)[0]
        assert (got.anchors, got.valid_triplets, got.mined_triplets) == (5, len(triplets), chosen[name])
        if name == "all":
            assert got.active_triplets == active
        assert got.mean_positive_distance == pytest.approx(sum(d[pair].item() for pair in pairs) / 8)
        assert got.mean_negative_distance == pytest.approx(sum(d[pair].item() for pair in negatives) / len(negatives))
        hardest = [max(d[a, p].item() for b, p in pairs if a == b) for a in range(5)]
        assert got.mean_hardest_positive_distance == pytest.approx(sum(hardest) / 5)
        nearest = [min(d[a, n].item() for b, n in negatives if a == b) for a in range(5)]
        assert got.mean_hardest_negative_distance == pytest.approx(sum(nearest) / 5)
    nothing = functional.batch_loss_with_stats(x, torch.zeros(6, dtype=torch.long), miner, distance)[1]
    assert (nothing.anchors, nothing.active_triplets) == (0, 0)
    assert nothing.mean_positive_distance != nothing.mean_positive_distance
