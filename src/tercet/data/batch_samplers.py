"""Batch samplers: which rows form a batch, for one data set and for several.

The names, the arguments and the batches are those of sentence-transformers (exception: `GroupByLabelBatchSampler`,
which draws every row). The trainer makes them from its training arguments, and so can a subclass of them:

DefaultBatchSampler              the base class for one data set; the rows in the order of a sampler
NoDuplicatesBatchSampler         no text twice in a batch
GroupByLabelBatchSampler         P labels with K rows each, as `GroupByLabelSampler` draws them
MultiDatasetDefaultBatchSampler  the base class for several data sets; each batch has the rows of one data set
RoundRobinBatchSampler           the data sets in turn, until one has no more batches
ProportionalBatchSampler         all batches of all data sets, in random order
"""

import logging
from collections import deque
from collections.abc import Iterator, Sequence, Sized
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import BatchSampler, ConcatDataset, SubsetRandomSampler

from tercet.data.sampling.sampler import GroupByLabelSampler
from tercet.data.tables.dataset_columns import integers_of
from tercet.errors import DataError

__all__ = [
    "DefaultBatchSampler",
    "GroupByLabelBatchSampler",
    "MultiDatasetDefaultBatchSampler",
    "NoDuplicatesBatchSampler",
    "ProportionalBatchSampler",
    "RoundRobinBatchSampler",
]

logger = logging.getLogger(__name__)

# Further passes over the data to draw the promised number of batches without duplicates.
_MORE_PASSES = 2


class DefaultBatchSampler(BatchSampler):
    """A batch sampler for one data set: consecutive rows of a sampler.

    A subclass may override `__iter__`, which yields the row numbers of each batch, and `__len__`. Pass the class as
    `batch_sampler` in the training arguments.

    Args:
        dataset: a sampler, or the data set for a subclass that draws the rows itself.
        batch_size: the number of rows per batch; in distributed training, of all processes together.
        drop_last: whether to drop a last batch with fewer rows.
        valid_label_columns: the names that the label column may have.
        generator: the random number generator.
        seed: the seed of the run.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        drop_last: bool,
        valid_label_columns: list[str] | None = None,
        generator: torch.Generator | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(dataset, batch_size, drop_last)
        self.valid_label_columns, self.generator, self.seed = valid_label_columns, generator, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines the random order of the next iteration."""
        self.epoch = epoch
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)


class NoDuplicatesBatchSampler(DefaultBatchSampler):
    """A batch sampler in whose batches no text occurs twice, not even in two columns.

    A row with a text that is already in the batch waits for a later batch. If `drop_last` is True and one pass over the
    rows gives fewer batches than `len`, rows are drawn again.

    Args:
        dataset: a `datasets.Dataset`; all columns but the label are compared.
        batch_size: as in `DefaultBatchSampler`, and so are `drop_last`, `valid_label_columns`, `generator` and `seed`.
        precompute_hashes: not used, because the texts are numbered once in any case, and so are `precompute_num_proc`
            and `precompute_batch_size`.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        drop_last: bool,
        valid_label_columns: list[str] | None = None,
        generator: torch.Generator | None = None,
        seed: int = 0,
        precompute_hashes: bool = False,
        precompute_num_proc: int | None = None,
        precompute_batch_size: int = 1000,
    ) -> None:
        super().__init__(dataset, batch_size, drop_last, valid_label_columns, generator, seed)
        columns = [name for name in dataset.column_names if name not in (valid_label_columns or [])]
        numbers: dict[str, int] = {}
        self._texts = [
            {numbers.setdefault(str(value), len(numbers)) for value in row}
            for row in zip(*(dataset[name][:] for name in columns), strict=True)
        ]

    def __iter__(self) -> Iterator[list[int]]:
        _seed_generator(self)
        drawn = 0
        for _ in range(1 + _MORE_PASSES):
            is_first_pass = drawn == 0
            for batch in self._pass():
                if not is_first_pass and drawn >= len(self):
                    return
                yield batch
                drawn += 1
            if drawn == 0 or drawn >= len(self):
                break
        if drawn < len(self):
            logger.warning(
                f"an epoch has only {drawn} of {len(self)} batches, because the data have few different texts; use a "
                "smaller batch size"
            )

    def _pass(self) -> Iterator[list[int]]:
        """Yield the batches of one pass over the rows in random order."""
        rows = len(self._texts)
        dtype = torch.int32 if rows <= torch.iinfo(torch.int32).max else torch.int64
        waiting = deque(torch.randperm(rows, generator=self.generator, dtype=dtype).tolist())
        while waiting:
            batch: list[int] = []
            texts: set[int] = set()
            later: list[int] = []
            while waiting and len(batch) < self.batch_size:
                row = waiting.popleft()
                if texts.isdisjoint(self._texts[row]):
                    batch.append(row)
                    texts |= self._texts[row]
                else:
                    later.append(row)
            waiting.extendleft(reversed(later))
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        rows = len(self._texts)
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)


class GroupByLabelBatchSampler(DefaultBatchSampler):
    """A batch sampler of P labels with K rows each. Every epoch has every row, see `tercet.data.sampling.sampler`.

    Args:
        dataset: a `datasets.Dataset` with a column that is named in `valid_label_columns`.
        batch_size: as in `DefaultBatchSampler`, and so are `drop_last`, `valid_label_columns`, `generator` and `seed`.
            The generator is not used.
        samples_per_label: K.

    Raises:
        DataError: the data set has no such column, or no batch can hold a triplet.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        drop_last: bool = False,
        valid_label_columns: list[str] | None = None,
        generator: torch.Generator | None = None,
        seed: int = 0,
        samples_per_label: int = 2,
    ) -> None:
        names = [name for name in valid_label_columns or ["label"] if name in dataset.column_names]
        if not names:
            raise DataError(
                f"the data set has none of the label columns {valid_label_columns}; its columns are "
                f"{dataset.column_names}"
            )
        found = integers_of(dataset, names[0]) if isinstance(dataset, Dataset) else None
        labels = dataset[names[0]][:] if found is None else found
        sampler = GroupByLabelSampler(labels, batch_size, samples_per_label, seed)
        super().__init__(sampler, batch_size, drop_last, valid_label_columns, generator, seed)


