"""The functions against the plain loops and against sentence-transformers, and where the two differ by design."""

import numpy as np
import pandas as pd
import pytest
import torch
from sentence_transformers.sentence_transformer import losses as peer

from tercet.errors import EmbeddingError
from tercet.losses import functional, miners
from tests.losses.helpers import VARIANTS, gradient, healthy_batch

every_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)


@every_variant
@pytest.mark.parametrize("distance", ["euclidean", "cosine", "manhattan"])
@pytest.mark.parametrize("margin", [0.1, 1.0, 5.0])
def test_equal_to_the_plain_loops(variant, distance, margin):
    for seed in range(10):
        x, labels = healthy_batch(seed)
        labels = torch.where(torch.rand(len(labels)) < 0.2, 100 + torch.arange(len(labels)), labels)  # some singletons
        ours, loops = (f(x, labels, distance, margin) for f in (variant.value, variant.reference))
        torch.testing.assert_close(ours, loops, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(gradient(ours, x), gradient(loops, x), rtol=1e-8, atol=1e-11)


@every_variant
@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("margin", [0.2, 5.0])
def test_equal_to_sentence_transformers_on_healthy_batches(variant, distance, margin):
    for seed in range(50):
        x, labels = healthy_batch(seed)
        ours, theirs = (f(x, labels, distance, margin) for f in (variant.value, variant.peer_value))
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(gradient(ours, x), gradient(theirs, x), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("distance", ["COSINE", "EUCLIDEAN", "MANHATTAN"])
def test_triplet_loss_equal_to_sentence_transformers(distance):
    x = torch.randn(3, 8, 5, dtype=torch.float64, requires_grad=True)
    metric = getattr(peer.TripletDistanceMetric, distance)
    theirs = peer.TripletLoss(None, distance_metric=metric, triplet_margin=0.7).compute_loss_from_embeddings(
        list(x), None
    )
    ours = functional.triplet_loss(*x, margin=0.7, distance=distance.lower())
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient(ours, x), gradient(theirs, x))


@every_variant
def test_gradcheck(variant):
    for seed in (1, 2):
        x, labels = healthy_batch(seed)
        assert torch.autograd.gradcheck(lambda x, labels=labels: variant.value(x, labels), x)


@every_variant
@pytest.mark.parametrize("labels", [[3, 3, 3, 3], [0, 1, 2, 3], [7]], ids=["one label", "no positives", "one sentence"])
def test_a_batch_without_triplets_has_zero_loss_and_gradient(variant, labels):
    x = torch.randn(len(labels), 4, requires_grad=True)
    loss = variant.value(x, torch.tensor(labels), margin=5.0)
    assert loss.item() == 0
    assert torch.equal(gradient(loss, x), torch.zeros_like(x))


@pytest.mark.parametrize("name", ["all", "hard", "soft-margin"])
def test_an_anchor_without_a_positive_gives_no_term(name):
    """sentence-transformers takes d(a,p) = 0 for it in hard mining, which pushes its negatives away."""
    x, labels = healthy_batch(3)
    with_single = torch.cat([x.detach(), torch.full((1, 6), 100.0, dtype=x.dtype)]).requires_grad_()
    loss = VARIANTS[name].value(with_single, torch.cat([labels, torch.tensor([99])]))
    torch.testing.assert_close(loss, VARIANTS[name].value(x, labels))
    assert torch.equal(gradient(loss, with_single)[-1], torch.zeros(6, dtype=x.dtype))


@every_variant
def test_near_collapse_there_is_a_gradient(variant):
    """Four float32 unit vectors 1e-4 apart: the expanded square sees distance 0 and no gradient."""
    base = torch.nn.functional.normalize(torch.randn(1, 384))
    x = torch.nn.functional.normalize(base + 1e-4 * torch.nn.functional.normalize(torch.randn(4, 384)))
    x = x.requires_grad_()
    labels = torch.tensor([0, 0, 1, 1])
    exact = variant.value(x.double(), labels)
    ours = gradient(variant.value(x, labels), x).double()
    assert ours.norm() > 0.1
    torch.testing.assert_close(ours, gradient(exact, x).double(), rtol=1e-2, atol=2e-3)


@every_variant
def test_clear_errors(variant):
    labels = torch.tensor([0, 0, 1, 1])
    with pytest.raises(EmbeddingError, match=r"embeddings must have at least one row, got shape \(0, 3\)"):
        variant.value(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    broken = torch.zeros(4, 3)
    broken[1, 2], broken[3, 0] = torch.nan, torch.inf
    with pytest.raises(EmbeddingError, match=r"NaN or infinite values in row\(s\) 1, 3 of the batch"):
        variant.value(broken, labels)
    with pytest.raises(EmbeddingError, match="got 4 embeddings and 3 labels"):
        variant.value(torch.zeros(4, 3), labels[:3])
    with pytest.raises(EmbeddingError, match=r"must be a floating-point tensor \(batch, dim\)"):
        variant.value(torch.zeros(4), labels)
    with pytest.raises(
        EmbeddingError, match=r"labels, row 3: the label is 0.5 \(float\); labels must be all integers or"
    ):
        variant.value(torch.zeros(4, 3), torch.tensor([0, 0, 1, 0.5]))


@every_variant
def test_labels_may_be_strings_or_any_integers(variant):
    x, labels = healthy_batch(5)
    expected = variant.value(x, labels)
    assert variant.value(x, [f"label {label}" for label in labels.tolist()]) == expected
    assert variant.value(x, labels.tolist()) == expected
    for dtype in (torch.int32, torch.uint8, torch.int16):
        assert variant.value(x, labels.to(dtype)) == expected
    assert variant.value(x, labels * -(2**40)) == expected
    assert variant.value(x, list(labels)) == variant.value(x, labels.numpy()) == expected
    with pytest.raises(EmbeddingError, match=r"labels, row 0: the label is missing \(None\)"):
        variant.value(x, [None] * len(x))
    with pytest.raises(EmbeddingError, match="labels, row 1: the label 'a' is a string, but that of the first row is"):
        variant.value(x, [0, *["a"] * (len(x) - 1)])


@every_variant
def test_embeddings_may_be_an_array_or_nested_lists(variant):
    x, labels = healthy_batch(5, torch.float32)
    x = x.detach()
    expected = variant.value(x, labels)
    assert variant.value(x.numpy(), labels) == variant.value(list(x), labels) == expected
    assert variant.value(x.tolist(), labels).item() == pytest.approx(expected.item(), rel=1e-5)
    with pytest.raises(EmbeddingError, match="rows of numbers of the same length; got list"):
        variant.value([[1.0], [1.0, 2.0]], [0, 0])


@every_variant
@pytest.mark.parametrize("distance", ["euclidean", "cosine", "manhattan"])
@pytest.mark.parametrize("scale", [1e38, 1e25, 1e19])
def test_embeddings_whose_squares_overflow_are_refused(variant, distance, scale):
    x, labels = healthy_batch(5, torch.float32)
    x = x.detach()
    with pytest.raises(EmbeddingError, match=r"values too large in row\(s\) 0, 1"):
        variant.value(x * scale, labels, distance=distance)


@every_variant
@pytest.mark.parametrize(("dtype", "scale"), [(torch.float32, 1e-22), (torch.float32, 1e-40), (torch.float16, 1e-6)])
def test_rows_that_are_too_short_for_a_direction_are_refused(variant, dtype, scale):
    x, labels = healthy_batch(5, torch.float32)
    x = x.detach()
    with pytest.raises(EmbeddingError, match=r"values too small in row\(s\) 0, 1"):
        variant.value((x * scale).to(dtype), labels, distance="cosine")


@every_variant
@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6, 1e16])
def test_large_and_small_embeddings_have_finite_gradients(variant, distance, scale):
    x, labels = healthy_batch(5, torch.float32)
    x = x.detach()
    x = (x * scale).requires_grad_()
    loss = variant.value(x, labels, distance=distance)
    assert loss.isfinite()
    assert gradient(loss, x).isfinite().all()


