"""Retrieval metrics of labelled embeddings: embeddings and labels in, numbers out.

Every sentence is a query; the others (or a reference set) are ranked by their distance to it, and those
of its label are the relevant ones. R is how many of those there are.

    recall@k       share of queries with a relevant sentence among the k nearest
    r_precision    share of relevant ones among the R nearest, averaged over queries
    map@r          the mean over queries of (1/R) Σ over ranks i ≤ R of precision@i where rank i is relevant
    knn_accuracy   share of queries whose label wins the vote of the k nearest; a tie goes to the nearest

MAP@R and R-precision: Musgrave et al. 2020, "A Metric Learning Reality Check", section 3.2. Queries
without a relevant sentence count in knn_accuracy only. Distances are computed a block of queries at
a time, so memory grows with the number of sentences, not with its square.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tercet import distances
from tercet.distances import BLOCK_BYTES, distance_blocks, get_distance
from tercet.errors import EmbeddingError, listed


def label_metrics(
    embeddings: Any,
    labels: Any,
    *,
    reference_embeddings: Any = None,
    reference_labels: Any = None,
    distance: str = "cosine",
    recall_at: Sequence[int] = (1, 5, 10),
    neighbours: int = 5,
    block_bytes: int = BLOCK_BYTES,
) -> dict[str, float]:
    """Measure how well embeddings `(n, dim)` keep labels `(n,)` together.

    Args:
        labels: integers or strings.
        reference_embeddings: the sentences to rank; without them, each query ranks the others (leave one out).
        distance: a name in the catalogue, or a `tercet.distances.Distance`.
        neighbours: the voters of `knn_accuracy`.
        block_bytes: about how much memory a block of distances may take.

    Raises:
        EmbeddingError: shapes, labels or the distance do not fit.
    """
    metric = get_distance(distance)
    queries = _as_rows(embeddings, "embeddings")
    leave_one_out = reference_embeddings is None
    if not leave_one_out and reference_labels is None:
        raise EmbeddingError("reference_embeddings came without reference_labels")
    references = queries if leave_one_out else _as_rows(reference_embeddings, "reference_embeddings")
    names = (labels, labels if leave_one_out else reference_labels)
    query_labels, gallery_labels = _shared_codes(*names, (len(queries), len(references)))
    if queries.shape[1] != references.shape[1]:
        raise EmbeddingError(f"dimensions differ: {queries.shape[1]} and {references.shape[1]} in the reference")
    if len(references) <= leave_one_out:
        raise EmbeddingError(f"{len(queries)} sentence(s) are too few to rank; give at least two")

    group_sizes = torch.bincount(gallery_labels, minlength=int(query_labels.max()) + 1)
    relevant = group_sizes[query_labels] - int(leave_one_out)
    sums = _Sums(tuple(recall_at), neighbours)
    gallery = metric.prepare(references)
    points = gallery if leave_one_out else metric.prepare(queries, gallery.centre)
    # Queries with alike numbers of relevant sentences share a block, since each block ranks to its largest.
    for rows, d in distance_blocks(points, gallery, metric, order=relevant.argsort(), block_bytes=block_bytes):
        same = query_labels[rows].unsqueeze(1) == gallery_labels
        sums.add_distances(d, same, rows if leave_one_out else None)
        if leave_one_out:
            d[torch.arange(len(rows)), rows] = torch.inf
        depth = max(int(relevant[rows].max()), neighbours, *recall_at)
        nearest = d.topk(min(depth, len(references) - int(leave_one_out)), dim=1, largest=False).indices
        sums.add_ranking(gallery_labels[nearest], query_labels[rows], relevant[rows])
    return sums.means()


def triplet_accuracy(anchors: Any, positives: Any, negatives: Any, *, distance: str = "cosine") -> float:
    """The share of triplets, each `(n, dim)`, with d(a,p) < d(a,n)."""
    a, p, n = (
        _as_rows(part, name)
        for part, name in ((anchors, "anchors"), (positives, "positives"), (negatives, "negatives"))
    )
    if not a.shape == p.shape == n.shape:
        raise EmbeddingError(f"anchors, positives and negatives differ in shape: {a.shape}, {p.shape}, {n.shape}")
    return float((distances.pairs(a, p, distance) < distances.pairs(a, n, distance)).double().mean())


class _Sums:
    """Running sums over blocks of queries."""

    def __init__(self, recall_at: tuple[int, ...], neighbours: int) -> None:
        self.recall_at, self.neighbours = recall_at, neighbours
        self.totals = dict.fromkeys(("map@r", "r_precision", *(f"recall@{k}" for k in recall_at)), 0.0)
        self.ranked = self.queries = self.votes_won = 0
        self.distance_sums, self.pair_counts = [0.0, 0.0], [0, 0]

    def add_distances(self, d: Tensor, same: Tensor, own: Tensor | None) -> None:
        """Add a block of distances, `(queries, references)`, before the query itself is masked out of it."""
        total, positive = d.sum(dtype=torch.float64), (d * same).sum(dtype=torch.float64)
        alike, others = int(same.sum()), int((~same).sum())
        if own is not None:
            to_itself = d[torch.arange(len(own)), own].sum(dtype=torch.float64)
            total, positive = total - to_itself, positive - to_itself
            alike -= len(own)
        self.distance_sums[0] += float(positive)
        self.distance_sums[1] += float(total - positive)
        self.pair_counts[0] += alike
        self.pair_counts[1] += others

    def add_ranking(self, found: Tensor, wanted: Tensor, relevant: Tensor) -> None:
        """Add the labels of the nearest, `(queries, depth)`, for queries with labels and R `(queries,)`."""
        self.queries += len(wanted)
        self.votes_won += int((_vote(found[:, : self.neighbours]) == wanted).sum())
        known = relevant > 0
        hits = (found == wanted.unsqueeze(1))[known]
        r = relevant[known].unsqueeze(1)
        self.ranked += len(hits)
        for k in self.recall_at:
            self.totals[f"recall@{k}"] += float(hits[:, :k].any(dim=1).sum())
        rank = torch.arange(1, hits.shape[1] + 1)
        hits = hits & (rank <= r)
        precision = hits.cumsum(dim=1, dtype=torch.float64) / rank
        self.totals["r_precision"] += float((hits.sum(dim=1, keepdim=True, dtype=torch.float64) / r).sum())
        self.totals["map@r"] += float(((precision * hits).sum(dim=1, keepdim=True) / r).sum())

    def means(self) -> dict[str, float]:
        """The metrics over all blocks."""
        if self.ranked == 0:
            raise EmbeddingError(
                "no sentence shares its label with another to be found, so there is nothing to measure"
            )
        metrics = {name: total / self.ranked for name, total in self.totals.items()}
        metrics["knn_accuracy"] = self.votes_won / self.queries
        for name, total, count in zip(("positive", "negative"), self.distance_sums, self.pair_counts, strict=True):
            metrics[f"mean_{name}_distance"] = total / max(count, 1)
        return metrics


def _vote(found: Tensor) -> Tensor:
    """The most frequent label of each row `(n, k)`, nearest first; a tie goes to the one that is nearest."""
    votes = (found.unsqueeze(2) == found.unsqueeze(1)).sum(dim=2)
    first_best = (votes == votes.amax(dim=1, keepdim=True)).int().argmax(dim=1)
    return found[torch.arange(len(found)), first_best]


def _as_rows(embeddings: Any, name: str) -> Tensor:
    rows = embeddings if isinstance(embeddings, Tensor) else torch.as_tensor(np.asarray(embeddings))
    if rows.dim() != 2 or not rows.is_floating_point():
        raise EmbeddingError(f"{name} must be floating-point (n, dim), got {rows.dtype} {tuple(rows.shape)}")
    if len(rows) == 0:
        raise EmbeddingError(f"{name} has no rows")
    rows = rows.detach().cpu()
    rows = rows if rows.dtype == torch.float64 else rows.float()
    finite = rows.isfinite().all(dim=1)
    if not finite.all():
        bad = listed((~finite).nonzero().flatten().tolist())
        raise EmbeddingError(f"{name} holds NaN or infinite values in row(s) {bad}")
    return rows


def _label_array(labels: Any) -> np.ndarray:
    if isinstance(labels, Tensor):
        return labels.cpu().numpy()
    # NumPy's own strings are as wide as the longest of them; objects are not.
    return labels if isinstance(labels, np.ndarray) else np.asarray(labels, dtype=object)


def _shared_codes(first: Any, second: Any, sizes: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Number the labels of both sets by one numbering."""
    arrays = [_label_array(part) for part in (first, second)]
    for array, size in zip(arrays, sizes, strict=True):
        if array.shape != (size,):
            raise EmbeddingError(f"{size} embeddings came with labels of shape {array.shape}; give one a sentence")
    labels = [label for array in arrays for label in array.tolist()]
    numbers = {label: code for code, label in enumerate(dict.fromkeys(labels))}
    label_ids = torch.tensor([numbers[label] for label in labels])
    return label_ids[: sizes[0]], label_ids[sizes[0] :]