class MultiDatasetDefaultBatchSampler(BatchSampler):
    """The base class of batch samplers for several data sets. A subclass overrides `__iter__` and `__len__`.

    Args:
        dataset: the concatenation of the data sets.
        batch_samplers: a batch sampler for each data set.
        generator: the random number generator, which may be that of the batch samplers, too.
        seed: the seed of the run.

    Raises:
        DataError: there is not one batch sampler for each data set.
    """

    def __init__(
        self,
        dataset: ConcatDataset[Any],
        batch_samplers: Sequence[BatchSampler],
        generator: torch.Generator | None = None,
        seed: int = 0,
    ) -> None:
        if len(dataset.datasets) != len(batch_samplers):
            raise DataError(f"got {len(batch_samplers)} batch samplers for {len(dataset.datasets)} data sets")
        super().__init__(range(0), batch_samplers[0].batch_size, batch_samplers[0].drop_last)
        self.dataset, self.batch_samplers, self.generator, self.seed = dataset, batch_samplers, generator, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of this batch sampler and of those of the data sets."""
        self.epoch = epoch
        for sampler in self.batch_samplers:
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[int]]:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def _start(self) -> list[int]:
        """Seed the generator. Return the number of the first row of each data set in the concatenation."""
        _seed_generator(self)
        lengths: list[Sized] = list(self.dataset.datasets)  # type: ignore[arg-type]
        return [0, *accumulate(map(len, lengths))]


class RoundRobinBatchSampler(MultiDatasetDefaultBatchSampler):
    """A batch sampler that takes a batch of each data set in turn, until one data set has no more batches."""

    def __iter__(self) -> Iterator[list[int]]:
        first_rows = self._start()
        for batches in zip(*self.batch_samplers, strict=False):
            for first, batch in zip(first_rows, batches, strict=False):
                yield [first + row for row in batch]

    def __len__(self) -> int:
        return min(map(len, self.batch_samplers)) * len(self.batch_samplers)


class ProportionalBatchSampler(MultiDatasetDefaultBatchSampler):
    """A batch sampler that takes all batches of all data sets, in random order: of large data sets more often."""

    def __iter__(self) -> Iterator[list[int]]:
        first_rows = self._start()
        turns = np.repeat(np.arange(len(self.batch_samplers)), [len(sampler) for sampler in self.batch_samplers])
        order = SubsetRandomSampler(turns.tolist(), generator=self.generator)
        batches = [iter(sampler) for sampler in self.batch_samplers]
        for turn in order:
            batch = next(batches[turn], None)
            if batch is not None:  # A batch sampler may have fewer batches than its `len`.
                yield [first_rows[turn] + row for row in batch]

    def __len__(self) -> int:
        return sum(map(len, self.batch_samplers))


def _seed_generator(sampler: DefaultBatchSampler | MultiDatasetDefaultBatchSampler) -> None:
    """Seed the generator of a batch sampler for its epoch, if it has a generator and a seed."""
    if sampler.generator is not None and sampler.seed is not None:
        sampler.generator.manual_seed(sampler.seed + sampler.epoch)
