"""Distances from outside of Tercet, in all batch losses: values and gradients of the plain loops."""

import pytest
import torch

from tercet import distances, losses
from tercet.errors import EmbeddingError
from tercet.evaluation import label_metrics
from tercet.losses import miners
from tests.losses.helpers import VARIANTS, Chebyshev, batch_loss, gradient, healthy_batch, registered_distance

every_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)


class NegativeDotProduct(distances.Distance):
    """A distance below 0 for similar embeddings."""

    name = "negative-dot"

    def pairs(self, x, y):
        return -(x * y).sum(1)

    def matrix(self, x, y):
        return -x @ y.T


class Weighted(distances.MatrixProductDistance):
    """The Euclidean norm after a linear map, by matrix products."""

    name = "weighted"

    def points(self, x):
        return x * torch.arange(1, x.shape[1] + 1, dtype=x.dtype)


class HalfSquared(distances.MatrixProductDistance):
    """Half the squared Euclidean distance, with something to add for rows on one side."""

    name = "half-squared"
    half_squared = True

    def row_offsets(self, points):
        return (points[:, 0] > 0).to(points.dtype)


MINERS = {
    "all": miners.all_triplets(0.3),
    "hard": miners.hard(0.3),
    "semi-hard": miners.semi_hard(0.3),
    "soft-margin": miners.hard_soft_margin(),
}
CUSTOM = [Chebyshev(), NegativeDotProduct(), Weighted(), HalfSquared()]


@every_variant
@pytest.mark.parametrize("distance", CUSTOM, ids=lambda distance: distance.name)
def test_a_registered_distance_has_the_values_and_gradients_of_the_loops(variant, distance):
    with registered_distance(distance):
        for seed in range(10):
            x, labels = healthy_batch(seed)
            labels = torch.where(torch.rand(len(labels)) < 0.2, 100 + torch.arange(len(labels)), labels)
            ours, loops = (f(x, labels, distance.name, 0.5) for f in (variant.value, variant.reference))
            torch.testing.assert_close(ours, loops, rtol=1e-10, atol=1e-12)
            torch.testing.assert_close(gradient(ours, x), gradient(loops, x), rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("name", MINERS)
@pytest.mark.parametrize("distance", [Chebyshev(), NegativeDotProduct()], ids=lambda distance: distance.name)
def test_it_is_computed_in_blocks(name, distance, monkeypatch):
    """No matrix of the complete batch is ever asked for."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(24, 5, dtype=torch.float64, generator=random, requires_grad=True)
    labels = torch.arange(24) % 5
    loops = VARIANTS[name].reference(x, labels, distance, 0.3)
    shapes, matrix = [], type(distance).matrix
    monkeypatch.setattr(
        type(distance), "matrix", lambda self, x, y: shapes.append((len(x), len(y))) or matrix(self, x, y)
    )
    ours, _ = batch_loss(x, labels, MINERS[name], distance, block_rows=10)
    assert shapes == [(10, 24), (10, 24), (4, 24)]
    torch.testing.assert_close(ours, loops)
    torch.testing.assert_close(gradient(ours, x), gradient(loops, x))


@pytest.mark.parametrize("distance", CUSTOM, ids=lambda distance: distance.name)
def test_it_takes_a_cross_batch_memory(distance):
    x, labels = healthy_batch(3)
    memory = losses.CrossBatchMemory(4, x.shape[1]).double()
    memory.add(x[:4] + torch.randn(4, x.shape[1]), labels[:4])
    loss = losses.BatchHardTripletLoss(distance_metric=distance, margin=0.5)
    value = loss.compute_loss_from_embeddings(x, labels, memory)
    candidates, candidate_labels = torch.cat([x, memory.embeddings]), torch.cat([labels, memory.labels])
    same = labels.unsqueeze(1) == candidate_labels
    positive = same & ~torch.eye(len(x), len(candidates), dtype=torch.bool)
    d = distances.matrix(x, candidates, distance)
    farthest = d.masked_fill(~positive, -torch.inf).amax(1)
    nearest = d.masked_fill(same, torch.inf).amin(1)
    expected = (farthest - nearest + 0.5).relu().mean()
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient(value, x), gradient(expected, x))
    assert loss.get_config_dict()["distance_metric"] == distance.name


@pytest.mark.parametrize("distance", CUSTOM, ids=lambda distance: distance.name)
def test_retrieval_metrics_with_a_registered_distance(distance):
    random = torch.Generator().manual_seed(1)
    labels = torch.arange(40) % 5
    x = torch.randn(40, 4, generator=random, dtype=torch.float64) + 2 * torch.eye(5, 4, dtype=torch.float64)[labels]
    d = distances.matrix(x, x, distance).fill_diagonal_(torch.inf)
    hit = labels[d.argmin(1)] == labels
    with registered_distance(distance):
        metrics = label_metrics(x, labels, distance=distance.name)
        assert metrics["recall@1"] == pytest.approx(hit.double().mean().item())
        assert metrics == pytest.approx(label_metrics(x, labels, distance=distance.name, block_bytes=1), abs=1e-9)


def test_a_matrix_of_the_wrong_shape_is_an_error():
    class Broken(Chebyshev):
        def matrix(self, x, y):
            return x[:, :1]

    with pytest.raises(EmbeddingError, match=r"the matrix of the distance 'chebyshev' has shape \(4, 1\), expected"):
        losses.BatchHardTripletLoss(distance_metric=Broken()).compute_loss_from_embeddings(
            torch.randn(4, 3), [0, 0, 1, 1]
        )
