"""The engine against the plain loops, the peer, and itself at other block sizes."""

import warnings
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tercet import distances
from tercet.errors import EmbeddingError
from tercet.losses import functional, miners, reference
from tercet.losses._engine import kernels, matrix_product_source
from tercet.losses._engine.inputs import Anchors
from tercet.losses.miners import Miner
from tests.losses.helpers import batch_loss

NAMES = ("all", "hard", "semi", "soft")
DISTANCES = ("euclidean", "cosine", "manhattan")


def miner_of(name: str, margin: float) -> Miner:
    return {
        "all": lambda: miners.all_triplets(margin),
        "hard": lambda: miners.hard(margin),
        "semi": lambda: miners.semi_hard(margin),
        "soft": miners.hard_soft_margin,
    }[name]()


def loops(name: str, x: Tensor, labels: Tensor, margin: float, distance: distances.DistanceLike) -> Tensor:
    d, y = distances.matrix(x, x, distance), labels.tolist()
    if name == "soft":
        return reference.batch_hard_soft_margin(d, y)
    return {"all": reference.batch_all, "hard": reference.batch_hard, "semi": reference.batch_semi_hard}[name](
        d, y, margin
    )


def with_gradient(loss: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().clone().requires_grad_()
    value = loss(x)
    value.backward()
    return value.detach(), x.grad


def assert_same(got: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor], tolerance: float) -> None:
    for one, other in zip(got, wanted, strict=True):
        scale = max(1.0, other.abs().max().item())
        assert (one - other).abs().max().item() <= tolerance * scale


