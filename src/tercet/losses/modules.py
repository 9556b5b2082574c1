"""The losses as `nn.Module` classes, for a trainer. The formulas are in `tercet.losses.functional`.

The names and the order of the arguments are those of sentence-transformers. The classes also run in its trainer with
its models; that trainer sets the attribute `model` to the wrapped model. In distributed training, the batch losses mine
the sentences of all processes as one batch.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tercet import distances
from tercet._distributed import is_first_process, world_size
from tercet._events import WarningKind, emit_warning
from tercet._gather import all_reduce_sum, gather_rows, is_distributed_batch
from tercet._numbers import check_margin
from tercet.distances import DistanceLike, FunctionDistance, as_embeddings, get_distance, norms_fit
from tercet.errors import EmbeddingError
from tercet.losses import functional, miners
from tercet.losses._engine.levels import Level
from tercet.losses._engine.stats import LossStats, PendingStats, exact_dtype
from tercet.losses._peer_names import LossNames, MatrixDistance, PairDistance, TripletMasks
from tercet.losses.cross_batch_memory import CrossBatchMemory
from tercet.losses.functional import Labels
from tercet.losses.margins import batch_distances, describe_misfit, have_unit_length
from tercet.losses.miners import Miner
from tercet.losses.relations import SAME_LABEL, LabelTree, Relation, SharedLabel

__all__ = [
    "BaseLoss",
    "BatchAllTripletLoss",
    "BatchHardSoftMarginTripletLoss",
    "BatchHardTripletLoss",
    "BatchHardTripletLossDistanceFunction",
    "BatchLoss",
    "BatchSemiHardTripletLoss",
    "NestedTripletLoss",
    "TripletDistanceMetric",
    "TripletLoss",
]

Features = dict[str, Tensor]


class TripletDistanceMetric(str, Enum):
    """The distances of `TripletLoss`, under the names of sentence-transformers.

    A member can be called: `TripletDistanceMetric.COSINE(x, y)` returns the distances `(batch,)` of each row of `x`
    `(batch, dim)` to the same row of `y`.
    """

    COSINE = "cosine"
    EUCLIDEAN = "euclidean"
    MANHATTAN = "manhattan"

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distance from each row of `x` to the same row of `y`: `(batch, dim), (batch, dim) → (batch,)`."""
        return distances.pairs(x, y, self.value)


class BatchHardTripletLossDistanceFunction:
    """The distances of the batch losses, under the names of sentence-transformers.

    Each is the name of a distance, and can be called: `cosine_distance(embeddings)` returns the distances
    `(batch, batch)` within the embeddings `(batch, dim)`.
    """

    cosine_distance = MatrixDistance("cosine")
    euclidean_distance = eucledian_distance = MatrixDistance("euclidean")


