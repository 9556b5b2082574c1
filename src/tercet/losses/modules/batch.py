"""The base class of the batch losses. They mine the sentences of all processes as one batch."""

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tercet._distributed import is_first_process, world_size
from tercet._events import WarningKind, emit_warning
from tercet._gather import all_reduce_sum, gather_rows, is_distributed_batch
from tercet.distances import DistanceLike, FunctionDistance, as_embeddings, get_distance
from tercet.errors import EmbeddingError
from tercet.losses._engine.stats import PendingStats
from tercet.losses.cross_batch_memory import CrossBatchMemory
from tercet.losses.functional.batch import loss_with_pending_stats
from tercet.losses.functional.labels import Labels, as_label_tensor, ids_and_relation
from tercet.losses.margins import batch_distances
from tercet.losses.miners import Miner
from tercet.losses.modules.base import BaseLoss, Features
from tercet.losses.relations import SAME_LABEL, Relation, SharedLabel

# The package whose methods with the names of sentence-transformers are no overrides of a user.
_OUR_METHODS = __package__


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
        if not self._peer_method:
            return False
        return not getattr(type(self), self._peer_method).__module__.startswith(_OUR_METHODS)

    @property
    def takes_cpu_labels(self) -> bool:
        """True if labels may be on the CPU for embeddings on a GPU: not if a subclass computes the loss itself."""
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
            labels, of_sets = ids_and_relation(labels, weighted=self.jaccard_weights)
            if of_sets is not SAME_LABEL:
                relation = of_sets
                if memory is not None:
                    raise EmbeddingError(
                        "sets of labels have no ids that stay the same, which a cross-batch memory needs; call "
                        "set_label_sets, which sets the relation of the loss, and pass set ids as labels"
                    )
        labels = as_label_tensor(labels, embeddings.device if distributed else None)
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
        loss, stats = loss_with_pending_stats(
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