def shifted(x: Tensor) -> Tensor:
    """A distance of the user's own, which may be negative."""
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist") - 1


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


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("few", [0, 1000])
def test_blocks_close_and_far_in_one_batch_of_many_blocks(name, few, monkeypatch):
    """Blocks computed from differences and blocks computed by products add up to the right gradient."""
    labels = torch.arange(24) // 3
    x = torch.randn(24, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    x[6:12] = x[6:7] + 1e-3 * x[6:12]
    wanted = with_gradient(lambda e: dense(name, e, labels, 0.4, "euclidean"), x)
    monkeypatch.setattr(matrix_product_source, "PAIRS_PER_CHUNK", 8)
    monkeypatch.setattr(matrix_product_source, "SMALL_BATCH", few)
    for waiting in (0, matrix_product_source.MAX_WAITING_BYTES):
        monkeypatch.setattr(matrix_product_source, "MAX_WAITING_BYTES", waiting)
        for rows in (3, 5, 6, 24):
            miner = miner_of(name, 0.4)
            got = with_gradient(lambda e, r=rows, f=miner: batch_loss(e, labels, f, block_rows=r)[0], x)
            assert_same(got, wanted, 1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_more_candidates_than_a_few(name):
    """Sizes at which lists, sorts and minima of runs replace what is faster for small batches."""
    for number in (126, 130, 270):
        labels = torch.arange(number) % (number // 2)
        x = torch.randn(number, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(number))
        wanted = with_gradient(lambda e, y=labels: dense(name, e, y, 0.4, "euclidean"), x)
        for rows in (32, 256):
            miner = miner_of(name, 0.4)
            got = with_gradient(lambda e, y=labels, r=rows, f=miner: batch_loss(e, y, f, block_rows=r)[0], x)
            assert_same(got, wanted, 1e-10)


RAGGED = {
    "ragged": [0] * 9 + [1] * 2 + [2] * 5 + [3, 4, 5, 6],
    "interleaved": [0, 1, 2, 0, 1, 0, 3, 0, 2, 0, 2**60, -7, 2**60],
    "wide": [0] * 130 + [1] * 3 + [2, 3],
    "two": [0] * 100 + [1] * 60,
}


@pytest.mark.slow
@pytest.mark.parametrize("labels", RAGGED.values(), ids=RAGGED)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("distance", ["euclidean", "cosine", shifted])
def test_ragged_groups_at_every_block_size(labels, name, distance):
    labels = torch.tensor(labels)
    x = torch.randn(len(labels), 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    wanted = with_gradient(lambda e: dense(name, e, labels, 0.4, distance), x)
    for rows in (1, 7, 1000):
        got = with_gradient(lambda e, r=rows: batch_loss(e, labels, miner_of(name, 0.4), distance, block_rows=r)[0], x)
        assert_same(got, wanted, 1e-10)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rows", [1, 2, 256])
def test_rows_of_zeros_have_the_cosine_distance_1_to_each_other(name, rows, monkeypatch):
    small = torch.tensor([[0.0, 0], [0, 0], [1, 0], [1, 0], [0, 1]]), torch.tensor([0, 0, 1, 1, 2])
    large = torch.randn(300, 8, generator=torch.Generator().manual_seed(0)), torch.arange(300) % 70
    large[0][[3, 73]] = 0
    for x, labels in (small, large):
        for chunk in (matrix_product_source.PAIRS_PER_CHUNK, 0):  # 0 computes blocks with close pairs from differences
            monkeypatch.setattr(matrix_product_source, "PAIRS_PER_CHUNK", chunk or 1)
            monkeypatch.setattr(matrix_product_source, "MAX_CLOSE_FRACTION", 1 / 8 if chunk else 0.0)
            got = batch_loss(x, labels, miner_of(name, 0.3), "cosine", block_rows=rows)[0]
            assert got.item() == pytest.approx(dense(name, x, labels, 0.3, "cosine").item(), abs=1e-5)


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


def dense(name: str, x: Tensor, labels: Tensor, margin: float, distance: distances.DistanceLike) -> Tensor:
    """The loops again, with tensors of all triplets, for batches for which loops take too long."""
    d = distances.matrix(x, x, distance)
    same = labels.unsqueeze(1) == labels
    positive = same & ~torch.eye(len(labels), dtype=torch.bool)
    counted = positive.any(1) & ~same.all(1)
    if name in ("hard", "soft"):
        gap = d.masked_fill(~positive, -torch.inf).amax(1) - d.masked_fill(same, torch.inf).amin(1)
        gap = gap[counted]
        return (torch.nn.functional.softplus(gap) if name == "soft" else (gap + margin).relu()).mean()
    a, p = (positive & counted.unsqueeze(1)).nonzero(as_tuple=True)
    near, far = d[a, p].unsqueeze(1), d[a]
    if name == "all":
        hinge = (near - far + margin).relu() * ~same[a]
        return hinge.sum() / (hinge > 0).sum()
    farther = far.masked_fill(same[a] | (far <= near), torch.inf).amin(1)
    farthest = far.masked_fill(same[a], -torch.inf).amax(1)
    return (near.flatten() - torch.where(farther.isinf(), farthest, farther) + margin).relu().mean()


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


def test_all_searches_find_the_same_negatives(monkeypatch):
    """Distances are multiples of a quarter, so many are equal. Some negatives are masked."""
    generator = torch.Generator().manual_seed(0)
    distances_of_rows = torch.randint(0, 40, (50, 150), generator=generator) / 4
    negatives, positives = distances_of_rows[:, :100].contiguous(), distances_of_rows[:, 100:]
    negatives[torch.rand(50, 100, generator=generator) < 0.3] = torch.finfo(torch.float32).max
    wanted = torch.where(negatives.unsqueeze(1) > positives.unsqueeze(2), negatives.unsqueeze(1), torch.inf).amin(2)
    monkeypatch.setattr(kernels, "CACHED_DISTANCES", 700)  # seven rows at a time
    for max_passes in (100, 0):
        monkeypatch.setattr(kernels, "MAX_PASSES_TO_SEARCH", max_passes)
        for non_negative in (True, False):
            columns, found = kernels.next_farther(negatives, positives, non_negative=non_negative)
            assert torch.equal(found, wanted)
            assert torch.equal(negatives.gather(1, columns), wanted)


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


def test_singletons_beside_one_large_label_cost_no_memory():
    """Singletons have no triplet, so their distances are not computed, and they have no rows in a block."""
    labels = torch.cat([torch.zeros(40, dtype=torch.long), torch.arange(1, 2001)])
    sizes = []
    miner = miners.all_triplets(0.3)
    spy = Miner(lambda block: sizes.append(block.positives.shape) or miner.mine(block), "active")
    batch_loss(torch.randn(2040, 4), labels, spy)
    assert sizes == [(40, 39)]


@pytest.mark.parametrize("name", ["all", "semi"])
@pytest.mark.parametrize("distance", ["euclidean", shifted])
@pytest.mark.parametrize("groups", [[4] * 10, [9, 5, 2, 1, 13], [1, 20], [3, 3]])
def test_a_search_of_all_positives_at_once_equals_the_passes(name, distance, groups, monkeypatch):
    """As on a GPU."""
    labels = torch.repeat_interleave(torch.arange(len(groups)), torch.tensor(groups))
    x = torch.randn(len(labels), 5, dtype=torch.float64)
    if name == "all":  # Equal distances; the semi-hard rule may choose either of two negatives.
        x[::7] = x[0].clone()

    def run():
        return with_gradient(lambda e: batch_loss(e, labels, miner_of(name, 0.4), distance)[0], x)

    expected = run()
    monkeypatch.setattr(kernels, "_compares_at_once", lambda negatives, positives: True)
    assert_same(run(), expected, 1e-12)


def test_weights_are_counted_at_once(monkeypatch):
    negatives, thresholds, weights = torch.rand(6, 9), torch.rand(6, 4), torch.rand(6, 4)
    expected = kernels.count_below(negatives, thresholds, weights)
    monkeypatch.setattr(kernels, "_compares_at_once", lambda negatives, positives: True)
    torch.testing.assert_close(kernels.count_below(negatives, thresholds, weights), expected)
