"""Split each batch evenly over the processes."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from accelerate.data_loader import BatchSamplerShard


class EvenBatchSamplerShard(BatchSamplerShard):
    """A batch sampler that splits every global batch evenly and yields the rows of this process.

    The last batch may have fewer rows. accelerate would fill it up with rows from the start of the data set, so the
    loss could see the same sentence twice. This sampler splits the remaining rows evenly instead. If there are fewer
    remaining rows than processes, or `drop_last` is set, it drops them.
    """

    @classmethod
    def replace(cls, loader: Any) -> Any:
        """Replace the batch sampler of a data loader that accelerate split over processes. Return the loader.

        A loader that is not split does not change.
        """
        if type(loader.batch_sampler) is BatchSamplerShard:
            loader.batch_sampler.__class__ = cls
        return loader

    def __iter__(self) -> Iterator[list[int]]:
        rows: list[int] = []
        for number, batch in enumerate(self.batch_sampler, 1):
            rows += batch
            if number % self.num_processes == 0:
                yield self._rows_of_this_process(rows)
                rows = []
        if self._is_used(len(rows)):
            yield self._rows_of_this_process(rows)

    def __len__(self) -> int:
        complete, remaining_batches = map(int, divmod(len(self.batch_sampler), self.num_processes))
        if not remaining_batches:
            return complete
        remaining_rows = len(self.batch_sampler.sampler) - complete * self.num_processes * self.batch_size
        return complete + self._is_used(remaining_rows)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the batch sampler that is split, if it has one."""
        if hasattr(self.batch_sampler, "set_epoch"):
            self.batch_sampler.set_epoch(epoch)

    def _is_used(self, num_rows: int) -> bool:
        """Return whether a last batch of `num_rows` is used: each process gets a row, and `drop_last` is False."""
        return num_rows >= self.num_processes and not self.drop_last

    def _rows_of_this_process(self, rows: list[int]) -> list[int]:
        start = len(rows) * self.process_index // self.num_processes
        stop = len(rows) * (self.process_index + 1) // self.num_processes
        return rows[start:stop]


class SplitBatches:
    """The batches of a sampler, each divided into one part for each process, for `EvenBatchSamplerShard`.

    Args:
        batches: a batch sampler whose batches are those of all processes together.
        processes: the number of processes.
    """

    def __init__(self, batches: Any, processes: int) -> None:
        self.batches, self.processes = batches, processes
        self.batch_size, self.drop_last = getattr(batches, "batch_size", None), False

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batches:
            if len(batch) >= self.processes:
                bounds = [len(batch) * number // self.processes for number in range(self.processes + 1)]
                yield from (batch[start:stop] for start, stop in pairwise(bounds))

    def __len__(self) -> int:
        return len(self.batches) * self.processes

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the sampler."""
        if hasattr(self.batches, "set_epoch"):
            self.batches.set_epoch(epoch)
