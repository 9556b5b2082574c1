"""The loss of given triplets."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tercet import distances
from tercet._distributed import world_size
from tercet._gather import all_reduce_sum, is_distributed_batch
from tercet.distances import DistanceLike, as_embeddings, get_distance, norms_fit
from tercet.errors import EmbeddingError
from tercet.losses._engine.stats import PendingStats, exact_dtype
from tercet.losses._peer_names import PairDistance
from tercet.losses.functional.labels import Labels
from tercet.losses.functional.triplets import checked_triplet_loss, triplet_loss
from tercet.losses.modules.base import BaseLoss, Features


class TripletLoss(BaseLoss):
    """The mean loss over given triplets, which are three columns of sentences. See `functional.triplet_loss`.

    Args:
        model: as in `BatchLoss`.
        distance_metric: the name of a distance, a `tercet.distances.Distance`, or a function that maps two tensors
            `x` `(batch, dim)` and `y` `(batch, dim)` to the distances `(batch,)` of each row of `x` to the same row of
            `y`.
        triplet_margin: the margin, in the unit of the distance.
    """

    takes_triplets = True
    _callable_name = PairDistance

    def __init__(
        self, model: nn.Module | None = None, distance_metric: DistanceLike = "euclidean", triplet_margin: float = 5.0
    ) -> None:
        super().__init__(model, distance_metric, triplet_margin)

    def forward(self, sentence_features: Iterable[Features], labels: Labels | None = None) -> Tensor:
        """Embed the columns anchor, positive and negative, and return the scalar loss. `labels` is ignored.

        Raises:
            EmbeddingError: the loss has no model, or cannot be computed (see `compute_loss_from_embeddings`).
        """
        return self.compute_loss_from_embeddings([self._embed(column) for column in sentence_features])

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Labels | None = None) -> Tensor:
        """Return the scalar loss of the tensors `[anchor, positive, negative]`, each `(batch, dim)`.

        `labels` is ignored.

        Raises:
            EmbeddingError: `embeddings` are not three floating-point tensors `(batch, dim)` of the same shape with at
                least one row, a value is NaN or infinite, or a distance function returns the wrong shape.
        """
        if len(embeddings) != 3:
            raise EmbeddingError(
                f"TripletLoss takes three columns (anchor, positive and negative), got {len(embeddings)} column(s)"
            )
        anchor, positive, negative = (as_embeddings(part) for part in embeddings)
        parts, same_shape = (anchor, positive, negative), anchor.shape == positive.shape == negative.shape
        defers = self.defer_checks and self._margin_checked and self.collect_stats and same_shape
        if defers:
            loss = checked_triplet_loss(*parts, self.margin, get_distance(self.distance_metric))
        else:
            loss = triplet_loss(*parts, margin=self.margin, distance=self.distance_metric)
        if not self._margin_checked:
            measure = partial(self._measure, anchor.detach(), positive.detach(), negative.detach())
            self._check_margin(anchor, loss, measure, has_triplet=True)
        if self.collect_stats:
            stats = self._count(anchor.detach(), positive.detach(), negative.detach())
            self._set_stats(replace(stats, is_valid=self._are_valid(parts)) if defers else stats)
        if not is_distributed_batch(anchor):
            return loss
        # Return the mean over the triplets of all processes. Their numbers of triplets may differ.
        num_triplets = torch.tensor(float(len(anchor)), device=anchor.device)
        local_loss = loss * len(anchor) / all_reduce_sum(num_triplets)
        return local_loss * world_size() + (all_reduce_sum(local_loss) - local_loss.detach() * world_size())

    def _are_valid(self, parts: Sequence[Tensor]) -> Tensor:
        metric = get_distance(self.distance_metric)
        return torch.stack([norms_fit(part, metric) for part in parts]).all()

    def _measure(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
        """Return d(a,n), and d(a,n) − d(a,p), of the triplets."""
        metric = get_distance(self.distance_metric)
        to_positive, to_negative = (distances.checked_pairs(anchor, part, metric) for part in (positive, negative))
        return to_negative, to_negative - to_positive

    def _count(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> PendingStats:
        """Return the statistics of given triplets. Each anchor has one positive and one negative: also the hardest."""
        metric = get_distance(self.distance_metric)
        to_positive, to_negative = (distances.checked_pairs(anchor, part, metric) for part in (positive, negative))
        active = to_positive - to_negative + self.margin > 0
        sums = [part.sum(dtype=exact_dtype(anchor.device)) for part in (active, to_positive, to_negative)]
        return PendingStats(counts=(len(anchor),) * 5, sums=torch.stack([*sums, *sums[1:]]))

    def get_config_dict(self) -> dict[str, Any]:
        return {**super().get_config_dict(), "triplet_margin": self.margin}
