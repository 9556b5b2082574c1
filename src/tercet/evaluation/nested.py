"""Retrieval metrics of nested labels, such as "billing/refund", beside those of the complete labels.

    map@r_level1     MAP@R of the coarsest level: sentences with the same ancestor are relevant; also for level 2 and so
                     on, except for the finest level, which is `map@r`
    tree_distance    mean number of steps in the tree between the label of a query and those of its 5 nearest sentences:
                     0 for the same label, 2 for siblings at the same depth
    ndcg@10          NDCG of the 10 nearest sentences; the gain of a sentence is the number of levels in common

The queries of the last two are those that have a sentence with the same complete label in the gallery. Source of NDCG:
Järvelin and Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques".
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tercet._nested_labels import join_path, path_of
from tercet.distances import BLOCK_BYTES, DistanceLike, distance_blocks, get_distance, nearest
from tercet.errors import EmbeddingError
from tercet.evaluation._inputs import as_rows
from tercet.evaluation.relevance import dcg
from tercet.evaluation.retrieval import label_metrics
from tercet.evaluation.retrieval.ranking import NUM_NEIGHBOURS
from tercet.evaluation.retrieval.sums import NDCG_DEPTH


def nested_metrics(
    embeddings: Any,
    labels: Sequence[str],
    separator: str,
    *,
    reference_embeddings: Any = None,
    reference_labels: Sequence[str] | None = None,
    distance: DistanceLike = "cosine",
    block_bytes: int = BLOCK_BYTES,
) -> dict[str, float]:
    """Compute the metrics of nested labels: MAP@R of each coarser level, the distance in the tree, and NDCG@10.

    Args:
        embeddings: the queries `(n, dim)`.
        labels: the label of each query, such as "billing/refund".
        separator: the separator of the levels.
        reference_embeddings: the gallery `(m, dim)`; None ranks all queries except the query itself.
        reference_labels: the label of each row of the gallery.
        distance: a name in the catalogue, or a `tercet.distances.Distance`.
        block_bytes: the approximate memory of a block of distances, in bytes.

    Returns:
        The metrics by key. Empty if all labels have one level.

    Example:
        >>> labels = ["pay/card", "pay/card", "pay/fee", "pay/fee"]
        >>> metrics = nested_metrics([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]], labels, "/")
        >>> round(metrics["tree_distance"], 3)
        1.333
    """
    metric = get_distance(distance)
    paths = [path_of(label, separator) for label in labels]
    gallery_paths = paths if reference_labels is None else [path_of(label, separator) for label in reference_labels]
    depth = max(map(len, [*paths, *gallery_paths]))
    result = {}
    for level in range(1, depth):
        query_names, gallery_names = (
            [join_path(path[:level], separator) for path in part] for part in (paths, gallery_paths)
        )
        options = {} if reference_labels is None else {
            "reference_embeddings": reference_embeddings, "reference_labels": gallery_names,
        }  # fmt: skip
        try:
            metrics = label_metrics(embeddings, query_names, distance=distance, recall_at=(1,), **options)
        except EmbeddingError:  # All sentences have one ancestor at this level, so no ranking can be wrong.
            continue
        result[f"map@r_level{level}"] = metrics["map@r"]
    if depth < 2:
        return result
    prefixes, gallery_prefixes = _prefix_ids(paths, gallery_paths, depth)
    references = as_rows(embeddings if reference_labels is None else reference_embeddings, metric, "embeddings")
    gallery = metric.prepare(references)
    leave_one_out = reference_labels is None
    queries = as_rows(embeddings, metric, "embeddings")
    points = gallery if leave_one_out else metric.prepare(queries, gallery.centre)
    totals, num_queries = torch.zeros(2, dtype=torch.float64), 0
    for rows, d in distance_blocks(points, gallery, metric, block_bytes=block_bytes):
        common = _common_levels(prefixes[rows], gallery_prefixes)
        if leave_one_out:
            own = torch.arange(len(rows))
            d[own, rows] = torch.inf
            common[own, rows] = -1  # Not in the gallery: the ideal ranking has it last.
        length, gallery_length = ((part >= 0).sum(1) for part in (prefixes[rows], gallery_prefixes))
        is_same = (common == length.unsqueeze(1)) & (common == gallery_length)
        kept = is_same.any(1)
        ranked = nearest(d, min(NDCG_DEPTH, len(references) - int(leave_one_out)))[1]
        gains = common.gather(1, ranked)
        steps = length.unsqueeze(1) + gallery_length[ranked] - 2 * gains
        ideal = common.topk(gains.shape[1], dim=1).values
        totals[0] += steps[kept, :NUM_NEIGHBOURS].double().mean(1).sum()
        totals[1] += (dcg(gains) / dcg(ideal))[kept].sum()
        num_queries += int(kept.sum())
    if num_queries:
        result |= dict(zip(("tree_distance", f"ndcg@{NDCG_DEPTH}"), (totals / num_queries).tolist(), strict=True))
    return result


def _prefix_ids(
    paths: Sequence[tuple[str, ...]], gallery_paths: Sequence[tuple[str, ...]], depth: int
) -> tuple[Tensor, Tensor]:
    """Return the number of each prefix of each path, `(n, depth)` and `(m, depth)`, with −1 behind the end."""
    numbers: dict[tuple[str, ...], int] = {}

    def ids(path: tuple[str, ...]) -> list[int]:
        found = [numbers.setdefault(path[: level + 1], len(numbers)) for level in range(len(path))]
        return found + [-1] * (depth - len(path))

    return torch.tensor([ids(path) for path in paths]), torch.tensor([ids(path) for path in gallery_paths])


def _common_levels(prefixes: Tensor, others: Tensor) -> Tensor:
    """Return the number of levels in common, `(n, depth), (m, depth) → (n, m)`."""
    common = torch.zeros(len(prefixes), len(others), dtype=torch.int64)
    for level in range(prefixes.shape[1]):
        ours, theirs = prefixes[:, level, None], others[:, level]
        common += (ours == theirs) & (ours >= 0)
    return common
