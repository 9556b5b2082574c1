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

metrics.py    `label_metrics` and `rank_queries`, which rank the gallery block by block
ranking.py    `Ranking`, and the metrics that are functions of it
sums.py       sums over blocks, and means over all of them
triplets.py   `triplet_accuracy`
"""

from tercet.evaluation.retrieval.metrics import RankedQueries, label_metrics, rank_queries
from tercet.evaluation.retrieval.ranking import Ranking, RecallAt, majority, map_at_r, r_precision
from tercet.evaluation.retrieval.triplets import triplet_accuracy

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
