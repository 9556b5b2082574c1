"""Collate the next training batches in a thread while a GPU computes, and copy batches while it computes."""

from collections.abc import Generator
from typing import Any

from accelerate.utils import send_to_device
from torch.utils.data import DataLoader

from tercet.encoder.ahead import read_ahead
from tercet.trainer.batches.dataloading import DataLoadingTrainer
from tercet.trainer.batches.sampling import SamplingTrainer
from tercet.trainer.data_sets.columns import has_transform
from tercet.trainer.data_sets.prepared_sets import parts_of
from tercet.trainer.data_sets.streaming import Stream

# The number of batches that are ready or in work. accelerate holds one more.
_BATCHES_AHEAD = 2
# The methods that draw batches. A subclass of the user may have its own.
_DRAWING = ("get_batch_sampler", "get_multi_dataset_batch_sampler", "_get_train_sampler")


class AheadLoader(DataLoader[Any]):
    """A data loader without workers whose next batches are collated, and pinned, in a thread.

    The thread ends with the last batch, with an error, when the next epoch begins, and with `stop`.
    """

    _batches: Generator[Any, None, None] | None = None

    @classmethod
    def replace(cls, loader: Any) -> Any:
        """Collate the batches of a data loader of accelerate in a thread. Return the loader.

        Another loader than that of torch does not change.
        """
        if type(getattr(loader, "base_dataloader", None)) is DataLoader:
            loader.base_dataloader.__class__ = cls
        return loader

    def __iter__(self) -> Any:
        self.stop()
        self._batches = read_ahead(super().__iter__(), ahead=_BATCHES_AHEAD)
        return self._batches

    def stop(self) -> None:
        """End the thread."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None


class CollatingAheadTrainer(DataLoadingTrainer):
    """The part of `SentenceTransformerTrainer` that prepares batches while a GPU computes."""

    _train_loader: Any = None

    def get_train_dataloader(self) -> Any:
        """Return the data loader of the training data. On a GPU, a thread collates the next batches."""
        loader = super().get_train_dataloader()
        self._train_loader = AheadLoader.replace(loader) if self._collates_ahead() else loader
        return loader

    def _collates_ahead(self) -> bool:
        """Return whether a thread collates the training batches: on a GPU, if no code of the user takes part.

        On a CPU the thread would take a processor from the training. A collator, a transform, a batch sampler or a
        stream of the user may draw random numbers, whose order would no longer be that of the seed.
        """
        args, data = self.args, self.train_dataset
        return (
            args.device.type != "cpu"
            and args.dataloader_num_workers == 0
            and self._packs
            and not isinstance(data, Stream)
            and not any(has_transform(self._prepared_sets[part].source) for part in parts_of(data).values())
            and not any(map(callable, (args.batch_sampler, args.multi_dataset_batch_sampler)))
            and all(getattr(type(self), name) is getattr(SamplingTrainer, name) for name in _DRAWING)
        )

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train as in `transformers.Trainer.train`. No thread is left afterwards, also after an error."""
        try:
            return super().train(*args, **kwargs)
        finally:
            base, self._train_loader = getattr(self._train_loader, "base_dataloader", None), None
            if isinstance(base, AheadLoader):
                base.stop()

    def _prepare_input(self, data: Any) -> Any:
        """Return a batch on the device. The batches of a stream come pinned, and are copied while a GPU computes."""
        config: Any = self.args.accelerator_config
        if not config.non_blocking:
            return super()._prepare_input(data)
        return send_to_device(data, self.args.device, non_blocking=True)