@every_variant
def test_function_transforms_are_refused(variant):
    x, labels = healthy_batch(5, torch.float32)
    x = x.detach()
    for transform in (torch.func.grad, torch.func.jacrev, torch.func.vmap):
        argument = x.unsqueeze(0) if transform is torch.func.vmap else x
        with pytest.raises(EmbeddingError, match=r"do not support torch.func \(grad, vmap, jacrev\)"):
            transform(lambda x: variant.value(x, labels))(argument)


def test_the_triplet_loss_works_in_function_transforms():
    torch.manual_seed(0)
    triplet = torch.randn(3, 4, 8)
    value = lambda x: functional.triplet_loss(x, triplet[1], triplet[2])  # noqa: E731
    x = triplet[0].clone().requires_grad_()
    torch.testing.assert_close(torch.func.grad(value)(triplet[0]), gradient(value(x), x))
    assert torch.func.vmap(value)(triplet[:1]).shape == (1,)


@pytest.mark.parametrize("margin", [float("nan"), float("inf"), -1, "0.3", None, True, 1e30])
def test_a_margin_must_be_a_finite_number_of_at_least_0(margin):
    x, labels = healthy_batch(5, torch.float32)
    x = x.detach()
    calls = [
        lambda: functional.batch_all_triplet_loss(x, labels, margin=margin),
        lambda: functional.batch_hard_triplet_loss(x, labels, margin=margin),
        lambda: functional.batch_semi_hard_triplet_loss(x, labels, margin=margin),
        lambda: functional.triplet_loss(x, x, x, margin=margin),
        lambda: miners.all_triplets(margin),
        lambda: miners.semi_hard(margin),
        lambda: miners.hard(margin),
    ]
    for call in calls:
        with pytest.raises(EmbeddingError, match="the margin must be"):
            call()


