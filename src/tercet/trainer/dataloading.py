"""Create the data loaders of the trainer: prepare and tokenize once, sample batches, split them over the processes."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from torch import nn
from torch.utils.data import BatchSampler, ConcatDataset, DataLoader, RandomSampler, Sampler
from transformers import Trainer
from transformers.trainer_utils import seed_worker

from tercet.data.batch_samplers import (
    DefaultBatchSampler,
    GroupByLabelBatchSampler,
    NoDuplicatesBatchSampler,
    ProportionalBatchSampler,
    RoundRobinBatchSampler,
)
from tercet.data.in_memory import EVALUATION_SPLITS, is_table_dict, to_dataset
from tercet.data.multi_label_sampler import SharedLabelSampler
from tercet.data.sampler import GroupByLabelSampler
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.encoder.token_stats import TokenStats
from tercet.errors import DataError
from tercet.losses.modules import BatchLoss, NestedTripletLoss
from tercet.trainer.arguments import BatchSamplers, MultiDatasetBatchSamplers, SentenceTransformerTrainingArguments
from tercet.trainer.checks import check_evaluation_set, check_number_of_batches
from tercet.trainer.collate import (
    add_prompts,
    collate,
    collate_columns,
    draw_all,
    has_transform,
    label_column,
    prepare_labelled,
    prepare_triplets,
    text_columns,
    tokenize,
)
from tercet.trainer.distributed import EvenBatchSamplerShard, SplitBatches
from tercet.trainer.loss_kinds import innermost, loss_of_set, set_losses, takes_embeddings, takes_triplets
from tercet.trainer.multi_labels import (
    check_both_have_sets,
    check_triplets,
    has_lists,
    shared_relation,
    single_labels,
    tell_loss,
)
from tercet.trainer.prompts import check_prompts, find_prompts, prompt_length_to_exclude
from tercet.trainer.rows import TOKEN_IDS, ConcatenatedRows, Rows, TransformedRows

logger = logging.getLogger(__name__)

_SAMPLED_BY_ROW = (BatchSamplers.BATCH_SAMPLER, BatchSamplers.GROUP_BY_LABEL)


@dataclass
class PreparedSet:
    """Facts about a prepared data set.

    Attributes:
        name: the name of the data set among several, else None.
        source: the data set of the user.
        columns: the prepared column of each text column of the user.
        labels: the name of the label column of `source` and its values, if `source` has a transform; else None.
        label_names: the name of each label id; None for integers and triplets.
        set_names: the names of all sets of labels, also of evaluation data, if rows have several labels; else None.
        tokens: the data set with token ids, as soon as it is needed; None before, and for a custom collator.
        tokens_for: the tokenizer, its settings and the prompts of `tokens`.
    """

    name: str | None
    source: Any
    columns: Mapping[str, str]
    labels: tuple[str, list[Any]] | None = None
    label_names: list[str] | None = None
    set_names: list[str] | None = None
    tokens: Any = None
    tokens_for: tuple[Any, ...] = ()


class DataLoadingTrainer(Trainer):
    """The base class of `SentenceTransformerTrainer`, which turns data sets into batches of token ids."""

    model: SentenceTransformer
    args: SentenceTransformerTrainingArguments
    loss: nn.Module
    train_token_stats: TokenStats | None = None

    def __init__(self, **options: Any) -> None:
        # The samplers of the training data that are in use: they get the label means of each epoch.
        self._train_samplers: WeakSet[GroupByLabelSampler] = WeakSet()
        super().__init__(**options)

    def _forget_data_sets(self) -> None:
        """Start without any data set. The trainer calls this before it prepares the first one."""
        # By the prepared data set. An entry is removed with this data set.
        self._prepared_sets: WeakKeyDictionary[Any, PreparedSet] = WeakKeyDictionary()
        # The training data by name, or by None; if there are none, the first evaluation data.
        self._training_sets: dict[str | None, PreparedSet] = {}

    @property
    def takes_triplets(self) -> bool:
        """True if the training data are triplets instead of labelled sentences."""
        return takes_triplets(set_losses(self.loss)[0], default=self._train_columns("anchor"))

    @property
    def label_names_of_training(self) -> list[str] | None:
        """The names of the labels of the training data; None for integers, triplets and several data sets."""
        known = self._training_sets.get(None)
        if known is None or known.set_names is None:
            return None if known is None else known.label_names
        return single_labels(known.label_names or [])

    @property
    def prompts(self) -> dict[str, str]:
        """The prompt of each text column of the prepared data, of the first of several data sets."""
        return self._prompts_of(next(iter(self._training_sets), None))

    def _prompts_of(self, name: str | None) -> dict[str, str]:
        """Return the prompt of each text column of a data set."""
        known = self._known(name) or next(iter(self._training_sets.values()), None)
        return find_prompts(self.args.prompts, self.model, known.columns if known else {}, name)

    def _known(self, name: str | None) -> "PreparedSet | None":
        """Return the training data that a data set with this name is compared with."""
        return self._training_sets.get(name) or self._training_sets.get(None)

    def _train_columns(self, name: str) -> bool:
        """Return whether the first training set has a column of this name."""
        return any(name in known.columns.values() for known in self._training_sets.values())

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device, and add the number of prompt tokens that pooling leaves out."""
        inputs = super()._prepare_inputs(inputs)
        if length := prompt_length_to_exclude(self._prompts_of(inputs.get("dataset_name")), self.model):
            features = inputs["features"]
            inputs["features"] = (
                [{**column, "prompt_length": length} for column in features]
                if isinstance(features, list)
                else {**features, "prompt_length": length}
            )
        return inputs

    # Preparation

    def _prepare(self, dataset: Any, source: str, *, name: str | None = None, training: bool = False) -> Any:
        """Return a data set with the columns that the loss needs, and remember it as a `PreparedSet`.

        A data set that is already prepared, and None, are returned unchanged.

        Args:
            dataset: the data set of the user.
            source: its name in messages.
            name: its name among several data sets.
            training: whether the trainer trains on it. Labels of other data sets get the ids that they have in it.
        """
        if dataset is None or (isinstance(dataset, Dataset) and dataset in self._prepared_sets):
            return dataset
        loss = loss_of_set(self.loss, name)
        labels = set_names = None
        dataset = to_dataset(dataset, source)
        drawn = draw_all(dataset, source) if has_transform(dataset) else dataset
        known = self._known(name)
        if takes_triplets(loss, default=_has_three_texts(drawn)):
            prepared, label_names = prepare_triplets(drawn, source), None
        else:
            names = None if known is None or training else known.set_names or known.label_names
            prepared, label_names = prepare_labelled(drawn, source, names)
            has_sets = has_lists(drawn.features[label_column(drawn)])
            of_training = None if training or known is None else known
            if has_sets or (of_training is not None and of_training.set_names is not None):
                check_both_have_sets(source, of_training is None or of_training.set_names is not None, label_names)
                set_names = label_names
                tell_loss(loss, set_names or [])
                if of_training is not None:
                    of_training.set_names = set_names
            if drawn is not dataset:
                column = label_column(drawn)
                labels = column, drawn[column][:]
        facts = PreparedSet(name, dataset, text_columns(drawn, prepared), labels, label_names, set_names)
        self._prepared_sets[prepared] = facts
        if training or not self._training_sets:
            self._training_sets[name] = facts
        return prepared

    def _prepare_all(self, data: Any, source: str, *, training: bool = False) -> Any:
        """Return one prepared data set, or a `DatasetDict` of several."""
        if not is_table_dict(data):
            return self._prepare(data, source, training=training)
        if training:
            _check_set_names(data, source)
        return DatasetDict(
            {name: self._prepare(one, f"{source} {name!r}", name=name, training=training) for name, one in data.items()}
        )

    def _empty_evaluation_set(self) -> Any:
        """Return a data set without rows. Without one, `transformers` raises an error instead of evaluating."""
        first: Any = next(iter(_parts(self.train_dataset).values())) if self.train_dataset is not None else None
        if first is None:
            return None
        empty, facts = first.select(range(0)), self._prepared_sets[first]
        self._prepared_sets[empty] = PreparedSet(facts.name, empty, facts.columns, label_names=facts.label_names)
        return empty

    # Checks

    def _check_samplers(self, *, default_evaluators: bool) -> None:
        """Check that there are batches, with triplets, and that evaluation data can be measured.

        For P×K batches, log the size of an epoch.

        Raises:
            DataError: an epoch has no batch, a data set allows no P×K batch, the labels of a data set form no triplet,
                or the prompts name a column that does not exist.
        """
        check_prompts(self.args.prompts, {name: facts.columns for name, facts in self._training_sets.items()})
        if self.train_dataset is not None:
            for name, part in _parts(self.train_dataset).items():
                self._check_train_batches(part, _named("train_dataset", name), loss_of_set(self.loss, name))
        for name, part in _parts(self.eval_dataset).items():
            if part is None or len(part) == 0:
                continue
            loss = loss_of_set(self.loss, name)
            check_evaluation_set(part, _named("eval_dataset", name), loss, default_evaluator=default_evaluators)
            if self._groups_by_label and "label" in part.column_names:
                self._eval_group_by_label(part, _named("eval_dataset", name))

    def _check_train_batches(self, dataset: Any, name: str, loss: nn.Module) -> None:
        rows = len(dataset)
        if self._groups_by_label:
            sampler = self._group_by_label(dataset, self._global_batch_size, name)
            logger.info(sampler.describe())
            rows = len(sampler)
        elif isinstance(innermost(loss), BatchLoss):
            check_triplets(loss, dataset["label"][:], self._prepared_sets[dataset].label_names, name)
        if not callable(self.args.batch_sampler):
            check_number_of_batches(rows, self._global_batch_size, drop_last=self.args.dataloader_drop_last, name=name)

    @property
    def _groups_by_label(self) -> bool:
        return bool(self.args.batch_sampler == BatchSamplers.GROUP_BY_LABEL)

    @property
    def _global_batch_size(self) -> int:
        return int(self._train_batch_size * self.args.world_size)

    # Data loaders

    def get_train_dataloader(self) -> Any:
        """Return the data loader of the training data."""
        if not isinstance(self.train_dataset, dict):
            return super().get_train_dataloader()
        generator = torch.Generator().manual_seed(self._data_seed)
        parts = list(self.train_dataset.values())
        samplers = [self._batches(part, self._global_batch_size, generator, training=True) for part in parts]
        rows = ConcatenatedRows([self._rows(part) for part in parts])
        batches = self.get_multi_dataset_batch_sampler(rows, samplers, generator, self._data_seed)
        return self._own_loader(rows, batches, is_training=True)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Return the data loader of an evaluation set: of the trainer, by name or None, or any other data set."""
        if eval_dataset is None or isinstance(eval_dataset, str):
            loader = super().get_eval_dataloader(eval_dataset)
            # A loader that persistent workers keep would draw other batches, with another loss, each time.
            loader.iteration = 0
            return loader
        # With persistent workers, `transformers` keeps loaders by name, and uses the name "eval" for any data set.
        loaders = getattr(self, "_eval_dataloaders", {})
        kept = loaders.pop("eval", None)
        loader = super().get_eval_dataloader(self._prepare(eval_dataset, "eval_dataset"))
        loaders = getattr(self, "_eval_dataloaders", {})
        loaders.pop("eval", None)
        if kept is not None:
            loaders["eval"] = kept
        return loader

    def get_test_dataloader(self, test_dataset: Any) -> Any:
        """Return the data loader of any data set, for `predict`."""
        return super().get_test_dataloader(self._prepare(test_dataset, "test_dataset"))

    def _get_dataloader(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the data loader of a prepared data set."""
        loader = self._loader(dataset, *args, **kwargs)
        kept = self.accelerator._dataloaders
        if not kwargs.get("is_training") and loader in kept:
            kept.remove(loader)  # Else accelerate would keep every data set that was ever evaluated.
        return loader

    def _loader(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        rows, is_training = self._rows(dataset), bool(kwargs.get("is_training"))
        if self._draws_batches:
            size = self._global_batch_size if is_training else self.args.eval_batch_size * self.args.world_size
            generator = torch.Generator().manual_seed(self._data_seed)
            loader = self._own_loader(
                rows, self._batches(dataset, size, generator, training=is_training), is_training=is_training
            )
            if kwargs.get("dataloader_key") is not None and self.args.dataloader_persistent_workers:
                self._eval_dataloaders = {**getattr(self, "_eval_dataloaders", {}), kwargs["dataloader_key"]: loader}
            return loader
        if is_training:
            return EvenBatchSamplerShard.replace(super()._get_dataloader(rows, *args, **kwargs))
        # `dataloader_drop_last` is for training. The evaluation measures every row.
        drop_last, self.args.dataloader_drop_last = self.args.dataloader_drop_last, False
        try:
            return super()._get_dataloader(rows, *args, **kwargs)
        finally:
            self.args.dataloader_drop_last = drop_last

    def _own_loader(self, rows: Any, batches: Any, *, is_training: bool) -> Any:
        """Return the data loader of rows with a batch sampler, which draws the batches of all processes together."""
        workers, processes = self.args.dataloader_num_workers, self.args.world_size
        loader = DataLoader(
            rows,
            batch_sampler=SplitBatches(batches, processes) if processes > 1 else batches,
            collate_fn=self.data_collator,
            num_workers=workers,
            pin_memory=self.args.dataloader_pin_memory,
            persistent_workers=self.args.dataloader_persistent_workers,
            multiprocessing_context=self.args.dataloader_multiprocessing_context,
            prefetch_factor=self.args.dataloader_prefetch_factor,
            in_order=self.args.dataloader_in_order,
            worker_init_fn=partial(seed_worker, num_workers=workers, rank=self.args.process_index)
            if is_training
            else None,
        )
        return EvenBatchSamplerShard.replace(self.accelerator.prepare(loader))

    @property
    def _draws_batches(self) -> bool:
        """True if `get_batch_sampler` draws the batches, instead of a sampler of rows."""
        overridden = type(self).get_batch_sampler is not DataLoadingTrainer.get_batch_sampler
        return overridden or self.args.batch_sampler not in _SAMPLED_BY_ROW

    def _batches(self, dataset: Any, batch_size: int, generator: torch.Generator, *, training: bool) -> Any:
        """Return the batch sampler of a prepared data set. The user's own gets the data set of the user."""
        own = callable(self.args.batch_sampler)
        source = self._prepared_sets[dataset].source if own else dataset
        labels = [name for name in source.column_names if name not in self._prepared_sets[dataset].columns]
        return self.get_batch_sampler(
            source,
            batch_size=batch_size,
            drop_last=self.args.dataloader_drop_last and training,
            valid_label_columns=labels if own else ["label"],
            generator=generator,
            seed=self._data_seed,
        )

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

    # Rows

    @property
    def _packs(self) -> bool:
        """True if the trainer packs the batches itself, without a custom `data_collator`."""
        return self.data_collator in (collate, collate_columns)

    def _collator(self) -> Callable[..., Any]:
        """Return the default collator. A loss with `forward` alone takes the features of each column."""
        by_column = any(
            not takes_embeddings(loss) and takes_triplets(loss, default=self._train_columns("anchor"))
            for loss in set_losses(self.loss)
        )
        return collate_columns if by_column else collate

    def _rows(self, dataset: Any) -> Rows:
        """Return the rows of a prepared data set, with token ids, or with texts for a custom collator."""
        facts = self._prepared_sets[dataset]
        prompts = self._prompts_of(facts.name)
        if facts.labels is not None or has_transform(facts.source):
            return TransformedRows(
                dataset, facts.source, facts.columns, facts.labels, partial(self._convert, prompts), facts.name
            )
        rows = self._with_token_ids(dataset) if self._packs else add_prompts(dataset, prompts)
        return Rows(dataset, rows, facts.name)

    def _convert(self, prompts: Mapping[str, str], role: str, texts: list[str]) -> tuple[str, list[Any]]:
        """Return the key in a batch of drawn texts of a prepared column, and their token ids or texts."""
        texts = [prompts.get(role, "") + text for text in texts]
        return (TOKEN_IDS.format(role), self.model.input_module.token_ids(texts)) if self._packs else (role, texts)

    def _with_token_ids(self, dataset: Any) -> Any:
        encoder, facts = self.model.input_module, self._prepared_sets[dataset]
        prompts = self._prompts_of(facts.name)
        settings = (*encoder.token_settings(), prompts)
        if facts.tokens is None or facts.tokens_for != settings:
            stats = TokenStats()
            facts.tokens = tokenize(dataset, lambda texts: encoder.token_ids(texts, stats), prompts)
            facts.tokens_for = settings
            if dataset is self.train_dataset:
                self.train_token_stats = stats
                encoder.warned.clear()
            stats.warn(encoder.warned)
        return facts.tokens

    def tokenize_train_dataset(self) -> TokenStats | None:
        """Tokenize the training data now instead of at the first step, and warn of texts that the model cannot read.

        Return the counts of truncated texts and unknown tokens; None with a custom `data_collator`.
        """
        if not self._packs:
            return None
        self._rows(self.train_dataset)
        return self.train_token_stats

    # Samplers of rows

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
                k, label_ids = self.args.samples_per_label, dataset["label"][:]
                return SharedLabelSampler(label_ids, sets, batch_size, k, self._data_seed, neighbor_labels)
            return GroupByLabelSampler(
                dataset["label"][:],
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
        """Return the parent of each label of a data set, in sorted order; None if the labels have one level."""
        if not isinstance(self.loss, NestedTripletLoss) or len(self.loss.tree) < 2:
            return None
        parents: np.ndarray = self.loss.tree.ancestors[-2].numpy()[np.unique(np.asarray(dataset["label"][:]))]
        return parents

    @property
    def _data_seed(self) -> int:
        return self.args.seed if self.args.data_seed is None else self.args.data_seed


def _prepared(rows: Any) -> Any:
    """Return the prepared data set of rows, or the data set itself."""
    return rows.prepared if isinstance(rows, Rows) else rows


def _parts(data: Any) -> dict[str | None, Any]:
    """Return the data sets by name; the only one has the name None."""
    return dict(data) if isinstance(data, dict) else {None: data}


def _named(source: str, name: str | None) -> str:
    return source if name is None else f"{source} {name!r}"


def _check_set_names(data: Mapping[str, Any], source: str) -> None:
    """Check a dictionary of data sets to train on.

    Raises:
        DataError: it has a split for evaluation beside one for training.
    """
    splits = set(EVALUATION_SPLITS) & set(data)
    if splits and "train" in data:
        raise DataError(
            f"{source} has the splits {sorted(data)}, and all data sets of a dictionary are trained on; pass "
            f"train_dataset=data['train'] and eval_dataset=data[{min(splits)!r}]"
        )


def _has_three_texts(dataset: Any) -> bool:
    """Return whether all columns of a data set are texts, and there are three."""
    features = getattr(dataset, "features", None) or {}
    return len(features) == 3 and all("string" in str(getattr(value, "dtype", "")) for value in features.values())
