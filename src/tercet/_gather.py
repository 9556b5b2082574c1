"""One batch across processes: the rows of all processes, with the gradient that data-parallel training needs.

Each process mines with its own rows as anchors and the rows of all processes as candidates. Its loss is the part of its
anchors in the loss of the complete batch, so the gradient of a row is the sum over the processes. It is multiplied by
the number of processes, because `DistributedDataParallel` divides by it.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from tercet._distributed import rank, world_size


def is_distributed_batch(embeddings: Tensor) -> bool:
    """Return whether the embeddings are one process's rows of a training batch.

    Without a gradient they are not: an evaluation may run in one process alone.
    """
    return embeddings.requires_grad and world_size() > 1


def gather_rows(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, slice]:
    """Return the embeddings and labels of all processes, in the order of their ranks, and the rows of this process.

    Processes may have different numbers of rows, or none.

    Args:
        embeddings: `(rows, dim)` of this process.
        labels: `(rows,)` int64, with the same numbering in every process.
    """
    if world_size() == 1:
        return embeddings, labels, slice(0, len(labels))
    sizes = _all_gather(torch.tensor([len(embeddings)], device=embeddings.device))
    counts = [int(size) for size in sizes]
    start = sum(counts[: rank()])
    rows = slice(start, start + len(labels))
    return _GatherRows.apply(embeddings, counts, rows), torch.cat(_all_gather_ragged(labels, counts)), rows


def all_reduce_sum(value: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes, without a gradient."""
    total = value.detach().clone()
    if world_size() > 1:
        dist.all_reduce(total)
    return total


class _GatherRows(torch.autograd.Function):
    """Concatenate the rows of all processes; the gradient of a row is summed over the processes."""

    @staticmethod
    def forward(ctx: Any, embeddings: Tensor, counts: list[int], rows: slice) -> Tensor:
        ctx.rows = rows
        return torch.cat(_all_gather_ragged(embeddings, counts))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return all_reduce_sum(gradient)[ctx.rows] * world_size(), None, None


def _all_gather_ragged(rows: Tensor, counts: list[int]) -> list[Tensor]:
    """All-gather tensors that differ in their first dimension: pad them to the longest, then cut the padding off."""
    padded = rows.new_zeros((max(counts), *rows.shape[1:]))
    padded[: len(rows)] = rows.detach()
    return [part[:count] for part, count in zip(_all_gather(padded), counts, strict=True)]


def _all_gather(tensor: Tensor) -> list[Tensor]:
    parts = [torch.empty_like(tensor) for _ in range(world_size())]
    dist.all_gather(parts, tensor.contiguous())
    return parts
