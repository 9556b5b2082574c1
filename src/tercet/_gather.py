"""Gather the embeddings of all processes into one batch, with the gradient that data-parallel training needs.

Each process uses its own rows as anchors and the rows of all processes as candidates. Its loss is the contribution of
its anchors to the loss of the complete batch. The gradient of a row is therefore summed over the processes. It is also
multiplied by the number of processes, because `DistributedDataParallel` divides gradients by this number. (With a
distance function, every process computes the complete loss instead; see `BatchLoss._loss`.)
"""

from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from tercet._distributed import rank, world_size

T = TypeVar("T", bool, int)


def is_distributed_batch(embeddings: Tensor) -> bool:
    """Return whether the embeddings are this process's shard of a distributed training batch.

    False if they do not require a gradient, because an evaluation may run in one process only.
    """
    return embeddings.requires_grad and world_size() > 1


def gather_rows(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, slice]:
    """Gather the embeddings and labels of all processes, in the order of their ranks.

    The numbers of rows of the processes may differ. A process may have no rows.

    Args:
        embeddings: `(n, dim)`, the embeddings of this process.
        labels: int64 `(n,)`, the labels of this process, with the same label ids in every process.

    Returns:
        The embeddings `(batch, dim)` and labels `(batch,)` of all processes, and the slice of this process's rows.
    """
    if world_size() == 1:
        return embeddings, labels, slice(0, len(labels))
    sizes = _all_gather(torch.tensor([len(embeddings)], device=embeddings.device))
    counts = [int(size) for size in sizes]
    start = sum(counts[: rank()])
    rows = slice(start, start + len(labels))
    return _GatherRows.apply(embeddings, counts, rows), torch.cat(_all_gather_ragged(labels, counts)), rows


def all_reduce_sum(value: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes. The result has no gradient."""
    total = value.detach().clone()
    if world_size() > 1:
        dist.all_reduce(total)
    return total


def broadcast_from_first(value: Tensor) -> Tensor:
    """Return the tensor of the first process. Without a process group, return `value`."""
    if world_size() > 1:
        dist.broadcast(value, 0)
    return value


def number_of_first(value: T, device: torch.device) -> T:
    """Return the number of the first process, because all processes must run the same steps.

    Args:
        value: the number of this process, or True or False.
        device: the device of the communication.
    """
    number: T = broadcast_from_first(torch.tensor(value, device=device)).item()  # type: ignore[assignment]
    return number


class _GatherRows(torch.autograd.Function):
    """The concatenation of the rows of all processes. See the module docstring for its gradient."""

    @staticmethod
    def forward(ctx: Any, embeddings: Tensor, counts: list[int], rows: slice) -> Tensor:
        ctx.rows = rows
        return torch.cat(_all_gather_ragged(embeddings, counts))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return all_reduce_sum(gradient)[ctx.rows] * world_size(), None, None


def _all_gather_ragged(rows: Tensor, counts: list[int]) -> list[Tensor]:
    """All-gather tensors that differ in their first dimension. Pad them to the largest, then remove the padding."""
    padded = rows.new_zeros((max(counts), *rows.shape[1:]))
    padded[: len(rows)] = rows.detach()
    return [part[:count] for part, count in zip(_all_gather(padded), counts, strict=True)]


def _all_gather(tensor: Tensor) -> list[Tensor]:
    parts = [torch.empty_like(tensor) for _ in range(world_size())]
    dist.all_gather(parts, tensor.contiguous())
    return parts
