"""Create the data loaders of the trainer: tokenize once, sample batches, split them over the processes."""

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from weakref import WeakSet

import numpy as np
import torch
from torch import nn
from torch.utils.data import RandomSampler, Sampler
from transformers import Trainer

from tercet.data.in_memory import to_dataset
from tercet.data.labels import check_triplets_exist
from tercet.data.sampler import GroupByLabelSampler
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.encoder.token_stats import TokenStats
from tercet.errors import DataError
from tercet.losses.modules import BatchLoss
from tercet.trainer.arguments import BatchSampler, SentenceTransformerTrainingArguments
from tercet.trainer.checks import check_evaluation_set, check_number_of_batches
from tercet.trainer.collate import add_prompts, collate, prepare_labelled, prepare_triplets, text_columns, tokenize
from tercet.trainer.distributed import EvenBatchSamplerShard
from tercet.trainer.prompts import find_prompts, prompt_length_to_exclude

logger = logging.getLogger(__name__)


class DataLoadingTrainer(Trainer):
    """The base class of `SentenceTransformerTrainer`, which turns data sets into batches of token ids."""

    model: SentenceTransformer
    args: SentenceTransformerTrainingArguments
    loss: nn.Module
    label_names_of_training: list[str] | None
    # The prepared text column of each text column of the user's data.
    _text_columns: Mapping[str, str] = MappingProxyType({})
    train_token_stats: TokenStats | None = None

    def __init__(self, **options: Any) -> None:
        # The tokenized copy of each data set, by the `id` of the data set. The data set itself is stored too, so that
        # Python does not reuse its `id` for another object.
        self._tokenized: dict[int, tuple[Any, Any]] = {}
        self._tokenized_with: tuple[Any, ...] = ()
        # The samplers of the training data that are in use: they get the label means of each epoch.
        self._train_samplers: WeakSet[GroupByLabelSampler] = WeakSet()
        super().__init__(**options)

    @property
    def takes_triplets(self) -> bool:
        """True if the training data are triplets instead of labelled sentences."""
        return bool(getattr(self.loss, "takes_triplets", False))

    @property
    def prompts(self) -> dict[str, str]:
        """The prompt of each text column of the prepared data."""
        return find_prompts(self.args.prompts, self.model, self._text_columns)

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device, and tell the pooling how many prompt tokens to leave out."""
        inputs = super()._prepare_inputs(inputs)
        if length := prompt_length_to_exclude(self.prompts, self.model):
            inputs["features"] = {**inputs["features"], "prompt_length": length}
        return inputs

    def _check_samplers(self, *, default_evaluators: bool) -> None:
        """Check that there are batches, with triplets, and that evaluation data can be measured.

        For P×K batches, log the size of an epoch.

        Raises:
            DataError: an epoch has no batch, a data set allows no P×K batch, or the labels of a data set form no
                triplet.
        """
        if self.train_dataset is not None:
            self._check_train_batches()
        evaluation: Any = self.eval_dataset
        parts = evaluation if isinstance(evaluation, dict) else {None: evaluation}
        for key, part in parts.items():
            if part is None or len(part) == 0:
                continue
            name = "eval_dataset" if key is None else f"eval_dataset {key!r}"
            check_evaluation_set(part, name, self.loss, default_evaluator=default_evaluators)
            if self.args.batch_sampler == BatchSampler.GROUP_BY_LABEL and not self.takes_triplets:
                self._eval_group_by_label(part, name)

    def _check_train_batches(self) -> None:
        dataset: Any = self.train_dataset
        rows = len(dataset)
        if self.args.batch_sampler == BatchSampler.GROUP_BY_LABEL:
            sampler = self._get_train_sampler()
            assert isinstance(sampler, GroupByLabelSampler)
            logger.info(sampler.describe())
            rows = len(sampler)
        elif isinstance(self.loss, BatchLoss):
            label_ids = np.asarray(dataset["label"][:])
            check_triplets_exist(label_ids, self.label_names_of_training, "train_dataset")
        batch_size = self._train_batch_size * self.args.world_size
        check_number_of_batches(rows, batch_size, drop_last=self.args.dataloader_drop_last)

    def _get_dataloader(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the data loader of `dataset`. Tokenize `dataset` first, but not for a custom `data_collator`."""
        packs = self.data_collator is collate
        dataset = self._with_token_ids(dataset) if packs else add_prompts(dataset, self.prompts)
        if kwargs.get("is_training"):
            return EvenBatchSamplerShard.replace(super()._get_dataloader(dataset, *args, **kwargs))
        # `dataloader_drop_last` is for training. The evaluation measures every row.
        drop_last, self.args.dataloader_drop_last = self.args.dataloader_drop_last, False
        try:
            return super()._get_dataloader(dataset, *args, **kwargs)
        finally:
            self.args.dataloader_drop_last = drop_last

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Return the data loader of an evaluation set, given by name or as a data set."""
        if eval_dataset is not None and not isinstance(eval_dataset, str):
            # With persistent workers, `transformers` would return the loader of the last data set without a name.
            getattr(self, "_eval_dataloaders", {}).pop("eval", None)
        return super().get_eval_dataloader(eval_dataset)

    def _with_token_ids(self, dataset: Any) -> Any:
        encoder = self.model.transformer
        settings = (
            encoder.tokenizer,
            len(encoder.tokenizer),
            encoder.max_seq_length,
            encoder.do_lower_case,
            self.prompts,
        )
        if self._tokenized_with != settings:
            self._tokenized, self._tokenized_with = {}, settings
        if id(dataset) not in self._tokenized:
            stats = TokenStats()
            tokenized = tokenize(dataset, lambda texts: encoder.token_ids(texts, stats), self.prompts)
            self._tokenized[id(dataset)] = (dataset, tokenized)
            if dataset is self.train_dataset:
                self.train_token_stats = stats
                encoder.warned.clear()
            stats.warn(encoder.warned)
        return self._tokenized[id(dataset)][1]

    def tokenize_train_dataset(self) -> TokenStats | None:
        """Tokenize the training data now instead of at the first step, and warn of texts that the model cannot read.

        Return the counts of truncated texts and unknown tokens; None with a custom `data_collator`.
        """
        if self.data_collator is not collate:
            return None
        self._with_token_ids(self.train_dataset)
        return self.train_token_stats

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        if self.args.batch_sampler != BatchSampler.GROUP_BY_LABEL:
            return super()._get_train_sampler(train_dataset)
        dataset = self.train_dataset if train_dataset is None else train_dataset
        batch_size = self._train_batch_size * self.args.world_size
        sampler = self._group_by_label(dataset, batch_size, "train_dataset", self.args.neighbor_labels)
        self._train_samplers.add(sampler)
        return sampler

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler[int] | None:
        """Return a sampler that mixes the labels: in file order, a batch could have one label.

        Triplets keep their order.
        """
        if self.takes_triplets or len(eval_dataset) == 0:
            return super()._get_eval_sampler(eval_dataset)
        if self.args.batch_sampler == BatchSampler.GROUP_BY_LABEL:
            return self._eval_group_by_label(eval_dataset, "eval_dataset")
        return RandomSampler(eval_dataset, generator=torch.Generator().manual_seed(self._data_seed))

    def _eval_group_by_label(self, dataset: Any, name: str) -> GroupByLabelSampler:
        size = self.args.per_device_eval_batch_size
        return self._group_by_label(dataset, self.args.eval_batch_size, f"{name} (per_device_eval_batch_size={size})")

    def _group_by_label(
        self, dataset: Any, batch_size: int, name: str, neighbor_labels: float = 0.0
    ) -> GroupByLabelSampler:
        if self.takes_triplets:
            raise DataError(
                "batch_sampler='group_by_label' needs labels, but the data of TripletLoss are triplets; "
                "use batch_sampler='batch_sampler'"
            )
        try:
            return GroupByLabelSampler(
                dataset["label"][:], batch_size, self.args.samples_per_label, self._data_seed, neighbor_labels
            )
        except DataError as error:
            raise DataError(f"{name}: {error}") from None

    @property
    def _data_seed(self) -> int:
        return self.args.seed if self.args.data_seed is None else self.args.data_seed

    def _prepare(self, dataset: Any, name: str, *, keep_names: bool = False) -> Any:
        """Return `dataset` with the columns that the loss needs. `keep_names` stores its label names in the trainer."""
        if dataset is None:
            return None
        dataset = to_dataset(dataset, name)
        if self.takes_triplets:
            prepared = prepare_triplets(dataset, name)
        else:
            prepared, names = prepare_labelled(dataset, name, self.label_names_of_training)
        if keep_names or not self._text_columns:
            self._text_columns = text_columns(dataset, prepared)
        if self.takes_triplets:
            return prepared
        if keep_names:
            self.label_names_of_training = names
        return prepared
