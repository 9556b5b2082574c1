"""The metrics of labelled embeddings: rank the gallery for each query, block by block."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tercet.distances import BLOCK_BYTES, Distance, DistanceLike, distance_blocks, get_distance, nearest
from tercet.errors import EmbeddingError
from tercet.evaluation._inputs import as_rows, check_options
from tercet.evaluation.relevance import SharedLabelRelevance, find_relevance
from tercet.evaluation.retrieval.ranking import NUM_NEIGHBOURS, Ranking, RecallAt, majority, score_functions
from tercet.evaluation.retrieval.sums import NDCG_DEPTH, MetricSums

_FOUND_IN_10 = RecallAt(10)


@dataclass(frozen=True, kw_only=True)
class RankedQueries:
    """The result of `rank_queries`.

    Attributes:
        metrics: the metrics by key, as `label_metrics` returns them.
        average_precision: the average precision at R of each query, float64 `(n,)`; NaN for a query without a relevant
            sentence. Its mean is `map@r`.
        found_in_10: whether a relevant sentence is among the 10 nearest of each query, float64 `(n,)`; NaN as above.
            Its mean is `recall@10`.
        voted: int64 `(n,)`, the row of the gallery whose label wins the vote of `knn_accuracy`: the nearest one with
            this label; −1 for a query without a relevant sentence.
    """

    metrics: dict[str, float]
    average_precision: Tensor
    found_in_10: Tensor
    voted: Tensor


def label_metrics(
    embeddings: Any,
    labels: Any,
    *,
    reference_embeddings: Any = None,
    reference_labels: Any = None,
    distance: DistanceLike = "cosine",
    recall_at: Sequence[int] = (1, 5, 10),
    neighbours: int = NUM_NEIGHBOURS,
    block_bytes: int = BLOCK_BYTES,
) -> dict[str, float]:
    """Compute the retrieval metrics of labelled embeddings.

    Args:
        embeddings: the queries `(n, dim)`, a tensor, an array or nested lists.
        labels: the label of each query `(n,)`, all integers or all strings, in a list, a tensor, an array or a pandas
            `Series`; or, if sentences have several labels, a list or a set of labels for each.
        reference_embeddings: the gallery `(m, dim)`, whose rows are ranked for each query. By default, all queries
            except the query itself are ranked.
        reference_labels: the label of each row of the gallery `(m,)`; not used without `reference_embeddings`.
        distance: a name in the catalogue, or a `tercet.distances.Distance`.
        recall_at: the values of k for which recall@k is computed.
        neighbours: k of `knn_accuracy`.
        block_bytes: the approximate memory of a block of distances, in bytes.

    Returns:
        The metrics by key, such as `map@r`, `recall@1` and `knn_accuracy`. All are over the queries with a relevant
        sentence. If there is a reference set, and some queries have a label that is not in it, `unknown_auroc` is
        added.

    Raises:
        EmbeddingError: embeddings have a wrong shape, are not floating-point, are empty, or contain values that are
            NaN, infinite, or too large or too small (see `tercet.distances.check_norms`); a label is missing or
            invalid; the numbers of labels and embeddings differ; `reference_labels` is missing; the distance is
            unknown; a number is not an integer of at least 1; no query has a relevant sentence, or the gallery has one
            label only; or a registered metric does not return one value per query.

    Example:
        >>> from tercet.evaluation import label_metrics
        >>> metrics = label_metrics([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]], ["a", "a", "b", "b"])
        >>> metrics["map@r"], metrics["recall@1"]
        (1.0, 1.0)
    """
    return rank_queries(
        embeddings,
        labels,
        reference_embeddings=reference_embeddings,
        reference_labels=reference_labels,
        distance=distance,
        recall_at=recall_at,
        neighbours=neighbours,
        block_bytes=block_bytes,
    ).metrics


def rank_queries(
    embeddings: Any,
    labels: Any,
    *,
    reference_embeddings: Any = None,
    reference_labels: Any = None,
    distance: DistanceLike = "cosine",
    recall_at: Sequence[int] = (1, 5, 10),
    neighbours: int = NUM_NEIGHBOURS,
    block_bytes: int = BLOCK_BYTES,
) -> RankedQueries:
    """Compute the metrics of `label_metrics`, and the results of each query. The arguments are the same."""
    metric = get_distance(distance)
    ranks = check_options(recall_at, neighbours, block_bytes)
    leave_one_out = reference_embeddings is None
    if not leave_one_out and reference_labels is None:
        raise EmbeddingError("reference_embeddings was given without reference_labels; pass both or neither")
    queries, references = _checked_rows(embeddings, reference_embeddings, metric)
    relevance = find_relevance(labels, None if leave_one_out else reference_labels, (len(queries), len(references)))
    query_labels, gallery_labels = relevance.query_ids, relevance.gallery_ids
    num_relevant = relevance.num_relevant(leave_one_out=leave_one_out)
    order = num_relevant.argsort()
    if leave_one_out:
        order = order[num_relevant[order] > 0]
    scores = score_functions(ranks)
    min_depth = max(
        neighbours, NDCG_DEPTH, _FOUND_IN_10.depth, *(getattr(score, "depth", 0) for score in scores.values())
    )
    sums = MetricSums(scores)
    average_precision, found_in_10 = torch.full((2, len(queries)), torch.nan, dtype=torch.float64)
    voted = torch.full((len(queries),), -1)
    gallery = metric.prepare(references)
    points = gallery if leave_one_out else metric.prepare(queries, gallery.centre)
    # A block is ranked to the largest R of its queries. Queries are sorted by R, so that few unused ranks are computed.
    for rows, d in distance_blocks(points, gallery, metric, order=order, block_bytes=block_bytes):
        if not leave_one_out:
            has_relevant = num_relevant[rows] > 0
            sums.add_nearest(d.amin(dim=1), has_relevant)
            if not has_relevant.all():
                rows, d = rows[has_relevant], d[has_relevant]
            if not len(rows):
                continue
        relevant = relevance.relevant(rows)
        sums.add_distances(d, relevant, rows if leave_one_out else None)
        if leave_one_out:
            d[torch.arange(len(rows)), rows] = torch.inf
        depth = min(max(int(num_relevant[rows].max()), min_depth), len(references) - int(leave_one_out))
        ranked = nearest(d, depth)[1]
        ranking = Ranking(
            hits=relevant.gather(1, ranked),
            num_relevant=num_relevant[rows],
            neighbour_labels=gallery_labels[ranked],
            query_labels=query_labels[rows],
        )
        found_in_10[rows] = _FOUND_IN_10(ranking).double()
        if isinstance(relevance, SharedLabelRelevance):
            sums.add_gains(relevance.gains(rows), ranked, rows if leave_one_out else None)
            average_precision[rows] = sums.add_ranking(ranking)["map@r"]
            continue
        winners = majority(ranking.neighbour_labels[:, :neighbours])
        voted[rows] = ranked.gather(1, winners.unsqueeze(1)).squeeze(1)
        average_precision[rows] = sums.add_ranking(ranking, gallery_labels[voted[rows]])["map@r"]
    return RankedQueries(
        metrics=sums.means(), average_precision=average_precision, found_in_10=found_in_10, voted=voted
    )


def _checked_rows(embeddings: Any, reference_embeddings: Any, metric: Distance) -> tuple[Tensor, Tensor]:
    """Return the queries `(n, dim)` and the gallery `(m, dim)`, which are the queries without reference embeddings.

    Raises:
        EmbeddingError: the embeddings are invalid, have different dimensions, or are one row with nothing to rank.
    """
    queries = as_rows(embeddings, metric, "embeddings")
    if reference_embeddings is None:
        if len(queries) == 1:
            raise EmbeddingError("one embedding has nothing to rank; pass at least two, or reference_embeddings")
        return queries, queries
    references = as_rows(reference_embeddings, metric, "reference_embeddings")
    if queries.shape[1] != references.shape[1]:
        raise EmbeddingError(
            "embeddings and reference_embeddings must have the same dimension; "
            f"got {queries.shape[1]} and {references.shape[1]}"
        )
    return queries, references
