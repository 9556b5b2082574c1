"""Create the data loaders of the trainer: tokenize once, sample batches, split them over the processes."""

import logging
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import RandomSampler, Sampler
from transformers import Trainer

from tercet.data.labels import check_triplets_exist
from tercet.data.sampler import GroupByLabelSampler
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError
from tercet.losses.modules import BatchLoss
from tercet.trainer.arguments import BatchSampler, SentenceTransformerTrainingArguments
from tercet.trainer.collate import collate, prepare_labelled, prepare_triplets, tokenize
from tercet.trainer.distributed import EvenBatchSamplerShard

logger = logging.getLogger(__name__)


class DataLoadingTrainer(Trainer):
    """The base class of `SentenceTransformerTrainer`, which turns data sets into batches of token ids."""

    model: SentenceTransformer
    args: SentenceTransformerTrainingArguments
    loss: nn.Module
    label_names_of_training: list[str] | None

    def __init__(self, **options: Any) -> None:
        # The tokenized copy of each data set, by the `id` of the data set. The data set itself is stored too, so that
        # Python does not reuse its `id` for another object.
        self._tokenized: dict[int, tuple[Any, Any]] = {}
        self._tokenized_with: tuple[Any, ...] = ()
        super().__init__(**options)

    @property
    def takes_triplets(self) -> bool:
        """True if the training data are triplets instead of labelled sentences."""
        return bool(getattr(self.loss, "takes_triplets", False))

    def _check_samplers(self) -> None:
        """Check that the sampler can form batches with triplets. For P×K batches, log the size of an epoch.

        Raises:
            DataError: a data set allows no P×K batch; or batches are random, but the training labels form no triplet.
        """
        if self.args.batch_sampler != BatchSampler.GROUP_BY_LABEL:
            if self.train_dataset is not None and isinstance(self.loss, BatchLoss):
                label_ids = np.asarray(self.train_dataset["label"][:])
                check_triplets_exist(label_ids, self.label_names_of_training, "train_dataset")
            return
        if self.train_dataset is not None:
            sampler = self._get_train_sampler()
            assert isinstance(sampler, GroupByLabelSampler)
            logger.info(sampler.describe())
        parts = self.eval_dataset if isinstance(self.eval_dataset, dict) else {"": self.eval_dataset}
        for part in parts.values():
            if part is not None:
                self._get_eval_sampler(part)

    def _get_dataloader(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the data loader of `dataset`. Tokenize `dataset` first, but not for a custom `data_collator`."""
        if self.data_collator is collate:
            dataset = self._with_token_ids(dataset)
        loader = super()._get_dataloader(dataset, *args, **kwargs)
        return EvenBatchSamplerShard.replace(loader) if kwargs.get("is_training") else loader

    def _with_token_ids(self, dataset: Any) -> Any:
        encoder = self.model.transformer
        settings = (encoder.tokenizer, len(encoder.tokenizer), encoder.max_seq_length, encoder.do_lower_case)
        if self._tokenized_with != settings:
            self._tokenized, self._tokenized_with = {}, settings
        if id(dataset) not in self._tokenized:
            self._tokenized[id(dataset)] = (dataset, tokenize(dataset, encoder.token_ids))
        return self._tokenized[id(dataset)][1]

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        if self.args.batch_sampler != BatchSampler.GROUP_BY_LABEL:
            return super()._get_train_sampler(train_dataset)
        dataset = self.train_dataset if train_dataset is None else train_dataset
        return self._group_by_label(dataset, self._train_batch_size * self.args.world_size, "train_dataset")

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler[int] | None:
        """Return a sampler that mixes the labels: in file order, a batch could have one label.

        Triplets keep their order.
        """
        if self.takes_triplets or len(eval_dataset) == 0:
            return super()._get_eval_sampler(eval_dataset)
        if self.args.batch_sampler == BatchSampler.GROUP_BY_LABEL:
            return self._group_by_label(
                eval_dataset,
                self.args.eval_batch_size,
                f"eval_dataset (per_device_eval_batch_size={self.args.per_device_eval_batch_size})",
            )
        return RandomSampler(eval_dataset, generator=torch.Generator().manual_seed(self._data_seed))

    def _group_by_label(self, dataset: Any, batch_size: int, name: str) -> GroupByLabelSampler:
        if self.takes_triplets:
            raise DataError(
                "batch_sampler='group_by_label' needs labels, but the data of TripletLoss are triplets; "
                "use batch_sampler='batch_sampler'"
            )
        try:
            return GroupByLabelSampler(dataset["label"][:], batch_size, self.args.samples_per_label, self._data_seed)
        except DataError as error:
            raise DataError(f"{name}: {error}") from None

    @property
    def _data_seed(self) -> int:
        return self.args.seed if self.args.data_seed is None else self.args.data_seed

    def _prepare(self, dataset: Any, name: str, *, keep_names: bool = False) -> Any:
        """Return `dataset` with the columns that the loss needs. `keep_names` stores its label names in the trainer."""
        if dataset is None:
            return None
        if self.takes_triplets:
            return prepare_triplets(dataset, name)
        prepared, names = prepare_labelled(dataset, name, self.label_names_of_training)
        if keep_names:
            self.label_names_of_training = names
        return prepared
