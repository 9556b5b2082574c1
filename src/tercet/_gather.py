"""One batch across processes: the rows of all ranks, with the gradient that data-parallel training needs.

Each rank mines for its own rows as anchors, against the rows of all ranks as candidates. Its loss is its
anchors' share in the loss of the whole batch, so what flows back to a row is the sum over the ranks; it is
multiplied by the number of ranks because `DistributedDataParallel` divides by it.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from tercet._distributed import rank, world_size


def is_distributed_batch(embeddings: Tensor) -> bool:
    """Whether these embeddings are a rank's share of a batch in training: an evaluation may run on one rank alone."""
    return embeddings.requires_grad and world_size() > 1


def gather_rows(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, slice]:
    """The embeddings and labels of all ranks, in rank order, and which rows are this rank's.

    Ranks may hold different numbers of rows, or none.

    Args:
        embeddings: `(rows, dim)` of this rank.
        labels: `(rows,)` int64, numbered alike on all ranks.
    """
    if world_size() == 1:
        return embeddings, labels, slice(0, len(labels))
    sizes = _all_gather(torch.tensor([len(embeddings)], device=embeddings.device))
    counts = [int(size) for size in sizes]
    start = sum(counts[: rank()])
    rows = slice(start, start + len(labels))
    return _GatherRows.apply(embeddings, counts, rows), torch.cat(_all_gather_ragged(labels, counts)), rows


def all_reduce_sum(value: Tensor) -> Tensor:
    """The sum of a tensor over all ranks, without a gradient."""
    total = value.detach().clone()
    if world_size() > 1:
        dist.all_reduce(total)
    return total


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, embeddings: Tensor, counts: list[int], rows: slice) -> Tensor:
        ctx.rows = rows
        return torch.cat(_all_gather_ragged(embeddings, counts))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return all_reduce_sum(gradient)[ctx.rows] * world_size(), None, None


def _all_gather_ragged(rows: Tensor, counts: list[int]) -> list[Tensor]:
    """All-gather tensors that differ in their first dimension, padding to the longest on the way."""
    padded = rows.new_zeros((max(counts), *rows.shape[1:]))
    padded[: len(rows)] = rows.detach()
    return [part[:count] for part, count in zip(_all_gather(padded), counts, strict=True)]


def _all_gather(tensor: Tensor) -> list[Tensor]:
    parts = [torch.empty_like(tensor) for _ in range(world_size())]
    dist.all_gather(parts, tensor.contiguous())
    return parts
