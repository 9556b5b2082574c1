"""The four batch losses, one miner each."""

from typing import Any

from torch import Tensor, nn

from tercet.distances import DistanceLike
from tercet.losses import miners
from tercet.losses._peer_names import TripletMasks
from tercet.losses.functional.labels import Labels
from tercet.losses.miners import Miner
from tercet.losses.modules.base import BaseLoss
from tercet.losses.modules.batch import BatchLoss, _single_tensor


class BatchAllTripletLoss(BatchLoss):
    """The mean loss over all active triplets of the batch, see `functional.batch_all_triplet_loss`.

    Example:
        >>> import torch
        >>> from tercet.losses import BatchAllTripletLoss
        >>> loss = BatchAllTripletLoss(margin=1.0)
        >>> loss.compute_loss_from_embeddings(torch.tensor([[0.0], [1.0], [1.5]]), labels=[0, 0, 1])
        tensor(1.)
    """

    _peer_method = "batch_all_triplet_loss"

    def batch_all_triplet_loss(self, labels: Labels, embeddings: Tensor) -> Tensor:
        """Return the loss of embeddings `(batch, dim)` with labels `(batch,)`, as in sentence-transformers."""
        return self._compute(_single_tensor(embeddings), labels)

    def miner(self) -> Miner:
        return miners.all_triplets(self.margin)


class BatchHardTripletLoss(TripletMasks, BatchLoss):
    """The mean loss over one triplet per anchor, with its farthest positive and its nearest negative.

    See `functional.batch_hard_triplet_loss`.
    """

    _peer_method = "batch_hard_triplet_loss"

    def batch_hard_triplet_loss(self, labels: Labels, embeddings: Tensor) -> Tensor:
        """Return the loss of embeddings `(batch, dim)` with labels `(batch,)`, as in sentence-transformers."""
        return self._compute(_single_tensor(embeddings), labels)

    def miner(self) -> Miner:
        return miners.hard(self.margin)


class BatchSemiHardTripletLoss(BatchLoss):
    """The mean loss over one triplet per anchor and positive, with the nearest negative farther than the positive.

    See `functional.batch_semi_hard_triplet_loss`.
    """

    _peer_method = "batch_semi_hard_triplet_loss"

    def batch_semi_hard_triplet_loss(self, labels: Labels, embeddings: Tensor) -> Tensor:
        """Return the loss of embeddings `(batch, dim)` with labels `(batch,)`, as in sentence-transformers."""
        return self._compute(_single_tensor(embeddings), labels)

    def miner(self) -> Miner:
        return miners.semi_hard(self.margin)


class BatchHardSoftMarginTripletLoss(BatchLoss):
    """The mean of a smooth loss without a margin over the triplets of `BatchHardTripletLoss`.

    See `functional.batch_hard_soft_margin_triplet_loss`.
    """

    has_margin = False

    def __init__(
        self,
        model: nn.Module | None = None,
        distance_metric: DistanceLike = "euclidean",
        *,
        jaccard_weights: bool = False,
    ) -> None:
        super().__init__(model, distance_metric, margin=0.0, jaccard_weights=jaccard_weights)

    _peer_method = "batch_hard_triplet_soft_margin_loss"

    def batch_hard_triplet_soft_margin_loss(self, labels: Labels, embeddings: Tensor) -> Tensor:
        """Return the loss of embeddings `(batch, dim)` with labels `(batch,)`, as in sentence-transformers."""
        return self._compute(_single_tensor(embeddings), labels)

    def miner(self) -> Miner:
        return miners.hard_soft_margin()

    def get_config_dict(self) -> dict[str, Any]:
        return BaseLoss.get_config_dict(self) | self._settings_of_relation()
