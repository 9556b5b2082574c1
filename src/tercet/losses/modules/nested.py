"""The loss of nested labels: the weighted sum of a batch loss over the levels."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from tercet.distances import get_distance
from tercet.errors import EmbeddingError
from tercet.losses._engine.levels import Level
from tercet.losses.functional.nested import levels_of, loss_of_levels
from tercet.losses.modules.base import BaseLoss
from tercet.losses.modules.batch import BatchLoss
from tercet.losses.relations import LabelTree, Relation


class NestedTripletLoss(BatchLoss):
    """The weighted sum, over the levels of nested labels, of a batch loss of the labels of that level.

    The distances are computed once for all levels. `stats` are those of the finest level. See
    `functional.nested_triplet_loss`.

    Args:
        model: as in `BatchLoss`.
        losses: the batch loss of each level, the coarsest first. A finer level needs a smaller margin. The losses have
            the same distance, and their own `model` is not used.
        paths: the path of each label, such as `("billing", "refund")`; the position is the label id.
        weights: the factor of each level; None takes those of `functional.nested_triplet_loss`.

    Raises:
        EmbeddingError: the number of losses or weights is not the number of levels, or the losses have several
            distances.

    Example:
        >>> import torch
        >>> from tercet.losses import BatchHardTripletLoss, NestedTripletLoss
        >>> paths = [("billing", "refund"), ("billing", "card"), ("account",)]
        >>> loss = NestedTripletLoss(None, [BatchHardTripletLoss(margin=2.0), BatchHardTripletLoss(margin=1.0)], paths)
        >>> loss.compute_loss_from_embeddings(torch.tensor([[0.0], [1.0], [1.5], [6.0]]), labels=[0, 0, 1, 2])
        tensor(0.8571)
    """

    def __init__(
        self,
        model: nn.Module | None,
        losses: Sequence[BatchLoss],
        paths: Sequence[Sequence[str]],
        weights: Sequence[float] | None = None,
    ) -> None:
        if not losses or len({get_distance(loss.distance_metric).name for loss in losses}) > 1:
            raise EmbeddingError("the losses of the levels must have one distance; pass at least one loss")
        super().__init__(model, losses[0].distance_metric, losses[0].margin)
        self.tree, self.losses, self.weights = LabelTree(paths), list(losses), weights
        self.has_margin = losses[0].has_margin
        self.relation = self.tree.levels()[0]
        self._levels()  # Raises for a wrong number of losses or weights.

    def _levels(self) -> list[Level]:
        return levels_of(self.tree, [loss.miner() for loss in self.losses], self.weights)

    def _mine(self, embeddings: Tensor, labels: Tensor, relation: Relation, **options: Any) -> Tensor:
        loss, stats = loss_of_levels(
            embeddings, labels, self._levels(), self.distance_metric, with_stats=self.collect_stats, **options
        )
        self._set_stats(stats[-1] if stats else None)
        return loss

    def _has_triplet(self, labels: Tensor, relation: Relation) -> bool:
        return any(len(level.group(labels)) for level in self.tree.levels()) or super()._has_triplet(labels, relation)

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings of the loss, for the model card; margins and weights are those of the levels."""
        settings = BaseLoss.get_config_dict(self)
        if self.has_margin:
            settings["margin"] = [loss.margin for loss in self.losses]
        if self.weights is not None:
            settings["weights"] = [float(weight) for weight in self.weights]
        return {
            **settings,
            "levels": len(self.tree),
            "loss_of_each_level": [type(loss).__name__ for loss in self.losses],
        }
