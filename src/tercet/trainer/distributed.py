"""Several processes as one: every batch dealt evenly, sentences to measure on embedded once."""

from collections.abc import Iterator
from typing import Any

import torch
from accelerate.data_loader import BatchSamplerShard
from torch import Tensor

from tercet._distributed import is_first_process, rank, world_size
from tercet._gather import gather_rows


class EvenBatchSamplerShard(BatchSamplerShard):
    """This process's share of every batch of all processes; a last, smaller batch is dealt evenly too.

    accelerate fills up a last batch with rows from the start, so that the same sentence would be mined twice. Fewer
    rows at the end than there are processes are left out.
    """

    @classmethod
    def replace(cls, loader: Any) -> Any:
        """The loader that accelerate prepared for several processes, with its batches dealt in this way."""
        if type(loader.batch_sampler) is BatchSamplerShard:
            loader.batch_sampler.__class__ = cls
        return loader

    def __iter__(self) -> Iterator[list[int]]:
        rows: list[int] = []
        for number, batch in enumerate(self.batch_sampler, 1):
            rows += batch
            if number % self.num_processes == 0:
                yield self._share(rows)
                rows = []
        if self._deals(len(rows)):
            yield self._share(rows)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.batch_sampler), self.num_processes)
        rows = len(self.batch_sampler.sampler) - whole * self.num_processes * self.batch_size
        return whole + (rest > 0 and self._deals(rows))

    def _deals(self, rows: int) -> bool:
        return rows >= self.num_processes and not self.drop_last

    def _share(self, rows: list[int]) -> list[int]:
        start, stop = (len(rows) * rank // self.num_processes for rank in (self.process_index, self.process_index + 1))
        return rows[start:stop]


class DistributedEncoder:
    """A model whose `encode` embeds this process's share of the sentences and gathers those of all.

    Args:
        keep: leave what `encode` gave last in `kept`, on the CPU.
    """

    def __init__(self, model: Any, *, keep: bool = False) -> None:
        self.model = model
        self.kept: Tensor | None = None
        self._keep = keep

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def encode(self, sentences: list[str], *, convert_to_tensor: bool, **options: Any) -> Tensor:
        """As the model's `encode`, on every process with the same result; called by all of them."""
        embeddings = self._encode(sentences, **options)
        if self._keep:
            self.kept = embeddings.detach().cpu()
        return embeddings

    def _encode(self, sentences: list[str], **options: Any) -> Tensor:
        options["show_progress_bar"] = options.get("show_progress_bar", False) and is_first_process()
        processes = world_size()
        if processes == 1:
            whole: Tensor = self.model.encode(sentences, convert_to_tensor=True, **options)
            return whole
        mine = torch.arange(rank(), len(sentences), processes, device=self.model.device)
        embeddings = self.model.encode([sentences[row] for row in mine.tolist()], convert_to_tensor=True, **options)
        gathered, rows, _ = gather_rows(embeddings, mine)
        return torch.empty_like(gathered).index_copy_(0, rows, gathered)