class BaseLoss(LossNames):
    """Base class of all losses. Holds the model, the distance and the margin.

    Warns at the first batch of a run if the margin is not below the largest possible distance, or is far below the
    distances of the batch.

    Attributes:
        collect_stats: whether each forward pass computes `stats`. The trainer sets it to True.
        defer_checks: whether the values of embeddings are checked only when `pending_stats` are read, and not before
            the loss is computed. The trainer sets it on a GPU, where the check would wait in each step.
        stats: the `LossStats` of the last batch, or None if they were not computed. Reading them waits for a GPU. In
            distributed training they cover the anchors of this process. Exception: if the distance of a batch loss is a
            function instead of a name or a `Distance`, the stats of the first process cover the complete batch, and
            those of the others are empty.
        pending_stats: the same before they are read from the device.
        has_margin: whether the loss of a triplet that satisfies the margin is exactly 0.
        takes_triplets: whether `compute_loss_from_embeddings` takes given triplets instead of labelled sentences.
        distance_metric: the distance. The name of one can be called as in sentence-transformers: with the embeddings of
            a batch, or with two tensors for `TripletLoss`.
    """

    has_margin = True
    takes_triplets = False
    _callable_name: type[str] = MatrixDistance

    def __init__(self, model: nn.Module | None, distance_metric: DistanceLike, margin: float) -> None:
        super().__init__()
        self.collect_stats = self.defer_checks = False
        self.pending_stats: PendingStats | None = None
        self._stats: LossStats | None = None
        self.model = model
        distance = distance_metric.value if isinstance(distance_metric, Enum) else distance_metric
        get_distance(distance)  # Raises for an unknown name.
        self.distance_metric: DistanceLike = self._callable_name(distance) if isinstance(distance, str) else distance
        self.margin = check_margin(margin)
        self._margin_checked = False

    @property
    def stats(self) -> LossStats | None:
        """The `LossStats` of the last batch, or None if they were not computed."""
        if self.pending_stats is not None and self._stats is None:
            self._stats = self.pending_stats.read()
        return self._stats

    @stats.setter
    def stats(self, value: LossStats | None) -> None:
        self._stats, self.pending_stats = value, None

    def _set_stats(self, pending: PendingStats | None) -> None:
        self._stats, self.pending_stats = None, pending

    def reset_warnings(self) -> None:
        """Re-arm the once-per-run warnings. The trainer calls this when a run starts."""
        self._margin_checked = False

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings of the loss, for the model card."""
        distance = self.distance_metric
        return {"distance_metric": str(distance) if isinstance(distance, str) else get_distance(distance).name}

    def _embed(self, features: Features) -> Tensor:
        """Run the model on tokenized sentences and return their embeddings `(batch, dim)`.

        Raises:
            EmbeddingError: the loss has no model.
        """
        if self.model is None:
            raise EmbeddingError(
                "this loss has no model to embed the sentences; create the loss with a model, or call "
                "compute_loss_from_embeddings"
            )
        embeddings: Tensor = self.model(features)["sentence_embedding"]
        return embeddings

    def _check_margin(
        self, embeddings: Tensor, loss: Tensor, measure: Callable[[], tuple[Tensor, Tensor]], *, has_triplet: bool
    ) -> None:
        """Warn at the first batch of a run if the margin is out of reach, or far below the distances.

        Args:
            embeddings: `(batch, dim)`.
            loss: the loss of the batch.
            measure: returns the distances to negatives and d(a,n) − d(a,p) of the triplets, see `batch_distances`.
            has_triplet: whether the batch has a triplet.
        """
        self._margin_checked = True
        if not self.has_margin:
            return
        unit_length = have_unit_length(embeddings)
        distance = get_distance(self.distance_metric)
        bound = distance.upper_bound(unit_length=unit_length, dim=embeddings.shape[1])
        if self.margin >= bound:
            emit_warning(
                WarningKind.UNREACHABLE_MARGIN,
                f"margin {self.margin:g} can never be met: the {distance.name} distance of these embeddings"
                f"{' (unit length)' if unit_length else ''} is at most {bound:.3g}, so every triplet stays active. "
                f"Use a margin well below {bound:.3g}, for example {bound / 8:.2g}.",
            )
            return
        is_inactive = has_triplet and not loss.detach()
        misfit = describe_misfit(self.margin, distance, embeddings, *measure(), is_inactive=is_inactive)
        if misfit is not None:
            emit_warning(WarningKind.SMALL_MARGIN, misfit)


class BatchLoss(BaseLoss):
    """Base class of the losses that mine triplets in a batch of labelled sentences.

    A subclass overrides `miner`. A subclass that was written for sentence-transformers may override the method that
    computes the loss there instead, such as `batch_hard_triplet_loss(labels, embeddings)`.

    Args:
        model: a module that maps tokenized sentences to a dictionary with the key `sentence_embedding`, such as a model
            of Tercet or sentence-transformers. None if you call only `compute_loss_from_embeddings`.
        distance_metric: the name of a distance in the catalogue, a `tercet.distances.Distance`, or a function that maps
            embeddings `(batch, dim)` to the matrix of their distances `(batch, batch)`.
        margin: the margin, in the unit of the distance.
        jaccard_weights: if sentences have several labels, whether the loss of a pair of an anchor and a positive is
            multiplied by their Jaccard overlap: the number of common labels divided by the number of labels that at
            least one of them has.

    Attributes:
        relation: which sentences are positives, as a function of their label ids; by default those with equal ids. For
            sentences with several labels, see `set_label_sets`.
        batches_without_triplet: the number of batches without a triplet since the start of the run.

    Example:
        This loss uses the nearest positive and the nearest negative of each anchor (Xuan et al. 2020, "Improved
        embeddings with easy positive triplet mining"):

        >>> import torch
        >>> from tercet.losses import BatchLoss
        >>> from tercet.losses.miners import MinedBlock, Miner
        >>> class EasyPositiveLoss(BatchLoss):
        ...     def miner(self):
        ...         return Miner(self.mine, mean_over="anchors")
        ...
        ...     def mine(self, block):
        ...         positive, position = block.positives_or(torch.inf).min(1, keepdim=True)
        ...         negative, column = block.negatives.min(1, keepdim=True)
        ...         hinge = (positive - negative + self.margin).relu()
        ...         chosen = [block.candidate_index.gather(1, position), column]
        ...         active = hinge.sign()
        ...         weights = torch.cat([active, -active], 1)
        ...         distances = torch.cat([positive, negative], 1)
        ...         return MinedBlock(hinge.squeeze(1), torch.cat(chosen, 1), distances, weights, num_active=active)
        >>> embeddings = torch.tensor([[0.0], [1.0], [4.0], [6.0], [8.0]])
        >>> EasyPositiveLoss(margin=3.5).compute_loss_from_embeddings(embeddings, [0, 0, 0, 1, 1])
        tensor(1.9000)
    """

    # The name of the method that computes the loss in sentence-transformers.
    _peer_method = ""

    def __init__(
        self,
        model: nn.Module | None = None,
        distance_metric: DistanceLike = "euclidean",
        margin: float = 5.0,
        *,
        jaccard_weights: bool = False,
    ) -> None:
        super().__init__(model, distance_metric, margin)
        self.relation: Relation = SAME_LABEL
        self.jaccard_weights = jaccard_weights
        self.batches_without_triplet = 0

    def set_label_sets(self, label_sets: Sequence[Collection[int]]) -> None:
        """Make sentences that share a label the positives, and those that share none the negatives.

        The labels of a batch are then the ids of sets of labels. The trainer calls this if a row has several labels.

        Args:
            label_sets: the labels of each set, as numbers from 0; the position is the id of the set.

        Example:
            >>> import torch
            >>> from tercet.losses import BatchHardTripletLoss
            >>> loss = BatchHardTripletLoss(margin=1.0)
            >>> loss.set_label_sets([[0], [0, 1], [2]])
            >>> loss.compute_loss_from_embeddings(torch.tensor([[0.0], [1.0], [1.5]]), labels=[0, 1, 2])
            tensor(1.)
        """
        self.relation = SharedLabel([list(labels) for labels in label_sets], weighted=self.jaccard_weights)

    def miner(self) -> Miner:
        """Return the miner of this loss, see `tercet.losses.miners`. This method is called for every batch."""
        raise NotImplementedError(f"{type(self).__name__} must override miner(), which returns a losses.miners.Miner")

    def reset_warnings(self) -> None:
        """Re-arm the once-per-run warnings, and reset `batches_without_triplet` to 0."""
        super().reset_warnings()
        self.batches_without_triplet = 0

    def forward(self, sentence_features: Iterable[Features], labels: Labels) -> Tensor:
        """Embed one column of tokenized sentences and return the scalar loss.

        Args:
            sentence_features: a list with exactly one dictionary, the tokenized sentences as the model takes them.
            labels: `(batch,)`.

        Raises:
            EmbeddingError: there is not exactly one column, the loss has no model, or the loss cannot be computed (see
                `compute_loss_from_embeddings`).
        """
        columns = list(sentence_features)
        if len(columns) != 1:
            raise EmbeddingError(
                f"{type(self).__name__} takes one column of sentences, got {len(columns)} columns; for given triplets "
                "use TripletLoss"
            )
        return self.compute_loss_from_embeddings([self._embed(columns[0])], labels)

    def compute_loss_from_embeddings(
        self, embeddings: Tensor | Sequence[Tensor], labels: Labels, memory: CrossBatchMemory | None = None
    ) -> Tensor:
        """Return the scalar loss of a batch of embeddings.

        Args:
            embeddings: `(batch, dim)`, a tensor, an array or nested lists; or a list that contains only this tensor.
            labels: `(batch,)`, integers or strings; or a list or a set of labels for each row. Floating-point numbers
                must be whole. In distributed training they must be an integer tensor. A tensor on the CPU is the
                fastest form, also if the embeddings are on a GPU.
            memory: embeddings of past batches, used as additional candidates. This method does not add to the memory.

        Raises:
            EmbeddingError: `embeddings` are several tensors, a shape is invalid, a value is NaN, infinite or too large
                (see `tercet.distances.check_norms`), the labels have the wrong type or number, or the
                distance is a function and `memory` is not empty.
        """
        embeddings = _single_tensor(embeddings)
        if self._overrides_peer_method:
            if memory is not None:
                raise EmbeddingError(
                    f"{type(self).__name__} overrides {self._peer_method}, which has no argument for a cross-batch "
                    "memory; set cross_batch_memory=0, or override miner instead"
                )
            overridden: Tensor = getattr(self, self._peer_method)(labels, embeddings)
            return overridden
        return self._compute(embeddings, labels, memory)

    @property
    def _overrides_peer_method(self) -> bool:
        return bool(self._peer_method and getattr(type(self), self._peer_method) not in _PEER_METHODS)

    @property
    def takes_cpu_labels(self) -> bool:
        """Whether labels on the CPU are right for embeddings on a GPU: a subclass that computes itself may differ."""
        is_ours = type(self).compute_loss_from_embeddings is BatchLoss.compute_loss_from_embeddings
        return is_ours and not self._overrides_peer_method

    def _compute(self, embeddings: Tensor, labels: Labels, memory: CrossBatchMemory | None = None) -> Tensor:
        distributed = is_distributed_batch(embeddings)
        if distributed and not isinstance(labels, Tensor):
            raise EmbeddingError(
                "in distributed training, labels must be an integer tensor with the same label ids in every process; "
                f"got {type(labels).__name__}"
            )
        relation = self.relation
        if not distributed and (relation is SAME_LABEL or isinstance(relation, SharedLabel)):
            labels, of_sets = functional.ids_and_relation(labels, weighted=self.jaccard_weights)
            if of_sets is not SAME_LABEL:
                relation = of_sets
                if memory is not None:
                    raise EmbeddingError(
                        "sets of labels have no ids that stay the same, which a cross-batch memory needs; call "
                        "set_label_sets, which sets the relation of the loss, and pass set ids as labels"
                    )
        labels = functional.as_label_tensor(labels, embeddings.device if distributed else None)
        local_rows = slice(0, len(labels))
        if distributed:
            embeddings, labels, local_rows = gather_rows(embeddings, labels)
        batch = embeddings, labels
        has_memory = memory is not None and len(memory) > 0
        if memory is not None and has_memory:
            past_embeddings, past_labels = memory.contents()
            embeddings = torch.cat([embeddings, past_embeddings.to(embeddings)])
            labels = torch.cat([labels.to(past_labels.device), past_labels])
        loss = self._loss(
            embeddings, labels, local_rows, relation=relation, distributed=distributed, has_memory=has_memory
        )
        # A loss above 0 says it fastest, unless reading it waits for a GPU.
        has_triplet = (labels.device == loss.device and bool(loss.detach())) or self._has_triplet(labels, relation)
        if not self._margin_checked:
            measure = partial(batch_distances, *batch, get_distance(self.distance_metric), relation)
            self._check_margin(batch[0], loss, measure, has_triplet=has_triplet)
        return loss

    def _loss(
        self,
        embeddings: Tensor,
        labels: Tensor,
        local_rows: slice,
        *,
        relation: Relation,
        distributed: bool,
        has_memory: bool,
    ) -> Tensor:
        """Return the scalar loss of the anchors of this batch, in distributed training of those of all processes.

        In distributed training, each process has a part of the gradient. `gather_rows` sums the parts in its backward
        pass.
        """
        all_are_local = len(labels) == local_rows.stop - local_rows.start
        if isinstance(get_distance(self.distance_metric), FunctionDistance) and not all_are_local:
            if not distributed or has_memory:
                raise EmbeddingError(
                    "a distance function computes distances within one set of embeddings only; for a cross-batch "
                    "memory, pass the name of a distance, such as 'euclidean', or a tercet.distances.Distance"
                )
            # The function returns one square matrix, so every process mines the complete batch. `gather_rows` sums the
            # equal gradients of all processes, so divide them by the number of processes. Only the first process keeps
            # the statistics, because they cover the complete batch.
            loss = self._mine(embeddings, labels, relation)
            if self.pending_stats is not None and not is_first_process():
                self._set_stats(PendingStats.empty())
            return loss.detach() + (loss - loss.detach()) / world_size()
        if not distributed:
            return self._mine(embeddings, labels, relation, anchors=None if all_are_local else local_rows)
        local_loss = self._mine(embeddings, labels, relation, anchors=local_rows, reduce_count=all_reduce_sum)
        return local_loss + (all_reduce_sum(local_loss) - local_loss.detach())

    def _mine(self, embeddings: Tensor, labels: Tensor, relation: Relation, **options: Any) -> Tensor:
        """Compute the loss, store its statistics in `stats`, and return the loss."""
        loss, stats = functional.loss_with_pending_stats(
            embeddings, labels, self.miner(), self.distance_metric, relation=relation, with_stats=self.collect_stats,
            defer_check=self.defer_checks and self._margin_checked, **options,
        )  # fmt: skip
        self._set_stats(stats)
        return loss

    def _has_triplet(self, labels: Tensor, relation: Relation) -> bool:
        """Return whether a batch has a triplet. Count the batches without one, and warn at the first one of a run."""
        if len(relation.group(labels)):
            return True
        self.batches_without_triplet += 1
        if self.batches_without_triplet == 1:
            emit_warning(
                WarningKind.NO_TRIPLET,
                f"a batch holds no triplet, so its loss is 0: found {len(labels)} sentences and "
                f"{len(labels.unique())} label(s), but a triplet needs two sentences with one label and one with "
                "another label. Use batch_sampler='group_by_label' or a larger batch. The attribute "
                "batches_without_triplet of the loss counts such batches; this warning is not repeated.",
            )
        return False

    def get_config_dict(self) -> dict[str, Any]:
        settings = {**super().get_config_dict(), "margin": self.margin}
        return settings | self._settings_of_relation()

    def _settings_of_relation(self) -> dict[str, Any]:
        if not isinstance(self.relation, SharedLabel):
            return {}
        return {"positives": "share a label", **({"jaccard_weights": True} if self.jaccard_weights else {})}


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
        return functional.levels_of(self.tree, [loss.miner() for loss in self.losses], self.weights)

    def _mine(self, embeddings: Tensor, labels: Tensor, relation: Relation, **options: Any) -> Tensor:
        loss, stats = functional.loss_of_levels(
            embeddings, labels, self._levels(), self.distance_metric, with_stats=self.collect_stats, **options
        )
        self._set_stats(stats[-1] if stats else None)
        return loss

    def _has_triplet(self, labels: Tensor, relation: Relation) -> bool:
        return any(len(level.group(labels)) for level in self.tree.levels()) or super()._has_triplet(labels, relation)

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings of the loss, for the model card; the margins are those of the levels."""
        settings = BaseLoss.get_config_dict(self)
        if self.has_margin:
            settings["margin"] = [loss.margin for loss in self.losses]
        return {
            **settings,
            "levels": len(self.tree),
            "loss_of_each_level": [type(loss).__name__ for loss in self.losses],
        }


_PEER_METHODS = {
    BatchAllTripletLoss.batch_all_triplet_loss,
    BatchHardTripletLoss.batch_hard_triplet_loss,
    BatchSemiHardTripletLoss.batch_semi_hard_triplet_loss,
    BatchHardSoftMarginTripletLoss.batch_hard_triplet_soft_margin_loss,
}


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
            loss = functional.checked_triplet_loss(*parts, self.margin, get_distance(self.distance_metric))
        else:
            loss = functional.triplet_loss(*parts, margin=self.margin, distance=self.distance_metric)
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


def _single_tensor(embeddings: Any) -> Tensor:
    """Return the embeddings of a batch as a tensor, also out of a list that contains only them."""
    if isinstance(embeddings, (list, tuple)) and any(getattr(part, "ndim", 0) > 1 for part in embeddings):
        if len(embeddings) != 1:
            raise EmbeddingError(
                f"a batch loss takes one tensor of embeddings (batch, dim), got {len(embeddings)} tensors; for given "
                "triplets use TripletLoss"
            )
        embeddings = embeddings[0]
    return as_embeddings(embeddings)
