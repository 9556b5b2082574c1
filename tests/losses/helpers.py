"""The four batch losses side by side: ours, the plain loops, and sentence-transformers'."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from sentence_transformers.sentence_transformer import losses as peer
from torch import Tensor, nn

from tercet import catalogue, distances, losses
from tercet.losses import functional, reference
from tercet.losses._engine import engine
from tercet.losses._engine.stats import LossStats
from tercet.losses.miners import Miner

PEER_DISTANCE = {
    "euclidean": peer.BatchHardTripletLossDistanceFunction.euclidean_distance,
    "cosine": peer.BatchHardTripletLossDistanceFunction.cosine_distance,
}


@dataclass(frozen=True)
class Variant:
    """One loss in all its forms."""

    ours: Callable[..., Tensor]
    loops: Callable[..., Tensor]
    module: type[nn.Module]
    peer: type[nn.Module]
    has_margin: bool = True

    def options(self, margin: float) -> dict[str, float]:
        return {"margin": margin} if self.has_margin else {}

    def value(self, embeddings: Tensor, labels: Tensor, distance: str = "euclidean", margin: float = 0.5) -> Tensor:
        return self.ours(embeddings, labels, distance=distance, **self.options(margin))

    def reference(self, embeddings: Tensor, labels: Tensor, distance: str = "euclidean", margin: float = 0.5) -> Tensor:
        d = distances.matrix(embeddings, embeddings, distance)
        return self.loops(d, labels.tolist(), **self.options(margin))

    def peer_value(
        self, embeddings: Tensor, labels: Tensor, distance: str = "euclidean", margin: float = 0.5
    ) -> Tensor:
        loss = self.peer(nn.Identity(), distance_metric=PEER_DISTANCE[distance], **self.options(margin))
        return loss.compute_loss_from_embeddings([embeddings], labels)


VARIANTS = {
    "all": Variant(
        functional.batch_all_triplet_loss, reference.batch_all, losses.BatchAllTripletLoss, peer.BatchAllTripletLoss
    ),
    "hard": Variant(
        functional.batch_hard_triplet_loss, reference.batch_hard, losses.BatchHardTripletLoss, peer.BatchHardTripletLoss
    ),
    "semi-hard": Variant(
        functional.batch_semi_hard_triplet_loss,
        reference.batch_semi_hard,
        losses.BatchSemiHardTripletLoss,
        peer.BatchSemiHardTripletLoss,
    ),
    "soft-margin": Variant(
        functional.batch_hard_soft_margin_triplet_loss,
        reference.batch_hard_soft_margin,
        losses.BatchHardSoftMarginTripletLoss,
        peer.BatchHardSoftMarginTripletLoss,
        has_margin=False,
    ),
}


def batch_loss(
    embeddings: Tensor,
    labels: Tensor,
    miner: Miner,
    distance: distances.DistanceLike = "euclidean",
    *,
    with_stats: bool = False,
    **options: Any,
) -> tuple[Tensor, LossStats | None]:
    """The loss of the engine, and its statistics as numbers if `with_stats` is True."""
    loss, stats = engine.batch_loss_with_pending_stats(
        embeddings, labels, miner, distance, with_stats=with_stats, **options
    )
    return loss, None if stats is None else stats.read()


def gradient(loss: Tensor, embeddings: Tensor) -> Tensor:
    return torch.autograd.grad(loss, embeddings)[0]


def healthy_batch(seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Embeddings and labels of a batch in which every anchor has a positive and a negative."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(2, 6, (int(torch.randint(2, 6, (), generator=generator)),), generator=generator)
    labels = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
    labels = labels[torch.randperm(len(labels), generator=generator)]
    embeddings = torch.randn(len(labels), 6, dtype=dtype, generator=generator)
    return embeddings.requires_grad_(), labels


class Chebyshev(distances.Distance):
    """max |xᵢ − yᵢ|, a distance from outside of Tercet."""

    name = "chebyshev"
    non_negative = True

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        return (x - y).abs().amax(1)

    def matrix(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.cdist(x, y, p=math.inf)


@contextmanager
def registered_distance(distance: distances.Distance) -> Iterator[distances.Distance]:
    """Register a distance in the catalogue while the block runs."""
    catalogue.DISTANCES.register(
        catalogue.DistanceSpec(name=distance.name, distance=distance, summary="a distance of a test")
    )
    try:
        yield distance
    finally:
        catalogue.DISTANCES.unregister(distance.name)
