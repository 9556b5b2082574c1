"""Score embeddings by the labels of their rows, for the choice of a head."""

from typing import Any

import torch
from torch import Tensor

from tercet.evaluation.classifiers import class_means
from tercet.evaluation.retrieval import rank_queries
from tercet.heads.labels import RowLabels, SharedLabels


def score_labels(reference: Tensor, labels: RowLabels, queries: Tensor, wanted: RowLabels) -> Tensor:
    """Return the scores of each query, float64 `(n, 3)`, or `(n, 1)` if rows have several labels."""
    levels = wanted.relevance_labels(labels)
    if isinstance(labels, SharedLabels):
        return _average_precision(reference, queries, levels).unsqueeze(1)
    scores = score_rows(reference, torch.as_tensor(labels.ids), queries, torch.as_tensor(wanted.ids))
    if len(levels) > 1:
        scores[:, 0] = _average_precision(reference, queries, levels)
    return scores


def _average_precision(reference: Tensor, queries: Tensor, levels: list[tuple[Any, Any]]) -> Tensor:
    """Return the average precision at R of each query, the mean over the levels of `RowLabels.relevance_labels`."""
    parts = [
        rank_queries(queries, own, reference_embeddings=reference, reference_labels=others, recall_at=(1,))
        for own, others in levels
    ]
    return torch.stack([part.average_precision for part in parts]).mean(dim=0)


def score_rows(reference: Tensor, label_ids: Tensor, queries: Tensor, query_labels: Tensor) -> Tensor:
    """Return three values of each query, float64 `(n, 3)`.

    They are the average precision at R, and 1 or 0 for whether 5 nearest neighbours and class means give its label.

    Args:
        reference: `(m, dim)`, the rows to search in.
        label_ids: `(m,)`, their label ids.
        queries: `(n, dim)`, the rows to score.
        query_labels: `(n,)`, their label ids; each of them occurs in `label_ids`.
    """
    ranked = rank_queries(
        queries, query_labels, reference_embeddings=reference, reference_labels=label_ids, recall_at=(1,)
    )
    voted, nearest_mean = label_ids[ranked.voted], class_means(reference, label_ids, queries)
    return torch.stack([ranked.average_precision, voted == query_labels, nearest_mean == query_labels], dim=1)
