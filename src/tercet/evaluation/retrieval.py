"""Retrieval metrics of labelled embeddings.

Every sentence is a query. The other sentences (or a reference set) are ranked by their distance to it, and those with
its label are relevant. R is the number of relevant sentences.

    map@r          mean over queries of (1/R) Σ over ranks i ≤ R of precision@i where rank i is relevant
    r_precision    mean over queries of the fraction of relevant sentences among the R nearest
    recall@k       fraction of queries with a relevant sentence among the k nearest
    knn_accuracy   fraction of queries whose label wins the vote of the k nearest; a tie goes to the nearest

Queries without a relevant sentence count in knn_accuracy only. Distances are computed for one block of queries at a
time, so memory grows with the number of sentences, not with its square. Source of MAP@R and R-precision: Musgrave et
al. 2020, "A Metric Learning Reality Check", section 3.2.

A metric is a function of a `Ranking`. Metrics that are registered in `tercet.catalogue.METRICS` with a `score` are
computed as well.
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
from tercet.evaluation._inputs import as_rows, shared_label_ids

__all__ = ["Ranking", "RecallAt", "label_metrics", "map_at_r", "r_precision", "recall_at", "triplet_accuracy"]


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The nearest sentences of some queries, nearest first.

    The depth is at least R of each query, and at least the k of every recall@k and of the vote.

    Attributes:
        hits: whether each ranked sentence is relevant, bool `(queries, depth)`.
        num_relevant: R, the number of relevant sentences of each query `(queries,)`.
        neighbour_labels: the label ids of the ranked sentences `(queries, depth)`.
        query_labels: the label ids of the queries `(queries,)`.

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
        """Return the ranking of some queries, by number or by mask."""
        return Ranking(
            hits=self.hits[index],
            num_relevant=self.num_relevant[index],
            neighbour_labels=self.neighbour_labels[index],
            query_labels=self.query_labels[index],
        )


# A metric: the value of each query `(queries,)`. If it needs a depth of its own, it has an attribute `depth`.
Score = Callable[[Ranking], Tensor]


def map_at_r(ranking: Ranking) -> Tensor:
    """Return (1/R) Σ over ranks i ≤ R of precision@i where rank i is relevant, for each query `(queries,)`."""
    hits = _hits_within_r(ranking)
    precision = hits.cumsum(dim=1, dtype=torch.float64) / _ranks(hits)
    return (precision * hits).sum(dim=1) / ranking.num_relevant


def r_precision(ranking: Ranking) -> Tensor:
    """Return the fraction of relevant sentences among the R nearest, for each query `(queries,)`."""
    return _hits_within_r(ranking).sum(dim=1, dtype=torch.float64) / ranking.num_relevant


@dataclass(frozen=True)
class RecallAt:
    """The metric recall@k: 1 for queries with a relevant sentence among the k nearest, and 0 for others.

    Attributes:
        depth: k.
    """

    depth: int

    def __call__(self, ranking: Ranking) -> Tensor:
        """Return the value of each query `(queries,)`."""
        return ranking.hits[:, : self.depth].any(dim=1)


def recall_at(k: int) -> RecallAt:
    """Return the metric recall@k, a function of a `Ranking`."""
    return RecallAt(k)


def label_metrics(
    embeddings: Any,
    labels: Any,
    *,
    reference_embeddings: Any = None,
    reference_labels: Any = None,
    distance: DistanceLike = "cosine",
    recall_at: Sequence[int] = (1, 5, 10),
    neighbours: int = 5,
    block_bytes: int = BLOCK_BYTES,
) -> dict[str, float]:
    """Measure how well embeddings `(n, dim)` keep equal labels `(n,)` together.

    Args:
        embeddings: an array or a tensor.
        labels: integers or strings.
        reference_embeddings: the sentences to rank `(m, dim)`. Without them, each query ranks the others.
        reference_labels: `(m,)`.
        distance: a name in the catalogue, or a `tercet.distances.Distance`.
        recall_at: the k of each recall@k.
        neighbours: the number of voters of `knn_accuracy`.
        block_bytes: the approximate memory of a block of distances.

    Returns:
        Metrics by their key in `tercet.catalogue.METRICS`.

    Raises:
        EmbeddingError: shapes, labels or the distance do not fit, or no query has a relevant sentence.

    Example:
        >>> from tercet.evaluation import label_metrics
        >>> metrics = label_metrics([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]], ["a", "a", "b", "b"])
        >>> metrics["map@r"], metrics["recall@1"]
        (1.0, 1.0)
    """
    metric = get_distance(distance)
    queries = as_rows(embeddings, "embeddings")
    leave_one_out = reference_embeddings is None
    if not leave_one_out and reference_labels is None:
        raise EmbeddingError("reference_embeddings came without reference_labels")
    references = queries if leave_one_out else as_rows(reference_embeddings, "reference_embeddings")
    query_labels, gallery_labels = shared_label_ids(
        labels, labels if leave_one_out else reference_labels, (len(queries), len(references))
    )
    if queries.shape[1] != references.shape[1]:
        raise EmbeddingError(f"dimensions differ: {queries.shape[1]} and {references.shape[1]} in the reference")
    if len(references) <= leave_one_out:
        raise EmbeddingError(f"{len(queries)} sentence(s) are too few to rank; pass at least two")

    group_sizes = torch.bincount(gallery_labels, minlength=int(query_labels.max()) + 1)
    num_relevant = group_sizes[query_labels] - int(leave_one_out)
    scores = _scores(recall_at)
    min_depth = max(neighbours, *(getattr(score, "depth", 0) for score in scores.values()))
    sums = _Sums(scores, neighbours)
    gallery = metric.prepare(references)
    points = gallery if leave_one_out else metric.prepare(queries, gallery.centre)
    # A block is ranked to the largest R in it, so queries with similar R share a block.
    for rows, d in distance_blocks(points, gallery, metric, order=num_relevant.argsort(), block_bytes=block_bytes):
        same_label = query_labels[rows].unsqueeze(1) == gallery_labels
        sums.add_distances(d, same_label, rows if leave_one_out else None)
        if leave_one_out:
            d[torch.arange(len(rows)), rows] = torch.inf
        depth = min(max(int(num_relevant[rows].max()), min_depth), len(references) - int(leave_one_out))
        neighbour_labels = gallery_labels[nearest(d, depth)[1]]
        sums.add_ranking(
            Ranking(
                hits=neighbour_labels == query_labels[rows].unsqueeze(1),
                num_relevant=num_relevant[rows],
                neighbour_labels=neighbour_labels,
                query_labels=query_labels[rows],
            )
        )
    return sums.means()


def triplet_accuracy(anchors: Any, positives: Any, negatives: Any, *, distance: DistanceLike = "cosine") -> float:
    """Return the fraction of triplets, each `(n, dim)`, with d(a,p) < d(a,n).

    Raises:
        EmbeddingError: the shapes differ or are wrong.
    """
    parts = {"anchors": anchors, "positives": positives, "negatives": negatives}
    a, p, n = (as_rows(part, name) for name, part in parts.items())
    if not a.shape == p.shape == n.shape:
        raise EmbeddingError(f"anchors, positives and negatives differ in shape: {a.shape}, {p.shape}, {n.shape}")
    return float((distances.pairs(a, p, distance) < distances.pairs(a, n, distance)).double().mean())


def _scores(recall_at: Sequence[int]) -> dict[str, Score]:
    """Return the metrics by key: those of the catalogue that have a score, and each recall@k."""
    registered = {key: resolve(spec.score) for key, spec in METRICS.items() if spec.score is not None}
    return {**registered, **{f"recall@{k}": RecallAt(k) for k in recall_at}}


class _Sums:
    """Running sums over blocks of queries."""

    def __init__(self, scores: Mapping[str, Score], neighbours: int) -> None:
        self._scores, self._neighbours = scores, neighbours
        self._totals = dict.fromkeys(scores, 0.0)
        self._num_scored = self._num_queries = self._num_votes_won = 0
        self._distance_sums, self._num_pairs = [0.0, 0.0], [0, 0]

    def add_distances(self, d: Tensor, same_label: Tensor, self_index: Tensor | None) -> None:
        """Add a block of distances `(queries, references)`.

        Args:
            self_index: the reference that is the query itself `(queries,)`, which is left out; None without one.
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

    def add_ranking(self, ranking: Ranking) -> None:
        """Add the scores of a block of queries."""
        self._num_queries += len(ranking)
        winners = _vote(ranking.neighbour_labels[:, : self._neighbours])
        self._num_votes_won += int((winners == ranking.query_labels).sum())
        scored = ranking.select(ranking.num_relevant > 0)
        self._num_scored += len(scored)
        for key, score in self._scores.items():
            values = score(scored)
            if values.shape != (len(scored),):
                raise EmbeddingError(
                    f"the metric {key!r} returned shape {tuple(values.shape)} for {len(scored)} queries; "
                    "it must return one value per query"
                )
            self._totals[key] += float(values.sum())

    def means(self) -> dict[str, float]:
        """Return the metrics over all blocks."""
        if self._num_scored == 0:
            raise EmbeddingError(
                "no sentence shares its label with another one to find, so there is nothing to measure"
            )
        metrics = {key: total / self._num_scored for key, total in self._totals.items()}
        metrics["knn_accuracy"] = self._num_votes_won / self._num_queries
        for kind, total, count in zip(("positive", "negative"), self._distance_sums, self._num_pairs, strict=True):
            metrics[f"mean_{kind}_distance"] = total / max(count, 1)
        return metrics


def _ranks(hits: Tensor) -> Tensor:
    """Return the ranks 1, 2, … of the columns `(depth,)`."""
    return torch.arange(1, hits.shape[1] + 1, device=hits.device)


def _hits_within_r(ranking: Ranking) -> Tensor:
    """Return the hits at ranks up to R `(queries, depth)`."""
    return ranking.hits & (_ranks(ranking.hits) <= ranking.num_relevant.unsqueeze(1))


def _vote(labels: Tensor) -> Tensor:
    """Return the most frequent label of each row `(n, k)`, nearest first; a tie goes to the nearest."""
    num_votes = (labels.unsqueeze(2) == labels.unsqueeze(1)).sum(dim=2)
    winner = (num_votes == num_votes.amax(dim=1, keepdim=True)).int().argmax(dim=1)
    return labels[torch.arange(len(labels)), winner]
