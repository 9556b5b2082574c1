"""Find nearest rows and near duplicates among embeddings with the library vicinity, which `tercet[search]` installs.

The search is exact: vicinity's basic backend computes the cosine similarity of each query to each row. All functions
take embeddings of length 1, float32.
"""

import importlib.util
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tercet.errors import DataError

logger = logging.getLogger(__name__)

# The maximum number of pairs: far more than anyone reads, and about 250 MB as rows of a table.
MAX_PAIRS = 500_000
# Maximum number of similarities in memory at once: 64 MiB in float32, and as much for vicinity's copy.
_BLOCK = 1 << 24
# Rounding of a similarity in float32: copies of a text may differ by this.
_ROUNDING = 1e-5
# Digits of a similarity by which rows are ordered: further ones are rounding errors of float32, also between copies.
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class SimilarPair:
    """Two rows and their cosine similarity. `row` is smaller than `other_row`; both count from 0."""

    row: int
    other_row: int
    similarity: float


def check_search_installed(what: str) -> None:
    """Raise `DataError` if vicinity is not installed; `what` names the command in the message."""
    if importlib.util.find_spec("vicinity") is None:
        raise DataError(f"{what} needs the package vicinity: pip install 'tercet[search]'")


def nearest_rows(vectors: np.ndarray, queries: np.ndarray, top: int) -> list[list[tuple[int, float]]]:
    """Return the nearest rows of each query as `(row, similarity)`, the most similar one first.

    Rows are ordered by their similarity to 6 digits, and equally similar rows by number, also where `top` cuts them.
    The similarities are returned with 4 digits.

    Args:
        vectors: the embeddings to search in `(n, dim)`.
        queries: the embeddings to search for `(m, dim)`.
        top: the number of rows per query; if there are fewer, all are returned.
    """
    index = _index(vectors)
    found: list[list[tuple[int, float]]] = []
    for start, stop in _blocks(len(queries), len(vectors)):
        results = index.query(queries[start:stop], k=top + 1)
        for query, hits in zip(queries[start:stop], results, strict=True):
            # vicinity keeps any of the equally similar rows at the cut: take all that are as similar as the last one.
            while top < len(hits) < len(vectors) and _rank(hits[-1][1]) == _rank(hits[top - 1][1]):
                (hits,) = index.query(query, k=2 * len(hits))
            nearest = sorted(hits, key=lambda hit: (_rank(hit[1]), hit[0]))[:top]
            found.append([(row, _similarity(distance)) for row, distance in nearest])
    return found


def similar_pairs(vectors: np.ndarray, threshold: float, *, max_pairs: int = MAX_PAIRS) -> list[SimilarPair]:
    """Return all pairs of rows with at least this cosine similarity, the most similar ones first.

    The order is that of `nearest_rows`. If there are more than `max_pairs`, the first ones in this order are returned,
    with a warning.

    Args:
        vectors: the embeddings `(n, dim)`.
        threshold: the lowest similarity, above 0 and at most 1.
        max_pairs: the maximum number of pairs.

    Raises:
        DataError: `threshold` is invalid, or `max_pairs` is below 1.
    """
    check_threshold(threshold)
    if max_pairs < 1:
        raise DataError(f"max_pairs must be at least 1, got {max_pairs}")
    index = _index(vectors)
    pairs: list[tuple[float, int, int]] = []
    # Once there are too many pairs, those of later rows must be more similar than the last one that is kept.
    farthest, last_rank = 1 - threshold + _ROUNDING, float("inf")
    for start, stop in _blocks(len(vectors), len(vectors)):
        results = index.query_threshold(vectors[start:stop], threshold=farthest)
        for row, result in enumerate(results, start=start):
            pairs += [(float(d), row, other) for other, d in result if other > row and _rank(d) < last_rank]
            if len(pairs) > 2 * max_pairs:
                pairs = _first_pairs(pairs, max_pairs)
                last_rank = _rank(pairs[-1][0])
                farthest = last_rank - 0.4 * 10**-_DIGITS  # Those of a smaller rank are nearer than this.
    has_more = len(pairs) > max_pairs or last_rank < float("inf")
    pairs = _first_pairs(pairs, max_pairs)
    if has_more:
        logger.warning(
            f"more than {max_pairs:,} pairs have a similarity of at least {threshold:g}; the {max_pairs:,} most "
            f"similar ones are kept, down to {_similarity(pairs[-1][0]):g}"
        )
    return [SimilarPair(row, other, _similarity(distance)) for distance, row, other in pairs]


def _first_pairs(pairs: list[tuple[float, int, int]], number: int) -> list[tuple[float, int, int]]:
    """Return the most similar pairs in order; equally similar ones are ordered by their rows."""
    return sorted(pairs, key=lambda pair: (_rank(pair[0]), *pair[1:]))[:number]


def check_threshold(threshold: float) -> None:
    """Raise `DataError` if a lowest cosine similarity is not above 0 and at most 1."""
    if not 0 < threshold <= 1:
        raise DataError(f"threshold must be above 0 and at most 1, got {threshold:g}")


def group_pairs(pairs: list[SimilarPair]) -> list[int]:
    """Return the number of the group of each pair. Pairs that share a row, directly or not, are one group.

    Groups count from 0, in the order of their first rows.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not pairs:
        return []
    rows, places = np.unique([(pair.row, pair.other_row) for pair in pairs], return_inverse=True)
    ends = places.reshape(len(pairs), 2).T
    graph = coo_array((np.ones(len(pairs), dtype=np.int32), (ends[0], ends[1])), shape=(len(rows), len(rows)))
    _, components = connected_components(graph, directed=False)
    _, first, groups = np.unique(components, return_index=True, return_inverse=True)
    numbers: list[int] = np.argsort(np.argsort(first))[groups][ends[0]].tolist()
    return numbers


def _index(vectors: np.ndarray) -> Any:
    from vicinity import Backend, Vicinity

    return Vicinity.from_vectors_and_items(vectors, range(len(vectors)), backend_type=Backend.BASIC)


def _blocks(num_queries: int, num_rows: int) -> Iterator[tuple[int, int]]:
    size = max(1, _BLOCK // num_rows)
    for start in range(0, num_queries, size):
        yield start, min(start + size, num_queries)


def _rank(distance: float) -> float:
    return round(float(distance), _DIGITS)


def _similarity(distance: float) -> float:
    return round(1 - float(distance), 4)
