"""Find nearest and farthest sentences among labelled embeddings, for the run report.

Each sentence is compared with all others in blocks, so memory grows with the number of sentences, not with its square.
Of equally near or equally far sentences, the one with the smallest row number is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tercet import distances
from tercet.distances import BLOCK_BYTES, distance_blocks, get_distance
from tercet.evaluation.relevance import Relevance, SameLabelRelevance, SharedLabelRelevance, indicators


@dataclass(frozen=True, kw_only=True)
class Neighbourhood:
    """The nearest neighbour, the farthest positive and the nearest negative of each of n sentences.

    Attributes:
        nearest: the row number `(n,)` of the nearest other sentence.
        positive: the row number `(n,)` of the farthest other sentence with the same label; −1 if there is none.
        positive_distance: the distance `(n,)` to that positive; NaN if there is none.
        negative: the row number `(n,)` of the nearest sentence with another label; −1 if there is none.
        negative_distance: the distance `(n,)` to that negative; NaN if there is none.
    """

    nearest: np.ndarray
    positive: np.ndarray
    positive_distance: np.ndarray
    negative: np.ndarray
    negative_distance: np.ndarray


@dataclass(frozen=True, kw_only=True)
class LabelRecall:
    """The recall@1 of a label.

    Attributes:
        label_id: the label id.
        sentences: the number of sentences of the label.
        recall: the fraction of these sentences whose nearest other sentence has the same label.
    """

    label_id: int
    sentences: int
    recall: float


@dataclass(frozen=True, kw_only=True)
class Triplet:
    """An anchor, the farthest sentence with its label, and the nearest sentence with another label.

    Attributes:
        anchor: the row number of the anchor.
        positive: the row number of the positive.
        negative: the row number of the negative.
        positive_distance: d(a,p), the distance from the anchor to the positive.
        negative_distance: d(a,n), the distance from the anchor to the negative.
    """

    anchor: int
    positive: int
    negative: int
    positive_distance: float
    negative_distance: float

    @property
    def gap(self) -> float:
        """d(a,p) − d(a,n). The hinge loss of the triplet is above 0 if the gap is above −margin."""
        return self.positive_distance - self.negative_distance


def shared_labels(label_ids: np.ndarray, label_sets: Sequence[Sequence[int]]) -> Relevance:
    """Return which of n sentences share a label, by the ids `(n,)` of their sets of labels."""
    size = 1 + max((label for labels in label_sets for label in labels), default=0)
    ids = torch.from_numpy(label_ids)
    return SharedLabelRelevance(indicators(label_sets, size), ids, ids)


@torch.no_grad()
def find_neighbourhood(
    embeddings: Tensor, labels: np.ndarray | Relevance, distance: str, *, block_bytes: int = BLOCK_BYTES
) -> Neighbourhood:
    """Find the nearest neighbour, the farthest positive and the nearest negative of each sentence.

    Args:
        embeddings: the embeddings `(n, dim)` of the sentences; n is at least 2.
        labels: the label ids `(n,)`, or the sentences that share a label.
        distance: the name of a distance.
        block_bytes: the approximate memory of a block of distances, in bytes.
    """
    metric = get_distance(distance)
    points = metric.prepare(embeddings.detach().cpu())
    if isinstance(labels, np.ndarray):
        ids = torch.from_numpy(labels)
        labels = SameLabelRelevance(ids, ids)
    columns: list[list[Tensor]] = [[], [], [], [], []]
    for rows, d in distance_blocks(points, points, metric, block_bytes=block_bytes):
        same_label = labels.relevant(rows)
        self_index = torch.arange(len(rows)), rows
        d[self_index] = torch.inf
        nearest = d.argmin(1)
        negative = d.masked_fill(same_label, torch.inf).min(1)
        d[self_index] = -torch.inf
        positive = d.masked_fill_(~same_label, -torch.inf).max(1)
        values = (nearest, positive.indices, positive.values, negative.indices, negative.values)
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    nearest_row, positive_row, farthest, negative_row, closest = (torch.cat(column).numpy() for column in columns)
    return Neighbourhood(
        nearest=nearest_row,
        positive=np.where(np.isfinite(farthest), positive_row, -1),
        positive_distance=np.where(np.isfinite(farthest), farthest, np.nan),
        negative=np.where(np.isfinite(closest), negative_row, -1),
        negative_distance=np.where(np.isfinite(closest), closest, np.nan),
    )


def recall_per_label(found: Neighbourhood, label_ids: np.ndarray) -> list[LabelRecall]:
    """Return the recall@1 of each label with at least two sentences, the lowest recall first."""
    sizes = np.bincount(label_ids)
    hits = np.bincount(label_ids, weights=label_ids[found.nearest] == label_ids)
    labels = [
        LabelRecall(label_id=label_id, sentences=int(sizes[label_id]), recall=float(hits[label_id] / sizes[label_id]))
        for label_id in np.flatnonzero(sizes > 1).tolist()
    ]
    return sorted(labels, key=lambda label: (label.recall, -label.sentences, label.label_id))


def recall_per_shared_label(found: Neighbourhood, label_sets: Sequence[Sequence[int]]) -> list[LabelRecall]:
    """Return the recall@1 of each label as `recall_per_label` does, for sentences with several labels.

    It is the fraction of the sentences with the label whose nearest other sentence has it too.

    Args:
        found: the neighbours of n sentences.
        label_sets: the label ids of each sentence.
    """
    hits: dict[int, list[bool]] = {}
    for labels, nearest in zip(label_sets, found.nearest.tolist(), strict=True):
        for label in labels:
            hits.setdefault(label, []).append(label in label_sets[nearest])
    recalls = [
        LabelRecall(label_id=label, sentences=len(values), recall=sum(values) / len(values))
        for label, values in hits.items()
        if len(values) > 1
    ]
    return sorted(recalls, key=lambda label: (label.recall, -label.sentences, label.label_id))


def confused_pairs(found: Neighbourhood, label_ids: np.ndarray) -> list[tuple[tuple[int, int], list[tuple[int, int]]]]:
    """Return the pairs of confused labels, those with the most confused sentences first.

    A sentence is confused if its nearest neighbour has another label. Each item of the result is a pair of label ids
    and a list of its confused sentences, each as the row number of the sentence and of its nearest neighbour.
    """
    between: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row in np.flatnonzero(label_ids[found.nearest] != label_ids).tolist():
        other = int(found.nearest[row])
        pair = sorted((int(label_ids[row]), int(label_ids[other])))
        between.setdefault((pair[0], pair[1]), []).append((row, other))
    return sorted(between.items(), key=lambda item: (-len(item[1]), item[0]))


def hardest_triplets(found: Neighbourhood, max_triplets: int) -> list[Triplet]:
    """Return at most `max_triplets` triplets, those with the largest d(a,p) − d(a,n), at most one for each anchor."""
    gap = found.positive_distance - found.negative_distance
    order = np.argsort(-np.where(np.isnan(gap), -np.inf, gap), kind="stable")
    return [
        Triplet(
            anchor=row,
            positive=int(found.positive[row]),
            negative=int(found.negative[row]),
            positive_distance=float(found.positive_distance[row]),
            negative_distance=float(found.negative_distance[row]),
        )
        for row in order[:max_triplets].tolist()
        if not np.isnan(gap[row])
    ]


def sample_distances(
    embeddings: Tensor, label_ids: np.ndarray, distance: str, num_pairs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances of `num_pairs` random positive pairs, and of `num_pairs` random negative pairs.

    Pairs are drawn with replacement. The same pairs are drawn each time. The first array is empty if no two sentences
    have the same label. The second one is empty if all sentences have the same label.
    """
    rng = np.random.default_rng(0)
    x = distances.at_least_float32(embeddings.detach().cpu())

    def measure(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        if len(first) == 0:
            return np.zeros(0, dtype=np.float32)
        measured: np.ndarray = distances.pairs(
            x[torch.from_numpy(first)], x[torch.from_numpy(second)], distance
        ).numpy()
        return measured

    return measure(*_positive_pairs(label_ids, num_pairs, rng)), measure(*_negative_pairs(label_ids, num_pairs, rng))


def _positive_pairs(label_ids: np.ndarray, num_pairs: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(label_ids, kind="stable")
    sizes = np.bincount(label_ids)
    starts = np.cumsum(sizes) - sizes
    anchors = np.flatnonzero(sizes[label_ids] > 1)
    if len(anchors) == 0:
        return anchors, anchors
    # A sentence of a label with K sentences is in K − 1 positive pairs, so its probability is proportional to K − 1.
    weights = (sizes[label_ids[anchors]] - 1).astype(float)
    first = rng.choice(anchors, num_pairs, p=weights / weights.sum())
    own = label_ids[first]
    place = np.empty(len(label_ids), dtype=np.int64)
    place[order] = np.arange(len(label_ids))
    other = rng.integers(0, sizes[own] - 1)
    other += other >= place[first] - starts[own]
    return first, order[starts[own] + other]


def _negative_pairs(label_ids: np.ndarray, num_pairs: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if len(np.unique(label_ids)) < 2:
        return label_ids[:0], label_ids[:0]
    order = np.argsort(label_ids, kind="stable")
    sizes = np.bincount(label_ids)
    starts = np.cumsum(sizes) - sizes
    weights = (len(label_ids) - sizes[label_ids]).astype(float)
    first = rng.choice(len(label_ids), num_pairs, p=weights / weights.sum())
    own = label_ids[first]
    other = rng.integers(0, len(label_ids) - sizes[own])
    other += (other >= starts[own]) * sizes[own]
    return first, order[other]
