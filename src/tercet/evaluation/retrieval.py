"""Retrieval metrics of labelled embeddings.

Every sentence is a query. The gallery (all other sentences, or a reference set) is ranked by distance to the query.
The gallery sentences with the label of the query are relevant; R is their number.

    map@r                    mean over queries of (1/R) Σ precision@i, summed over the ranks i ≤ R that are relevant
    r_precision              mean over queries of the fraction of relevant sentences among the R nearest
    recall@k                 fraction of queries with a relevant sentence among the k nearest
    knn_accuracy             fraction of queries whose label is the most frequent one among the k nearest; of equally
                             frequent labels, that of the nearest sentence counts
    mean_positive_distance   mean over all pairs of a query and a relevant sentence
    mean_negative_distance   mean over all pairs of a query and a sentence of another label; 0 if there is no such pair
    unknown_auroc            with a reference set: how well the distance to the nearest sentence separates the queries
                             whose label is in the set from the others (area under the ROC curve, 0.5 is chance)

If sentences have several labels, those that share a label with the query are relevant, so MAP@R, R-precision, recall@k,
the mean distances and unknown_auroc mean the same. There is no vote and so no kNN accuracy. Instead, there is

    ndcg@10                  NDCG of the 10 nearest sentences, whose gain is the Jaccard overlap of the labels: the
                             number of common labels divided by the number of labels that at least one of them has

All metrics but unknown_auroc are over the same queries: those with a relevant sentence. Distances are computed for one
block of queries at a time, so memory grows with the number of sentences, not with its square. Source of MAP@R and
R-precision: Musgrave et al. 2020, "A Metric Learning Reality Check", section 3.2.

To add a metric, write a function of a `Ranking` and register it as the `score` of a metric in
`tercet.catalogue.METRICS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tercet import distances
from tercet.catalogue import METRICS, resolve
from tercet.distances import BLOCK_BYTES, DistanceLike, distance_blocks, get_distance, nearest
from tercet.errors import EmbeddingError
from tercet.evaluation._inputs import as_rows, check_options
from tercet.evaluation.relevance import SharedLabelRelevance, dcg, find_relevance

__all__ = [
    "RankedQueries",
    "Ranking",
    "RecallAt",
    "label_metrics",
    "majority",
    "map_at_r",
    "r_precision",
    "rank_queries",
    "triplet_accuracy",
]

# The number of nearest sentences that vote in `knn_accuracy`.
NUM_NEIGHBOURS = 5
NDCG_DEPTH = 10


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The `depth` nearest gallery sentences of each of `num_queries` queries, nearest first.

    `depth` is at least R of each query and at least the largest k of recall@k, kNN and the scores with a `depth`. If
    the gallery is smaller, it is the size of the gallery.

    Attributes:
        hits: bool `(num_queries, depth)`, True where the ranked sentence is relevant.
        num_relevant: R `(num_queries,)`, the number of relevant sentences of each query.
        neighbour_labels: the label ids `(num_queries, depth)` of the ranked sentences.
        query_labels: the label ids `(num_queries,)` of the queries.

    Example:
        >>> import torch
        >>> from tercet.evaluation import Ranking
        >>> from tercet.evaluation.retrieval import map_at_r
        >>> labels, neighbours = torch.tensor([0]), torch.tensor([[0, 1, 0]])
        >>> hits = neighbours == labels.unsqueeze(1)
        >>> ranking = Ranking(
        ...     hits=hits, num_relevant=torch.tensor([2]), neighbour_labels=neighbours, query_labels=labels
        ... )
        >>> map_at_r(ranking)
        tensor([0.5000], dtype=torch.float64)
    """

    hits: Tensor
    num_relevant: Tensor
    neighbour_labels: Tensor
    query_labels: Tensor

    def __len__(self) -> int:
        return len(self.query_labels)

    def select(self, index: Tensor) -> "Ranking":
        """Return the ranking of the selected queries; `index` holds their numbers, or a bool for each query."""
        return Ranking(
            hits=self.hits[index],
            num_relevant=self.num_relevant[index],
            neighbour_labels=self.neighbour_labels[index],
            query_labels=self.query_labels[index],
        )


# A function that returns the value of each query, `(num_queries,)`. Its optional attribute `depth` is the minimum depth
# of the ranking that it needs.
Score = Callable[[Ranking], Tensor]


def map_at_r(ranking: Ranking) -> Tensor:
    """Return the average precision at R of each query `(num_queries,)`.

    It is (1/R) Σ precision@i, summed over the ranks i ≤ R that are relevant; NaN if R is 0.
    """
    hits = _hits_within_r(ranking)
    precision = hits.cumsum(dim=1, dtype=torch.float64) / _ranks(hits)
    return (precision * hits).sum(dim=1) / ranking.num_relevant


def r_precision(ranking: Ranking) -> Tensor:
    """Return the fraction of relevant sentences among the R nearest, for each query `(num_queries,)`; NaN if R is 0."""
    return _hits_within_r(ranking).sum(dim=1, dtype=torch.float64) / ranking.num_relevant