def test_semi_hard_takes_a_strictly_farther_negative():
    """Both negatives are as far as the positive or nearer, so the farthest of them is taken."""
    x = torch.tensor([[0.0], [1.0], [-1.0], [0.5]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 2])
    # Anchor 0, d(p) = 1: negatives at 1 and 0.5, none strictly farther → the farthest, 1. Hinge = margin.
    # Anchor 1, d(p) = 1: negatives at 2 and 0.5 → 2. Hinge = max(0, 1 − 2 + 0.4) = 0.
    loss = functional.batch_semi_hard_triplet_loss(x, labels, margin=0.4)
    assert loss.item() == pytest.approx(0.2)


def test_soft_margin_does_not_overflow():
    x = torch.tensor([[0.0], [1e4], [1.0], [1e4 - 1]], requires_grad=True)
    loss = functional.batch_hard_soft_margin_triplet_loss(x, torch.tensor([0, 0, 1, 1]))
    assert loss.isfinite()
    assert gradient(loss, x).isfinite().all()


def test_triplet_loss_wants_one_shape():
    x = torch.zeros(3, 2)
    with pytest.raises(EmbeddingError, match=r"need the same shape \(batch, dim\), got \(3, 2\), \(3, 2\), \(2, 2\)"):
        functional.triplet_loss(x, x, x[:2])


@every_variant
def test_labels_in_any_container(variant):
    x, labels = healthy_batch(0)
    wanted = variant.value(x, labels, "cosine", 0.3)
    names = [f"label {label}" for label in labels.tolist()]
    same = [np.array(labels.tolist(), dtype=object), np.array(names), pd.Series(names, index=names),
            pd.Categorical(names), iter(names)]  # fmt: skip
    for each in same:
        torch.testing.assert_close(variant.value(x, each, "cosine", 0.3), wanted)
    for wrong in (None, 3):
        with pytest.raises(EmbeddingError, match="labels must be a list with one label per row, got"):
            variant.value(x, wrong, "cosine", 0.3)
    with pytest.raises(EmbeddingError, match="row 0: the label is missing"):
        variant.value(x, np.ma.masked_array(labels.numpy(), mask=np.arange(len(labels)) == 0), "cosine", 0.3)
