"""Choose the rows of each batch, and check before a run that there are batches with triplets."""

import logging
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import numpy as np
import torch
from torch import nn
from torch.utils.data import BatchSampler, ConcatDataset, RandomSampler, Sampler

from tercet.data.batch_samplers import (
    DefaultBatchSampler,
    GroupByLabelBatchSampler,
    NoDuplicatesBatchSampler,
    ProportionalBatchSampler,
    RoundRobinBatchSampler,
)
from tercet.data.sampling.multi_label_sampler import SharedLabelSampler
from tercet.data.sampling.sampler import GroupByLabelSampler
from tercet.data.tables.dataset_columns import label_ids_of
from tercet.errors import DataError
from tercet.losses.modules import BatchLoss, NestedTripletLoss
from tercet.trainer.arguments import BatchSamplers, MultiDatasetBatchSamplers
from tercet.trainer.batches.checks import check_evaluation_set, check_number_of_batches
from tercet.trainer.batches.rows import Rows
from tercet.trainer.batches.stream_batches import sampler_of_part
from tercet.trainer.data_sets.prepared_sets import first_rows, named, parts_of
from tercet.trainer.data_sets.preparing import PreparingTrainer
from tercet.trainer.data_sets.prompts import check_prompts
from tercet.trainer.data_sets.routing import check_routes
from tercet.trainer.data_sets.streaming import Stream
from tercet.trainer.loss.kinds import innermost, loss_of_set
from tercet.trainer.loss.multi_labels import check_triplets, shared_relation

logger = logging.getLogger(__name__)


