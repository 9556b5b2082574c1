"""One batch across processes: the rows of all ranks, with the gradient that data-parallel training needs."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def is_shared(embeddings: Tensor) -> bool:
    """Whether these embeddings are a rank's share of a batch in training."""
    return embeddings.requires_grad and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def gather_rows(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The embeddings and labels of all ranks, in rank order; the same ones where there is one process.

    Only while training (embeddings that require a gradient): an evaluation may run on one rank alone.
    Ranks may hold different numbers of rows. Every rank computes the loss of the whole batch, so the
    gradient of its own rows is complete without further communication; it is multiplied by the number
    of ranks because `DistributedDataParallel` divides by it.

    Args:
        embeddings: `(rows, dim)` of this rank.
        labels: `(rows,)` int64, numbered alike on all ranks.
    """
    if not is_shared(embeddings):
        return embeddings, labels
    sizes = _all_gather(torch.tensor([len(embeddings)], device=embeddings.device))
    counts = [int(size) for size in sizes]
    return _GatherRows.apply(embeddings, counts), torch.cat(_all_gather_ragged(labels, counts))


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        return torch.cat(_all_gather_ragged(rows, counts))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        own = gradient.split(ctx.counts)[dist.get_rank()]
        return own * dist.get_world_size(), None


def _all_gather_ragged(rows: Tensor, counts: list[int]) -> list[Tensor]:
    """All-gather tensors that differ in their first dimension, padding to the longest on the way."""
    padded = rows.new_zeros((max(counts), *rows.shape[1:]))
    padded[: len(rows)] = rows.detach()
    return [part[:count] for part, count in zip(_all_gather(padded), counts, strict=True)]


def _all_gather(tensor: Tensor) -> list[Tensor]:
    parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, tensor.contiguous())
    return parts
