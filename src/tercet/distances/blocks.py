"""Distances between many rows, one block of queries at a time: memory grows with the rows, not with their square."""

from collections.abc import Iterator

import torch
from torch import Tensor

from tercet.distances.base import Distance
from tercet.distances.points import Points

# The memory that a block of distances may take, in bytes.
BLOCK_BYTES = 128 << 20
# A distance in float32, a mask of the same shape, and temporary copies of both.
_BYTES_PER_DISTANCE = 16


def distance_blocks(
    queries: Points,
    gallery: Points,
    distance: Distance,
    *,
    order: Tensor | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the row numbers `(m,)` of some queries and their distances `(m, len(gallery))`, until all were yielded.

    Args:
        queries: rows prepared by `distance.prepare`.
        gallery: rows prepared with the centre of the queries, or the queries themselves.
        order: the order in which the queries are taken, `(len(queries),)`; by default as they come.
        block_bytes: the memory that a block may take.
    """
    if order is None:
        order = torch.arange(len(queries), device=queries.rows.device)
    for rows in order.split(max(1, block_bytes // (_BYTES_PER_DISTANCE * len(gallery)))):
        yield rows, distance.block(queries.select(rows), gallery)


def nearest(distances: Tensor, k: int, excluded: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the k smallest distances of each row and their columns, nearest first: `(m, n) → (m, k), (m, k)`.

    Args:
        k: at most n are returned.
        excluded: the pairs `(m, n)` to leave out; where fewer than k are left, the distance is infinite.
    """
    if excluded is not None:
        distances = distances.masked_fill(excluded, torch.inf)
    found = distances.topk(min(k, distances.shape[1]), dim=1, largest=False)
    return found.values, found.indices