class SamplingTrainer(PreparingTrainer):
    """The part of `SentenceTransformerTrainer` that chooses the rows of each batch."""

    def __init__(self, **options: Any) -> None:
        # The samplers of the training data that are in use: they get the label means of each epoch.
        self._train_samplers: WeakSet[GroupByLabelSampler] = WeakSet()
        super().__init__(**options)

    def _check_samplers(self, *, default_evaluators: bool) -> None:
        """Check that there are batches, with triplets, and that evaluation data can be measured.

        For P×K batches, log the size of an epoch.

        Raises:
            DataError: an epoch has no batch, a data set allows no P×K batch, the labels of a data set form no triplet,
                the prompts name a column that does not exist, or a text column has no route of a Router.
        """
        columns = {name: facts.columns for name, facts in self._training_sets.items()}
        check_prompts(self.args.prompts, columns)
        triplets = any("anchor" in roles.values() for roles in columns.values())
        check_routes(self._router_mapping, self.model, columns, triplets=triplets)
        if self.train_dataset is not None:
            for name, part in parts_of(self.train_dataset).items():
                self._check_train_batches(part, named("train_dataset", name), loss_of_set(self.loss, name))
        for name, part in parts_of(self.eval_dataset).items():
            if part is None or len(part) == 0:
                continue
            loss = loss_of_set(self.loss, name)
            check_evaluation_set(part, named("eval_dataset", name), loss, default_evaluator=default_evaluators)
            if self._groups_by_label and "label" in part.column_names:
                self._eval_group_by_label(part, named("eval_dataset", name))

    def _check_train_batches(self, dataset: Any, name: str, loss: nn.Module) -> None:
        first = first_rows(dataset)
        rows, is_stream = len(first), isinstance(dataset, Stream)
        if is_stream:
            self._check_first_part(first)
        elif self._groups_by_label:
            sampler = self._group_by_label(first, self._global_batch_size, name)
            logger.info(sampler.describe())
            rows = len(sampler)
        if not self._groups_by_label and isinstance(innermost(loss), BatchLoss):
            check_triplets(loss, label_ids_of(first), self._prepared_sets[first].label_names, name)
        if not is_stream and not callable(self.args.batch_sampler):
            check_number_of_batches(rows, self._global_batch_size, drop_last=self.args.dataloader_drop_last, name=name)

    def _check_first_part(self, dataset: Any) -> None:
        """Check the batches of the first part of a stream."""
        size, k = self._global_batch_size, self.args.samples_per_label
        if len(dataset) < size:
            raise DataError(
                f"train_dataset is a stream of {len(dataset)} rows, less than a batch of {size}; use a smaller "
                "per_device_train_batch_size"
            )
        if self._groups_by_label:
            sampler_of_part(
                label_ids_of(dataset), size, k, self._data_seed, "train_dataset, from row 0 of the stream on"
            )

    @property
    def _groups_by_label(self) -> bool:
        return bool(self.args.batch_sampler == BatchSamplers.GROUP_BY_LABEL)

    @property
    def _global_batch_size(self) -> int:
        return int(self._train_batch_size * self.args.world_size)

    def get_batch_sampler(
        self,
        dataset: Any,
        batch_size: int,
        drop_last: bool,
        valid_label_columns: list[str] | None = None,
        generator: torch.Generator | None = None,
        seed: int = 0,
    ) -> Any:
        """Return the batch sampler of the training argument `batch_sampler`. A subclass may return its own.

        Args:
            dataset: the data set, as the user has given it for an own batch sampler, else with the columns `sentence`
                and `label`, or those of triplets.
            batch_size: the number of rows per batch of all processes together.
            drop_last: whether to drop a last batch with fewer rows.
            valid_label_columns: the names of the label column.
            generator: the random number generator.
            seed: the seed of the data.
        """
        how = self.args.batch_sampler
        options: dict[str, Any] = {
            "batch_size": batch_size, "drop_last": drop_last, "valid_label_columns": valid_label_columns,
            "generator": generator, "seed": seed,
        }  # fmt: skip
        if callable(how) and not isinstance(how, BatchSamplers):
            return how(dataset, **options)
        if how == BatchSamplers.GROUP_BY_LABEL:
            if self._sets_of(dataset) is not None:
                return DefaultBatchSampler(self._group_by_label(dataset, batch_size, "train_dataset"), **options)
            return GroupByLabelBatchSampler(dataset, **options, samples_per_label=self.args.samples_per_label)
        if how == BatchSamplers.BATCH_SAMPLER:
            return DefaultBatchSampler(RandomSampler(dataset, generator=generator), **options)
        return NoDuplicatesBatchSampler(dataset, **options)

    def get_multi_dataset_batch_sampler(
        self,
        dataset: ConcatDataset[Any],
        batch_samplers: list[BatchSampler],
        generator: torch.Generator | None = None,
        seed: int = 0,
    ) -> Any:
        """Return the batch sampler of several data sets, of the training argument `multi_dataset_batch_sampler`.

        Args:
            dataset: the concatenated data sets.
            batch_samplers: the batch sampler of each data set.
            generator: the random number generator, which is that of the batch samplers, too.
            seed: the seed of the data.
        """
        how = self.args.multi_dataset_batch_sampler
        known: dict[Any, Callable[..., Any]] = {
            MultiDatasetBatchSamplers.ROUND_ROBIN: RoundRobinBatchSampler,
            MultiDatasetBatchSamplers.PROPORTIONAL: ProportionalBatchSampler,
        }
        make: Any = known.get(how, how)
        return make(dataset, batch_samplers=batch_samplers, generator=generator, seed=seed)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        if not self._groups_by_label:
            return super()._get_train_sampler(train_dataset)
        dataset = self.train_dataset if train_dataset is None else _prepared(train_dataset)
        sampler = self._group_by_label(dataset, self._global_batch_size, "train_dataset", self.args.neighbor_labels)
        self._train_samplers.add(sampler)
        return sampler

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler[int] | None:
        """Return a sampler that mixes the labels: in file order, a batch could have one label.

        Triplets keep their order.
        """
        dataset = _prepared(eval_dataset)
        if len(dataset) == 0 or "label" not in dataset.column_names:
            return super()._get_eval_sampler(eval_dataset)
        if self._groups_by_label:
            return self._eval_group_by_label(dataset, "eval_dataset")
        return RandomSampler(eval_dataset, generator=torch.Generator().manual_seed(self._data_seed))

    def _eval_group_by_label(self, dataset: Any, name: str) -> GroupByLabelSampler:
        size = self.args.per_device_eval_batch_size
        return self._group_by_label(dataset, self.args.eval_batch_size, f"{name} (per_device_eval_batch_size={size})")

    def _group_by_label(
        self, dataset: Any, batch_size: int, name: str, neighbor_labels: float = 0.0
    ) -> GroupByLabelSampler:
        if "label" not in dataset.column_names:
            raise DataError(
                "batch_sampler='group_by_label' needs labels, but the data of TripletLoss are triplets; "
                "use batch_sampler='batch_sampler'"
            )
        try:
            if (sets := self._sets_of(dataset)) is not None:
                k, label_ids = self.args.samples_per_label, label_ids_of(dataset)
                return SharedLabelSampler(label_ids, sets, batch_size, k, self._data_seed, neighbor_labels)
            return GroupByLabelSampler(
                label_ids_of(dataset),
                batch_size,
                self.args.samples_per_label,
                self._data_seed,
                neighbor_labels,
                self._parents(dataset) if neighbor_labels else None,
            )
        except DataError as error:
            raise DataError(f"{name}: {error}") from None

    def _sets_of(self, dataset: Any) -> list[list[int]] | None:
        """Return the labels of each set of labels by its id; None if the rows of a prepared data set have one label."""
        relation = shared_relation(loss_of_set(self.loss, self._prepared_sets[dataset].name))
        return None if relation is None else relation.label_sets(range(len(relation.table)))

    def _parents(self, dataset: Any) -> np.ndarray | None:
        """Return the ancestors of each label of a data set, in sorted order; None if the labels have one level.

        Returns:
            `(levels − 1, num_labels)`, without the finest level.
        """
        loss = innermost(self.loss)
        if not isinstance(loss, NestedTripletLoss) or len(loss.tree) < 2:
            return None
        ancestors: np.ndarray = loss.tree.ancestors[:-1].numpy()[:, np.unique(label_ids_of(dataset))]
        return ancestors

    @property
    def _data_seed(self) -> int:
        return self.args.seed if self.args.data_seed is None else self.args.data_seed


def _prepared(rows: Any) -> Any:
    """Return the prepared data set of rows, or the data set itself."""
    return rows.prepared if isinstance(rows, Rows) else rows
