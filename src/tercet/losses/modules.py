"""The losses as `nn.Module`s: what a trainer holds. The mathematics is in `tercet.losses.functional`.

Names and order of the arguments are those of sentence-transformers, and the classes also run in its
trainer with its models: `model` is the attribute that its trainer replaces by the wrapped model.
Under several processes the embeddings and labels of all ranks are mined as one batch.
"""

import logging
import math
import numbers
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

from tercet import distances
from tercet._distributed import is_first_process, world_size
from tercet._gather import all_reduce_sum, gather_rows, is_distributed_batch
from tercet.distances import DistanceLike, get_distance
from tercet.errors import EmbeddingError
from tercet.losses import functional
from tercet.losses import miners as miners
from tercet.losses._engine.stats import LossStats
from tercet.losses.cross_batch_memory import CrossBatchMemory
from tercet.losses.functional import Labels
from tercet.losses.miners import Miner

logger = logging.getLogger(__name__)

Features = dict[str, Tensor]


class TripletDistanceMetric(str, Enum):
    """The distances by the names that `TripletLoss` has for them in sentence-transformers."""

    COSINE = "cosine"
    EUCLIDEAN = "euclidean"
    MANHATTAN = "manhattan"


class BatchHardTripletLossDistanceFunction:
    """The distances by the names that the batch losses have for them in sentence-transformers."""

    cosine_distance = "cosine"
    euclidean_distance = eucledian_distance = "euclidean"


class _Loss(nn.Module):
    """What the losses share: the model, the distance and the word about a margin out of reach.

    Attributes:
        collect_stats: whether `statistics` is to say what the last batch held; a trainer asks for it.
        statistics: under several processes, of this one's anchors.
        has_margin: whether a triplet is without a loss where the margin is met.
    """

    has_margin = True

    def __init__(self, model: nn.Module | None, distance_metric: DistanceLike, margin: float) -> None:
        super().__init__()
        self.collect_stats = False
        self.statistics: LossStats | None = None
        self.model = model
        distance = distance_metric.value if isinstance(distance_metric, Enum) else distance_metric
        get_distance(distance)  # refuses an unknown name
        self.distance_metric: DistanceLike = distance
        self.margin = _checked_margin(margin)
        self._margin_checked = False

    def reset_warnings(self) -> None:
        """Say again in the next run what is said once in a run."""
        self._margin_checked = False

    def _tell_margin_out_of_reach(self, embeddings: Tensor) -> None:
        """Say once, at the first batch, that no triplet can ever satisfy this margin."""
        if self._margin_checked:
            return
        self._margin_checked = True
        lengths = torch.linalg.vector_norm(embeddings.detach().float(), dim=1)
        unit_length = bool(((lengths - 1).abs() < 1e-2).all())
        bound = get_distance(self.distance_metric).upper_bound(unit_length=unit_length, dim=embeddings.shape[1])
        if self.margin >= bound and is_first_process():
            logger.warning(
                f"margin {self.margin:g} can never be met: the {self.distance_metric} distance of these embeddings"
                f"{' (unit length)' if unit_length else ''} is at most {bound:.3g}, so every triplet stays active. "
                f"Take a margin well below it, such as {bound / 8:.2g}."
            )

    def get_config_dict(self) -> dict[str, Any]:
        """The settings, for the model card."""
        name = self.distance_metric
        return {"distance_metric": name if isinstance(name, str) else getattr(name, "__name__", str(name))}


class BatchLoss(_Loss):
    """A loss that mines its triplets in a batch of labelled sentences."""

    def __init__(
        self, model: nn.Module | None = None, distance_metric: DistanceLike = "euclidean", margin: float = 5.0
    ) -> None:
        super().__init__(model, distance_metric, margin)
        self.batches_without_triplet = 0

    def reset_warnings(self) -> None:
        super().reset_warnings()
        self.batches_without_triplet = 0

    def forward(self, sentence_features: Iterable[Features], labels: Labels) -> Tensor:
        """Embed one column of sentences with `model` and return the loss."""
        columns = list(sentence_features)
        if len(columns) != 1:
            raise EmbeddingError(f"{type(self).__name__} takes one column of sentences, got {len(columns)}")
        return self.compute_loss_from_embeddings([_embed(self.model, columns[0])], labels)

    def compute_loss_from_embeddings(
        self, embeddings: Tensor | Sequence[Tensor], labels: Labels, memory: CrossBatchMemory | None = None
    ) -> Tensor:
        """The loss of embeddings `(batch, dim)`, or a list that holds just them, and labels `(batch,)`.

        Args:
            memory: embeddings of past batches, which are candidates too.
        """
        if not isinstance(embeddings, Tensor):
            (embeddings,) = embeddings
        shared = is_distributed_batch(embeddings)
        if shared and not isinstance(labels, Tensor):
            raise EmbeddingError("under several processes labels must be a tensor of integers, numbered alike on all")
        labels = functional.as_label_tensor(labels, embeddings.device)
        rows = slice(0, len(labels))
        if shared:
            embeddings, labels, rows = gather_rows(embeddings, labels)
        self._tell_margin_out_of_reach(embeddings)
        if memory is not None and len(memory):
            past, labels_of_past = memory.contents()
            embeddings, labels = torch.cat([embeddings, past.to(embeddings)]), torch.cat([labels, labels_of_past])
        loss = self._loss(embeddings, labels, rows, shared=shared)
        if not loss.detach():
            self._tell_no_triplet(labels)
        return loss

    def _loss(self, embeddings: Tensor, labels: Tensor, rows: slice, *, shared: bool) -> Tensor:
        """The loss of all anchors; where they are shared, its gradient is that of this rank's own, the `rows`."""
        if callable(self.distance_metric) and len(labels) != rows.stop - rows.start:
            if not shared:
                raise EmbeddingError("a distance function takes one set of embeddings; name one to use a memory")
            # It gives one square matrix, so every rank mines the whole batch, and its share is one of so many.
            whole = self._mine(embeddings, labels)
            if self.statistics is not None and not is_first_process():  # those of the whole batch, so one has them
                self.statistics = LossStats.of_nothing()
            return whole.detach() + (whole - whole.detach()) / world_size()
        anchors = None if len(labels) == rows.stop - rows.start else rows
        if not shared:
            return self._mine(embeddings, labels, anchors=anchors)
        own = self._mine(embeddings, labels, anchors=rows, reduce_count=all_reduce_sum)
        return own + (all_reduce_sum(own) - own.detach())

    def _mine(self, embeddings: Tensor, labels: Tensor, **options: Any) -> Tensor:
        loss, self.statistics = functional.loss_with_miner(
            embeddings, labels, self._miner(), self.distance_metric, with_stats=self.collect_stats, **options
        )
        return loss

    def _miner(self) -> Miner:
        raise NotImplementedError

    def _tell_no_triplet(self, labels: Tensor) -> None:
        """Count the batches that teach nothing, and say so at the first."""
        if functional.anchors_with_triplet(labels).any():
            return
        self.batches_without_triplet += 1
        if self.batches_without_triplet == 1 and is_first_process():
            logger.warning(
                f"a batch of {len(labels)} sentences and {len(labels.unique())} label(s) holds no triplet "
                "(two sentences of one label and one of another), so its loss is 0; later ones are counted in "
                "batches_without_triplet. Take batch_sampler='group_by_label' or a larger batch."
            )

    def get_config_dict(self) -> dict[str, Any]:
        return {**super().get_config_dict(), "margin": self.margin}


