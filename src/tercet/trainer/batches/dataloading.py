"""Create the data loaders of the trainer, and split their batches over the processes."""

from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers.trainer_utils import seed_worker

from tercet.trainer.arguments import BatchSamplers
from tercet.trainer.batches.rows import ConcatenatedRows
from tercet.trainer.batches.split_batches import EvenBatchSamplerShard, SplitBatches
from tercet.trainer.batches.stream_batches import StreamBatches
from tercet.trainer.batches.tokenizing import TokenizingTrainer
from tercet.trainer.data_sets.prepared_sets import check_set_name
from tercet.trainer.data_sets.streaming import Stream

_SAMPLED_BY_ROW = (BatchSamplers.BATCH_SAMPLER, BatchSamplers.GROUP_BY_LABEL)


class DataLoadingTrainer(TokenizingTrainer):
    """The part of `SentenceTransformerTrainer` that makes data loaders."""

    def get_train_dataloader(self) -> Any:
        """Return the data loader of the training data."""
        if isinstance(self.train_dataset, Stream):
            return self._stream_loader(self.train_dataset)
        if not isinstance(self.train_dataset, dict):
            return super().get_train_dataloader()
        generator = torch.Generator().manual_seed(self._data_seed)
        parts = list(self.train_dataset.values())
        samplers = [self._batches(part, self._global_batch_size, generator, training=True) for part in parts]
        rows = ConcatenatedRows([self._rows(part) for part in parts])
        batches = self.get_multi_dataset_batch_sampler(rows, samplers, generator, self._data_seed)
        return self._own_loader(rows, batches, is_training=True)

    def _stream_loader(self, stream: Stream) -> DataLoader[Any]:
        """Return the data loader of the batches of this process. It has no end, and no length."""
        facts, args = self._prepared_sets[stream.prepared], self.args
        if self._packs:
            self._count_tokens_of_sample(stream.prepared)
        batches = StreamBatches(
            stream,
            facts.columns,
            batch_size=self._global_batch_size,
            samples_per_label=args.samples_per_label if self._groups_by_label else None,
            convert=self._converter(stream.prepared),
            seed=self._data_seed,
            process=(args.process_index, args.world_size),
            drop_last=args.dataloader_drop_last,
        )
        return DataLoader(
            batches,
            batch_size=None,
            collate_fn=self.data_collator,
            num_workers=args.dataloader_num_workers,
            **_loader_options(args, "pin_memory", "prefetch_factor", "multiprocessing_context"),
        )

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Return the data loader of an evaluation set: of the trainer, by name or None, or any other data set."""
        if isinstance(eval_dataset, str):
            check_set_name(eval_dataset, self.eval_dataset)
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
            **_loader_options(
                self.args, "pin_memory", "persistent_workers", "multiprocessing_context", "prefetch_factor", "in_order"
            ),
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


def _loader_options(args: Any, *names: str) -> dict[str, Any]:
    """Return these options of `DataLoader` as in the arguments. Older versions of transformers do not have them all."""
    found = {name: getattr(args, f"dataloader_{name}", None) for name in names}
    return {name: value for name, value in found.items() if value is not None}
