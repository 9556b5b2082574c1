"""The functions of `sentence_transformers.util` that Tercet has: similarities, search, and helpers for embeddings."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tercet.encoder import similarity
from tercet.errors import EmbeddingError

__all__ = [
    "batch_to_device", "cos_sim", "dot_score", "euclidean_sim", "manhattan_sim", "normalize_embeddings",
    "pairwise_cos_sim", "pairwise_dot_score", "pairwise_euclidean_sim", "pairwise_manhattan_sim", "pytorch_cos_sim",
    "semantic_search", "truncate_embeddings",
]  # fmt: skip


def cos_sim(a: Any, b: Any) -> Tensor:
    """Return the cosine of each row of `a` and each row of `b`: `(n, dim), (m, dim) → (n, m)`."""
    return similarity.matrix(a, b, "cosine")


pytorch_cos_sim = cos_sim


def dot_score(a: Any, b: Any) -> Tensor:
    """Return the dot product of each row of `a` and each row of `b`: `(n, dim), (m, dim) → (n, m)`."""
    return similarity.matrix(a, b, "dot")


def euclidean_sim(a: Any, b: Any) -> Tensor:
    """Return the negative Euclidean distance of each row of `a` and each row of `b`: `(n, dim), (m, dim) → (n, m)`."""
    return similarity.matrix(a, b, "euclidean")


def manhattan_sim(a: Any, b: Any) -> Tensor:
    """Return the negative Manhattan distance of each row of `a` and each row of `b`: `(n, dim), (m, dim) → (n, m)`."""
    return similarity.matrix(a, b, "manhattan")


def pairwise_cos_sim(a: Any, b: Any) -> Tensor:
    """Return the cosine of row i of `a` and row i of `b`: `(n, dim), (n, dim) → (n,)`."""
    return similarity.pairs(a, b, "cosine")


def pairwise_dot_score(a: Any, b: Any) -> Tensor:
    """Return the dot product of row i of `a` and row i of `b`: `(n, dim), (n, dim) → (n,)`."""
    return similarity.pairs(a, b, "dot")


def pairwise_euclidean_sim(a: Any, b: Any) -> Tensor:
    """Return the negative Euclidean distance of row i of `a` and row i of `b`: `(n, dim), (n, dim) → (n,)`."""
    return similarity.pairs(a, b, "euclidean")


def pairwise_manhattan_sim(a: Any, b: Any) -> Tensor:
    """Return the negative Manhattan distance of row i of `a` and row i of `b`: `(n, dim), (n, dim) → (n,)`."""
    return similarity.pairs(a, b, "manhattan")


def normalize_embeddings(embeddings: Tensor) -> Tensor:
    """Scale each row `(n, dim)` to Euclidean norm 1."""
    return F.normalize(embeddings, dim=1)


def truncate_embeddings(embeddings: Any, truncate_dim: int | None) -> Any:
    """Return the first `truncate_dim` dimensions of each embedding `(…, dim)`; all if it is None."""
    return embeddings[..., :truncate_dim]


def batch_to_device(batch: dict[str, Any], target_device: torch.device | str) -> dict[str, Any]:
    """Move the tensors of a batch to a device. The dictionary itself is changed and returned."""
    batch |= {key: value.to(target_device) for key, value in batch.items() if isinstance(value, Tensor)}
    return batch


def semantic_search(
    query_embeddings: Any,
    corpus_embeddings: Any,
    query_chunk_size: int = 100,
    corpus_chunk_size: int = 500_000,
    top_k: int = 10,
    score_function: Callable[[Tensor, Tensor], Tensor] = cos_sim,
) -> list[list[dict[str, Any]]]:
    """Find the most similar rows of a corpus for each query.

    Args:
        query_embeddings: the embeddings of the queries `(n, dim)`, or of one query `(dim,)`.
        corpus_embeddings: the embeddings of the corpus `(m, dim)`.
        query_chunk_size: the number of queries that are compared at once. It limits the memory.
        corpus_chunk_size: the number of rows of the corpus that are compared at once.
        top_k: the number of rows to return for each query.
        score_function: the similarity, `(n, dim), (m, dim) → (n, m)`.

    Returns:
        A list for each query, the most similar row first: dictionaries with `corpus_id` and `score`.

    Example:
        >>> from tercet.util import semantic_search
        >>> semantic_search([[1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]], top_k=1)
        [[{'corpus_id': 1, 'score': 1.0}]]
    """
    for name, value in (("query_chunk_size", query_chunk_size), ("corpus_chunk_size", corpus_chunk_size)):
        if value < 1:
            raise EmbeddingError(f"{name} must be at least 1, got {value}")
    queries, corpus = (
        similarity.as_rows(query_embeddings, "query_embeddings"),
        similarity.as_rows(corpus_embeddings, "corpus_embeddings"),
    )
    corpus = corpus.to(queries.device)
    hits: list[list[dict[str, Any]]] = []
    for block in queries.split(query_chunk_size):
        scores, rows = torch.empty(len(block), 0), torch.empty(len(block), 0, dtype=torch.long)
        for start in range(0, len(corpus), corpus_chunk_size):
            found = score_function(block, corpus[start : start + corpus_chunk_size])
            best = found.topk(min(top_k, found.shape[1]), dim=1)
            scores, rows = (
                torch.cat([scores.to(best.values), best.values], dim=1),
                torch.cat([rows.to(best.indices), best.indices + start], dim=1),
            )
        order = scores.argsort(dim=1, descending=True, stable=True)[:, :top_k]
        for row_ids, row_scores in zip(rows.gather(1, order).tolist(), scores.gather(1, order).tolist(), strict=True):
            hits.append([{"corpus_id": row, "score": score} for row, score in zip(row_ids, row_scores, strict=True)])
    return hits
