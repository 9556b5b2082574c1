"""The batches of `model.fit`, drawn from the data loaders before the first step."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice
from typing import Any

import torch
from torch.utils.data import BatchSampler, RandomSampler

from tercet.errors import DataError
from tercet.trainer import SentenceTransformerTrainingArguments

# The seed of the trainer, by which `fit` of sentence-transformers 6 shuffles.
_SEED: int = SentenceTransformerTrainingArguments.seed


class DrawnBatches:
    """The examples of a data loader, and the row numbers of its batches in each epoch.

    Attributes:
        examples: the examples. Those of the loader's data set come first, in its order.
        epochs: for each epoch, for each batch, the row numbers of its examples.
        batch_size: the number of rows of the largest batch.
        full_batches: the number of batches of an epoch without a last, smaller one; at least 1.
    """

    def __init__(self, loader: Any) -> None:
        self.examples: list[Any] = []
        self.epochs: list[list[list[int]]] = []
        self._rows: dict[int, int] = {}
        data = getattr(loader, "dataset", None)
        known = getattr(data, "grouped_inputs", data)
        if isinstance(known, Sequence):
            self._number(known)

    @property
    def batch_size(self) -> int:
        """The number of rows of the largest batch."""
        return max(len(batch) for epoch in self.epochs for batch in epoch)

    @property
    def full_batches(self) -> int:
        """The number of batches of an epoch that have `batch_size` rows; at least 1."""
        size = self.batch_size  # It counts the rows of all batches.
        return max(1, sum(len(batch) == size for batch in self.epochs[0]))

    def add_epochs(self, batches: Iterator[Sequence[Any]], per_epoch: int, epochs: int) -> None:
        """Take the batches of all epochs."""
        self.epochs = [[self._number(next(batches)) for _ in range(per_epoch)] for _ in range(epochs)]

    def _number(self, examples: Sequence[Any]) -> list[int]:
        """Return the row number of each example. A new example gets the next row."""
        for example in examples:
            if id(example) not in self._rows:
                self._rows[id(example)] = len(self.examples)
                self.examples.append(example)
        return [self._rows[id(example)] for example in examples]


def draw_batches(loaders: Sequence[Any], names: Sequence[str], per_epoch: int, epochs: int) -> list[DrawnBatches]:
    """Draw the batches of all epochs.

    Data loaders with `shuffle=True` are drawn from once. Their rows are then shuffled for each epoch with the seed of
    the trainer, as in sentence-transformers 6. Other data loaders are drawn from in each epoch, so that their order,
    their groups and their own samplers count.

    Args:
        loaders: the data loaders.
        names: their names in messages.
        per_epoch: the number of batches that each gives in an epoch.
        epochs: the number of epochs.

    Raises:
        DataError: a data loader has no batch.
    """
    drawn = [DrawnBatches(loader) for loader in loaders]
    shuffled: dict[int, list[Any]] = {}
    for place, (loader, name) in enumerate(zip(loaders, names, strict=True)):
        with _without_collating(loader):
            if is_shuffled(loader):
                shuffled[place] = [example for batch in loader for example in batch]
                if not shuffled[place]:
                    raise _no_batch(name)
            else:
                drawn[place].add_epochs(_endless(loader, name), per_epoch, epochs)
    if shuffled:
        sizes = [loaders[place].batch_size for place in shuffled]
        batches = _shuffled_batches(list(shuffled.values()), sizes)
        stream = list(islice(batches, per_epoch * epochs))
        for place, own in zip(shuffled, zip(*stream, strict=True), strict=True):
            drawn[place].add_epochs(iter(own), per_epoch, epochs)
    return drawn


def is_shuffled(loader: Any) -> bool:
    """Return whether a data loader draws each row once an epoch, in random order, in plain batches."""
    sampler = getattr(loader, "sampler", None)
    return (
        type(sampler) is RandomSampler
        and not sampler.replacement
        and sampler.num_samples == len(sampler.data_source)
        and type(loader.batch_sampler) is BatchSampler
    )


def _shuffled_batches(rows: list[list[Any]], sizes: list[int]) -> Iterator[list[list[Any]]]:
    """Yield a batch of each data set, without an end. The shortest one ends an epoch."""
    for epoch in count():
        generator = torch.Generator().manual_seed(_SEED + epoch)
        orders = [torch.randperm(len(own), generator=generator) for own in rows]
        parts = [order.split(size) for order, size in zip(orders, sizes, strict=True)]
        for batch in zip(*parts, strict=False):
            yield [[own[row] for row in numbers.tolist()] for own, numbers in zip(rows, batch, strict=True)]


class EpochBatches:
    """The batch sampler of drawn batches."""

    def __init__(self, epochs: list[list[list[int]]], batch_size: int) -> None:
        self.epochs, self.batch_size, self.drop_last, self.epoch = epochs, batch_size, False, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that is drawn next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        yield from self.epochs[self.epoch]

    def __len__(self) -> int:
        return len(self.epochs[0])


class BatchesByDataSet:
    """The training argument `batch_sampler`: a function from a data set to its drawn batches."""

    def __init__(self, drawn: dict[int, DrawnBatches]) -> None:
        self._drawn, self.__qualname__ = drawn, "DataLoader"

    def __call__(self, dataset: Any, **options: Any) -> EpochBatches:
        """Return the batch sampler of a data set."""
        drawn = self._drawn[id(dataset)]
        return EpochBatches(drawn.epochs, drawn.batch_size)


class BatchesInTurn(EpochBatches):
    """The training argument `multi_dataset_batch_sampler`: a batch of each data loader in turn."""

    def __init__(self, dataset: Any, batch_samplers: list[EpochBatches], **options: Any) -> None:
        first_rows = [0, *dataset.cumulative_sizes]
        shifted = [
            [[[first + row for row in batch] for batch in epoch] for epoch in sampler.epochs]
            for first, sampler in zip(first_rows, batch_samplers, strict=False)
        ]
        turns = (zip(*epoch, strict=True) for epoch in zip(*shifted, strict=True))
        epochs = [[batch for batches in turn for batch in batches] for turn in turns]
        super().__init__(epochs, batch_samplers[0].batch_size)


@contextmanager
def _without_collating(loader: Any) -> Iterator[None]:
    """Make a data loader return lists of examples."""
    before = loader.collate_fn
    loader.collate_fn = list
    try:
        yield
    finally:
        loader.collate_fn = before


def _endless(loader: Any, name: str) -> Iterator[Any]:
    """Yield the batches of a data loader, and start again after the last one."""
    while True:
        batch = None
        for batch in loader:
            yield batch
        if batch is None:
            raise _no_batch(name)


def _no_batch(name: str) -> DataError:
    return DataError(f"{name} has no batch; check its data set and batch_size")
