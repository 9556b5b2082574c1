"""Support distributed training: split each batch evenly over the processes, encode each sentence in one process."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from accelerate.data_loader import BatchSamplerShard
from torch import Tensor

from tercet._distributed import is_first_process, rank, world_size
from tercet._gather import gather_rows


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


class DistributedEncoder:
    """A wrapper of a model whose `encode` splits the sentences over the processes and gathers all embeddings.

    Args:
        model: the model. All attributes and methods except `encode` are those of the model.
        columns: arguments of `encode`, such as `prompt` and `task`: one dictionary for all sentences; or several, each
            for as many consecutive sentences, as for anchors, positives and negatives. By default none.
    """

    def __init__(self, model: Any, columns: Sequence[Mapping[str, Any]] = ()) -> None:
        self.model, self._columns = model, columns

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def encode(self, sentences: list[str], *, convert_to_tensor: bool, **options: Any) -> Tensor:
        """Return the embeddings `(num_sentences, dim)` of all sentences in every process. All processes must call it.

        Args:
            sentences: the sentences, the same in every process.
            convert_to_tensor: not used, because the result is always a tensor; `SentenceTransformer.encode` has it too.
            **options: other arguments of the model's `encode`. Only the first process shows a progress bar.
        """
        options["show_progress_bar"] = options.get("show_progress_bar", False) and is_first_process()
        if not self._columns:
            return self._encode(sentences, **options)
        size = len(sentences) // len(self._columns)
        parts = [sentences[number * size : (number + 1) * size] for number in range(len(self._columns))]
        return torch.cat(
            [self._encode(part, **column, **options) for part, column in zip(parts, self._columns, strict=True)]
        )

    def _encode(self, sentences: list[str], **options: Any) -> Tensor:
        if world_size() == 1:
            embeddings: Tensor = self.model.encode(sentences, convert_to_tensor=True, **options)
            return embeddings
        indices = torch.arange(rank(), len(sentences), world_size(), device=self.model.device)
        own_sentences = [sentences[index] for index in indices.tolist()]
        own_embeddings = self.model.encode(own_sentences, convert_to_tensor=True, **options)
        gathered, gathered_indices, _ = gather_rows(own_embeddings, indices)
        return torch.empty_like(gathered).index_copy_(0, gathered_indices, gathered)
