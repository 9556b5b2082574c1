"""The names that scripts and subclasses written for sentence-transformers use."""

import copy
import pickle

import pytest
import torch
from sentence_transformers.sentence_transformer import losses as peer
from torch import nn

from tercet import losses
from tercet.errors import EmbeddingError
from tests.losses.helpers import healthy_batch

PAIRS = [
    (losses.BatchAllTripletLoss, "batch_all_triplet_loss"),
    (losses.BatchHardTripletLoss, "batch_hard_triplet_loss"),
    (losses.BatchSemiHardTripletLoss, "batch_semi_hard_triplet_loss"),
    (losses.BatchHardSoftMarginTripletLoss, "batch_hard_triplet_soft_margin_loss"),
]


@pytest.fixture
def batch():
    x, labels = healthy_batch(5, torch.float32)
    return x.detach(), labels


@pytest.mark.parametrize("loss", [losses.BatchHardTripletLoss, losses.TripletLoss])
def test_triplet_margin_is_the_margin(loss, batch):
    x, labels = batch
    columns = [x, x.flip(0), x.roll(1, 0)] if loss is losses.TripletLoss else [x]
    made = loss(None, "euclidean", 0.3)
    assert made.triplet_margin == 0.3
    made.triplet_margin = 2.0
    assert made.margin == 2.0
    expected = loss(None, "euclidean", 2.0).compute_loss_from_embeddings(columns, labels)
    assert torch.equal(made.compute_loss_from_embeddings(columns, labels), expected)
    with pytest.raises(EmbeddingError, match="the margin must be a finite number of at least 0, got -1"):
        made.triplet_margin = -1
    with pytest.raises(EmbeddingError, match="BatchHardSoftMarginTripletLoss has no margin"):
        losses.BatchHardSoftMarginTripletLoss().triplet_margin = 0.3


def test_the_model_is_the_sentence_embedder():
    first, second = nn.Linear(1, 1), nn.Linear(2, 2)
    loss = losses.BatchAllTripletLoss(first)
    assert loss.sentence_embedder is first
    loss.sentence_embedder = second
    assert loss.model is loss.sentence_embedder is second
    assert [name for name, _ in loss.named_children()] == ["model"]


@pytest.mark.parametrize(("loss", "method"), PAIRS)
def test_a_subclass_may_call_and_override_the_method_of_the_peer(loss, method, batch):
    x, labels = batch
    plain = loss()
    assert torch.equal(getattr(plain, method)(labels, x), plain.compute_loss_from_embeddings([x], labels))

    def doubled(self, labels, embeddings):
        return 2 * getattr(loss, method)(self, labels, embeddings)

    own = type("Own", (loss,), {method: doubled})()
    assert float(own.compute_loss_from_embeddings([x], labels)) == pytest.approx(
        2 * float(getattr(plain, method)(labels, x))
    )
    with pytest.raises(EmbeddingError, match=f"Own overrides {method}, which has no argument for a cross-batch memory"):
        own.compute_loss_from_embeddings([x], labels, losses.CrossBatchMemory(4, x.shape[1]))


@pytest.mark.parametrize("name", ["cosine_distance", "euclidean_distance", "eucledian_distance"])
def test_a_distance_of_the_batch_losses_is_a_name_and_a_function(name, batch):
    x, labels = batch
    distance = getattr(losses.BatchHardTripletLossDistanceFunction, name)
    torch.testing.assert_close(
        distance(x), getattr(peer.BatchHardTripletLossDistanceFunction, name)(x), rtol=1e-4, atol=1e-4
    )
    loss = losses.BatchAllTripletLoss(None, distance, 1.0)
    assert torch.equal(loss.distance_metric(x), distance(x))
    named = losses.BatchAllTripletLoss(None, str(distance), 1.0)
    assert torch.equal(loss.compute_loss_from_embeddings([x], labels), named.compute_loss_from_embeddings([x], labels))
    assert type(loss.get_config_dict()["distance_metric"]) is str
    if name != "cosine_distance":
        torch.testing.assert_close(distance(x, squared=True), distance(x).square())


@pytest.mark.parametrize("metric", list(losses.TripletDistanceMetric))
def test_a_distance_of_the_triplet_loss_is_a_name_and_a_function(metric, batch):
    x, _ = batch
    y = x.flip(0)
    torch.testing.assert_close(
        metric(x, y), getattr(peer.TripletDistanceMetric, metric.name)(x, y), rtol=1e-4, atol=1e-4
    )
    assert torch.equal(losses.TripletLoss(None, metric).distance_metric(x, y), metric(x, y))


def test_the_masks_are_those_of_the_peer():
    labels = torch.tensor([0, 1, 0, 2, 1, 0])
    for name in ("get_triplet_mask", "get_anchor_positive_triplet_mask", "get_anchor_negative_triplet_mask"):
        assert torch.equal(
            getattr(losses.BatchHardTripletLoss, name)(labels), getattr(peer.BatchHardTripletLoss, name)(labels)
        )


def test_a_loss_prints_its_distance_and_margin_and_cites_its_paper():
    loss = losses.BatchHardTripletLoss(
        nn.Linear(1, 1), losses.BatchHardTripletLossDistanceFunction.cosine_distance, 0.3
    )
    for copied in (loss, copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert repr(copied) == "BatchHardTripletLoss(distance_metric='cosine', margin=0.3)"
    assert (
        repr(losses.BatchHardSoftMarginTripletLoss()) == "BatchHardSoftMarginTripletLoss(distance_metric='euclidean')"
    )
    assert repr(losses.TripletLoss()) == "TripletLoss(distance_metric='euclidean', margin=5)"
    assert "In Defense of the Triplet Loss" in loss.citation


def test_a_matryoshka_loss_checks_its_dimensions_and_prints_them(batch):
    x, labels = batch
    inner = losses.BatchSemiHardTripletLoss(margin=0.3)
    loss = losses.MatryoshkaLoss(None, inner, [2, x.shape[1]], [1.0, 0.5])
    assert repr(loss) == f"MatryoshkaLoss({inner!r}, matryoshka_dims=[{x.shape[1]}, 2])"
    loss.collect_stats = True
    parts = [
        inner.compute_loss_from_embeddings(nn.functional.normalize(x[:, :size]), labels) for size in (x.shape[1], 2)
    ]
    torch.testing.assert_close(loss.compute_loss_from_embeddings([x], labels), 0.5 * parts[0] + parts[1])
    assert loss.stats.anchors == len(x)
    for arguments, message in (
        ((peer.BatchAllTripletLoss(None), [2]), "MatryoshkaLoss needs a loss of Tercet, got BatchAllTripletLoss"),
        ((inner, []), r"matryoshka_dims must be numbers of at least 1, with one weight each; got \[\] and None"),
        ((inner, [2, 1], [1.0]), "with one weight each"),
    ):
        with pytest.raises(EmbeddingError, match=message):
            losses.MatryoshkaLoss(None, *arguments)
    with pytest.raises(EmbeddingError, match="matryoshka_dims has 99, but the embeddings have"):
        losses.MatryoshkaLoss(None, inner, [99]).compute_loss_from_embeddings([x], labels)
    with pytest.raises(EmbeddingError, match="this loss has no model"):
        loss([{}], labels)