@dataclass(frozen=True)
class RecallAt:
    """The metric recall@k: True for the queries that have a relevant sentence among the k nearest.

    Attributes:
        depth: k, which is also the minimum depth of the ranking.
    """

    depth: int

    def __call__(self, ranking: Ranking) -> Tensor:
        """Return a bool for each query `(num_queries,)`."""
        return ranking.hits[:, : self.depth].any(dim=1)


def majority(labels: Tensor) -> Tensor:
    """Return the position of the most frequent label of each row: `(n, k) → (n,)`.

    It is the first position of this label. Of equally frequent labels, the one with the first position counts.
    """
    num_votes = (labels.unsqueeze(2) == labels.unsqueeze(1)).sum(dim=2)
    return (num_votes == num_votes.amax(dim=1, keepdim=True)).int().argmax(dim=1)


@dataclass(frozen=True, kw_only=True)
class RankedQueries:
    """The result of `rank_queries`.

    Attributes:
        metrics: the metrics by key, as `label_metrics` returns them.
        average_precision: the average precision at R of each query, float64 `(n,)`; NaN for a query without a relevant
            sentence. Its mean is `map@r`.
        voted: int64 `(n,)`, the row of the gallery whose label wins the vote of `knn_accuracy`: the nearest one with
            this label; −1 for a query without a relevant sentence.
    """

    metrics: dict[str, float]
    average_precision: Tensor
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
    queries = as_rows(embeddings, metric, "embeddings")
    leave_one_out = reference_embeddings is None
    if not leave_one_out and reference_labels is None:
        raise EmbeddingError("reference_embeddings was given without reference_labels; pass both or neither")
    references = queries if leave_one_out else as_rows(reference_embeddings, metric, "reference_embeddings")
    if queries.shape[1] != references.shape[1]:
        raise EmbeddingError(
            "embeddings and reference_embeddings must have the same dimension; "
            f"got {queries.shape[1]} and {references.shape[1]}"
        )
    if len(references) <= leave_one_out:
        raise EmbeddingError("one embedding has nothing to rank; pass at least two, or reference_embeddings")
    relevance = find_relevance(labels, None if leave_one_out else reference_labels, (len(queries), len(references)))
    query_labels, gallery_labels = relevance.query_ids, relevance.gallery_ids
    num_relevant = relevance.num_relevant(leave_one_out=leave_one_out)
    order = num_relevant.argsort()
    if leave_one_out:
        order = order[num_relevant[order] > 0]
    scores = _scores(ranks)
    deepest = NDCG_DEPTH if isinstance(relevance, SharedLabelRelevance) else neighbours
    min_depth = max(neighbours, deepest, *(getattr(score, "depth", 0) for score in scores.values()))
    sums = _Sums(scores)
    average_precision = torch.full((len(queries),), torch.nan, dtype=torch.float64)
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
        if isinstance(relevance, SharedLabelRelevance):
            sums.add_gains(relevance.gains(rows), ranked, rows if leave_one_out else None)
            average_precision[rows] = sums.add_ranking(ranking)["map@r"]
            continue
        winners = majority(ranking.neighbour_labels[:, :neighbours])
        voted[rows] = ranked.gather(1, winners.unsqueeze(1)).squeeze(1)
        average_precision[rows] = sums.add_ranking(ranking, gallery_labels[voted[rows]])["map@r"]
    return RankedQueries(metrics=sums.means(), average_precision=average_precision, voted=voted)


def triplet_accuracy(anchors: Any, positives: Any, negatives: Any, *, distance: DistanceLike = "cosine") -> float:
    """Return the fraction of the n triplets with d(a,p) < d(a,n).

    Args:
        anchors: the embeddings `(n, dim)` of the anchors.
        positives: the embeddings `(n, dim)` of the positives.
        negatives: the embeddings `(n, dim)` of the negatives.
        distance: a name in the catalogue, or a `tercet.distances.Distance`.

    Raises:
        EmbeddingError: the shapes differ, a shape is not `(n, dim)`, the distance is unknown, or embeddings are not
            floating-point, are empty, or contain NaN or infinite values.
    """
    parts = {"anchors": anchors, "positives": positives, "negatives": negatives}
    metric = get_distance(distance)
    a, p, n = (as_rows(part, metric, name) for name, part in parts.items())
    if not a.shape == p.shape == n.shape:
        shapes = f"{tuple(a.shape)}, {tuple(p.shape)} and {tuple(n.shape)}"
        raise EmbeddingError(f"anchors, positives and negatives must have the same shape (n, dim); got {shapes}")
    return float((distances.checked_pairs(a, p, metric) < distances.checked_pairs(a, n, metric)).double().mean())


def _scores(recall_at: Sequence[int]) -> dict[str, Score]:
    """Return the score functions by key: those of the metrics in the catalogue, and one for each recall@k."""
    registered = {key: resolve(spec.score) for key, spec in METRICS.items() if spec.score is not None}
    return {**registered, **{f"recall@{k}": RecallAt(k) for k in recall_at}}


