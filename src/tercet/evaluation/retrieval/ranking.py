"""The nearest sentences of each query, and the metrics that are functions of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tercet.catalogue import METRICS, resolve

# The number of nearest sentences that vote in `knn_accuracy`.
NUM_NEIGHBOURS = 5


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


def score_functions(recall_at: Sequence[int]) -> dict[str, Score]:
    """Return the score functions by key: those of the metrics in the catalogue, and one for each recall@k."""
    registered = {key: resolve(spec.score) for key, spec in METRICS.items() if spec.score is not None}
    return {**registered, **{f"recall@{k}": RecallAt(k) for k in recall_at}}


def _ranks(hits: Tensor) -> Tensor:
    """Return the ranks `(depth,)` of the columns: 1, 2, …"""
    return torch.arange(1, hits.shape[1] + 1, device=hits.device)


def _hits_within_r(ranking: Ranking) -> Tensor:
    """Return `hits` `(num_queries, depth)` with False at the ranks above R."""
    return ranking.hits & (_ranks(ranking.hits) <= ranking.num_relevant.unsqueeze(1))
