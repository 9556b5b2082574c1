"""Sums over blocks of queries, from which the metrics of a set are computed."""

from collections.abc import Mapping

import torch
from torch import Tensor

from tercet.errors import EmbeddingError
from tercet.evaluation.relevance import dcg
from tercet.evaluation.retrieval.ranking import Ranking, Score

NDCG_DEPTH = 10


class MetricSums:
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