class _Sums:
    """Sums of the metrics and the distances, which grow with each block of queries that have a relevant sentence."""

    def __init__(self, scores: Mapping[str, Score]) -> None:
        self._scores = scores
        self._totals = dict.fromkeys(scores, 0.0)
        self._num_queries = self._num_votes_won = self._num_votes = 0
        self._ndcg: float | None = None
        self._distance_sums, self._num_pairs = [0.0, 0.0], [0, 0]
        self._nearest: list[Tensor] = []
        self._has_relevant: list[Tensor] = []

    def add_nearest(self, nearest_distances: Tensor, has_relevant: Tensor) -> None:
        """Add, for a block of all queries, the distance to the nearest reference, and whether its label is known."""
        self._nearest.append(nearest_distances)
        self._has_relevant.append(has_relevant)

    def add_distances(self, d: Tensor, same_label: Tensor, self_index: Tensor | None) -> None:
        """Add the distances of a block of queries.

        Args:
            d: the distances `(num_queries, gallery_size)`.
            same_label: bool `(num_queries, gallery_size)`, True where the gallery sentence is relevant.
            self_index: the column of each query's distance to itself `(num_queries,)`, which is not added; None if the
                gallery is a reference set.
        """
        total, positive = d.sum(dtype=torch.float64), (d * same_label).sum(dtype=torch.float64)
        num_positive, num_negative = int(same_label.sum()), int((~same_label).sum())
        if self_index is not None:
            to_itself = d[torch.arange(len(self_index)), self_index].sum(dtype=torch.float64)
            total, positive = total - to_itself, positive - to_itself
            num_positive -= len(self_index)
        self._distance_sums[0] += float(positive)
        self._distance_sums[1] += float(total - positive)
        self._num_pairs[0] += num_positive
        self._num_pairs[1] += num_negative

    def add_gains(self, gains: Tensor, ranked: Tensor, self_index: Tensor | None) -> None:
        """Add the NDCG of a block of queries.

        Args:
            gains: the gains of the complete gallery `(num_queries, gallery_size)`.
            ranked: the columns of the ranked sentences `(num_queries, depth)`.
            self_index: as for `add_distances`.
        """
        if self_index is not None:
            gains[torch.arange(len(self_index)), self_index] = 0.0
        of_ranked = gains.gather(1, ranked[:, :NDCG_DEPTH])
        ideal = gains.topk(of_ranked.shape[1], dim=1).values
        self._ndcg = (self._ndcg or 0.0) + float((dcg(of_ranked) / dcg(ideal)).sum())

    def add_ranking(self, ranking: Ranking, voted_labels: Tensor | None = None) -> dict[str, Tensor]:
        """Add the scores of a block of queries, and return the value of each query `(num_queries,)` by key.

        Args:
            ranking: the ranking of the block.
            voted_labels: the label ids that win the votes `(num_queries,)`; None without a vote.
        """
        self._num_queries += len(ranking)
        if voted_labels is not None:
            self._num_votes += len(voted_labels)
            self._num_votes_won += int((voted_labels == ranking.query_labels).sum())
        by_key = {}
        for key, score in self._scores.items():
            by_key[key] = values = score(ranking)
            if values.shape != (len(ranking),):
                raise EmbeddingError(
                    f"the metric {key!r} returned shape {tuple(values.shape)} for {len(ranking)} queries; "
                    f"it must return one value per query, shape ({len(ranking)},)"
                )
            self._totals[key] += float(values.sum())
        return by_key

    def means(self) -> dict[str, float]:
        """Return the metrics over all blocks."""
        metrics = {key: total / self._num_queries for key, total in self._totals.items()}
        if self._num_votes:
            metrics["knn_accuracy"] = self._num_votes_won / self._num_votes
        if self._ndcg is not None:
            metrics[f"ndcg@{NDCG_DEPTH}"] = self._ndcg / self._num_queries
        for kind, total, count in zip(("positive", "negative"), self._distance_sums, self._num_pairs, strict=True):
            metrics[f"mean_{kind}_distance"] = total / max(count, 1)
        if self._nearest and not (known := torch.cat(self._has_relevant)).all():
            metrics["unknown_auroc"] = _auroc(torch.cat(self._nearest), ~known)
        return metrics


def _auroc(scores: Tensor, positive: Tensor) -> float:
    """Return the area under the ROC curve: the probability that a positive has a higher score than a negative.

    Equal scores count half. Both arguments are `(n,)`, and there are positives and negatives.
    """
    _, inverse, counts = scores.unique(return_inverse=True, return_counts=True)
    mean_ranks = counts.cumsum(0) - (counts - 1) / 2
    ranks, num_positive = mean_ranks.double()[inverse], int(positive.sum())
    wins = float(ranks[positive].sum()) - num_positive * (num_positive + 1) / 2
    return wins / (num_positive * (len(scores) - num_positive))


def _ranks(hits: Tensor) -> Tensor:
    """Return the ranks `(depth,)` of the columns: 1, 2, …"""
    return torch.arange(1, hits.shape[1] + 1, device=hits.device)


def _hits_within_r(ranking: Ranking) -> Tensor:
    """Return `hits` `(num_queries, depth)` with False at the ranks above R."""
    return ranking.hits & (_ranks(ranking.hits) <= ranking.num_relevant.unsqueeze(1))