class BatchAllTripletLoss(BatchLoss):
    """All triplets of the batch: `functional.batch_all_triplet_loss`."""

    def _miner(self) -> Miner:
        return miners.all_triplets(self.margin)


class BatchHardTripletLoss(BatchLoss):
    """The farthest positive and the nearest negative of each anchor: `functional.batch_hard_triplet_loss`."""

    def _miner(self) -> Miner:
        return miners.hard(self.margin)


class BatchSemiHardTripletLoss(BatchLoss):
    """The nearest negative beyond each positive: `functional.batch_semi_hard_triplet_loss`."""

    def _miner(self) -> Miner:
        return miners.semi_hard(self.margin)


class BatchHardSoftMarginTripletLoss(BatchLoss):
    """Hard mining without a margin: `functional.batch_hard_soft_margin_triplet_loss`."""

    has_margin = False

    def __init__(self, model: nn.Module | None = None, distance_metric: DistanceLike = "euclidean") -> None:
        super().__init__(model, distance_metric, margin=0.0)

    def _miner(self) -> Miner:
        return miners.hard_soft_margin()

    def get_config_dict(self) -> dict[str, Any]:
        return _Loss.get_config_dict(self)


class TripletLoss(_Loss):
    """Given triplets, three columns of text: `functional.triplet_loss`."""

    def __init__(
        self, model: nn.Module | None = None, distance_metric: DistanceLike = "euclidean", triplet_margin: float = 5.0
    ) -> None:
        super().__init__(model, distance_metric, triplet_margin)

    def forward(self, sentence_features: Iterable[Features], labels: Labels | None = None) -> Tensor:
        """Embed the columns anchor, positive and negative with `model` and return the loss."""
        return self.compute_loss_from_embeddings([_embed(self.model, column) for column in sentence_features])

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Labels | None = None) -> Tensor:
        """The loss of [anchor, positive, negative], each `(batch, dim)`; `labels` are not used."""
        if len(embeddings) != 3:
            raise EmbeddingError(f"TripletLoss takes anchor, positive and negative, got {len(embeddings)} column(s)")
        anchor, positive, negative = embeddings
        loss = functional.triplet_loss(anchor, positive, negative, margin=self.margin, distance=self.distance_metric)
        self._tell_margin_out_of_reach(anchor)
        if self.collect_stats:
            self.statistics = self._seen(anchor.detach(), positive.detach(), negative.detach())
        if not is_distributed_batch(anchor):
            return loss
        # The mean over the triplets of all ranks, which may hold different numbers of them.
        number = torch.tensor(float(len(anchor)), device=anchor.device)
        own = loss * len(anchor) / all_reduce_sum(number)
        return own * world_size() + (all_reduce_sum(own) - own.detach() * world_size())

    def _seen(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> LossStats:
        near, far = (distances.pairs(anchor, other, self.distance_metric) for other in (positive, negative))
        number, active = len(anchor), int((near - far + self.margin > 0).sum())
        means = float(near.mean()), float(far.mean())
        return LossStats(number, number, number, active, *means, *means, number, number)

    def get_config_dict(self) -> dict[str, Any]:
        return {**super().get_config_dict(), "triplet_margin": self.margin}


def _embed(model: nn.Module | None, features: Features) -> Tensor:
    if model is None:
        raise EmbeddingError("this loss has no model to embed with; give it one, or call compute_loss_from_embeddings")
    return model(features)["sentence_embedding"]


def _checked_margin(margin: float) -> float:
    if not isinstance(margin, numbers.Real) or not math.isfinite(margin) or margin < 0:
        raise EmbeddingError(f"the margin must be a finite number of at least 0, got {margin!r}")
    return float(margin)
