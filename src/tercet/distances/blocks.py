"""Distances of many queries to a gallery, block by block, so that memory grows linearly with the number of rows."""

from collections.abc import Iterator

import torch
from torch import Tensor

from tercet.distances.base import Distance
from tercet.distances.points import Points

# The maximum memory of a block of distances, in bytes.
BLOCK_BYTES = 128 << 20
# The memory for a distance in float32, its entry in a mask, and temporary copies of both.
_BYTES_PER_DISTANCE = 16


def distance_blocks(
    queries: Points,
    gallery: Points,
    distance: Distance,
    *,
    order: Tensor | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the row numbers of a block of queries and their distances to the gallery, until all queries are done.

    For a block of m queries, the row numbers are `(m,)` and the distances are `(m, len(gallery))`.

    Args:
        queries: embeddings prepared by `distance.prepare`.
        gallery: embeddings prepared with the centre of the queries, or the queries themselves.
        distance: the distance.
        order: `(len(queries),)`, the row numbers of the queries in the order of processing; None keeps their order.
        block_bytes: the maximum memory of a block, in bytes, unless one query needs more.
    """
    if order is None:
        order = torch.arange(len(queries), device=queries.rows.device)
    for rows in order.split(max(1, block_bytes // (_BYTES_PER_DISTANCE * len(gallery)))):
        yield rows, distance.block(queries.select(rows), gallery)


def nearest(distances: Tensor, k: int, excluded: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the k smallest distances of each row and their columns, nearest first: `(m, n) → (m, k), (m, k)`.

    Args:
        distances: `(m, n)`.
        k: the number of distances per row. If k > n, n distances are returned.
        excluded: bool `(m, n)`, True for pairs that must not be returned. If a row has fewer than k other pairs, its
            remaining distances are infinite.
    """
    if excluded is not None:
        distances = distances.masked_fill(excluded, torch.inf)
    found = distances.topk(min(k, distances.shape[1]), dim=1, largest=False)
    return found.values, found.indices
