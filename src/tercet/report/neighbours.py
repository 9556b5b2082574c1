"""Nearest and farthest sentences among labelled embeddings: what the report says about single labels and sentences.

Each sentence is compared with all others, block by block, so the memory grows with their number and not with its
square. Of equally near or far sentences, the first row is taken.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tercet import distances
from tercet.distances import BLOCK_BYTES, distance_blocks, get_distance


@dataclass(frozen=True, kw_only=True)
class Neighbourhood:
    """The neighbours of n sentences, as rows; −1 and nan where there is no such sentence.

    Attributes:
        nearest: the nearest other sentence, `(n,)`.
        positive: the farthest sentence of the same label, `(n,)`.
        positive_distance: its distance, `(n,)`.
        negative: the nearest sentence of another label, `(n,)`.
        negative_distance: its distance, `(n,)`.
    """

    nearest: np.ndarray
    positive: np.ndarray
    positive_distance: np.ndarray
    negative: np.ndarray
    negative_distance: np.ndarray


@dataclass(frozen=True, kw_only=True)
class LabelRecall:
    """The recall@1 of a label: the fraction of its sentences whose nearest other sentence has the label too."""

    label_id: int
    sentences: int
    recall: float


@dataclass(frozen=True, kw_only=True)
class Triplet:
    """An anchor, the farthest sentence of its label and the nearest sentence of another label, as rows."""

    anchor: int
    positive: int
    negative: int
    positive_distance: float
    negative_distance: float

    @property
    def gap(self) -> float:
        """d(a,p) − d(a,n); the triplet has a loss if it is above −margin."""
        return self.positive_distance - self.negative_distance


@torch.no_grad()
def find_neighbourhood(
    embeddings: Tensor, label_ids: np.ndarray, distance: str, *, block_bytes: int = BLOCK_BYTES
) -> Neighbourhood:
    """Compare embeddings `(n, dim)` with labels `(n,)`, n at least 2.

    Args:
        embeddings: the embeddings of the sentences.
        label_ids: their labels.
        distance: the name of a distance.
        block_bytes: the memory that a block of distances may take.
    """
    metric = get_distance(distance)
    points = metric.prepare(embeddings.detach().cpu())
    labels = torch.from_numpy(label_ids)
    columns: list[list[Tensor]] = [[], [], [], [], []]
    for rows, d in distance_blocks(points, points, metric, block_bytes=block_bytes):
        same_label = labels[rows].unsqueeze(1) == labels
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
    """Return the recall of the labels with at least two sentences, the lowest first."""
    sizes = np.bincount(label_ids)
    hits = np.bincount(label_ids, weights=label_ids[found.nearest] == label_ids)
    labels = [
        LabelRecall(label_id=label_id, sentences=int(sizes[label_id]), recall=float(hits[label_id] / sizes[label_id]))
        for label_id in np.flatnonzero(sizes > 1).tolist()
    ]
    return sorted(labels, key=lambda label: (label.recall, -label.sentences, label.label_id))


def confused_pairs(found: Neighbourhood, label_ids: np.ndarray) -> list[tuple[tuple[int, int], list[tuple[int, int]]]]:
    """Return pairs of labels, the most confused first, each with its rows: a sentence, and its nearest neighbour.

    A pair is confused if a sentence of one label has its nearest neighbour under the other.
    """
    between: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row in np.flatnonzero(label_ids[found.nearest] != label_ids).tolist():
        other = int(found.nearest[row])
        pair = sorted((int(label_ids[row]), int(label_ids[other])))
        between.setdefault((pair[0], pair[1]), []).append((row, other))
    return sorted(between.items(), key=lambda item: (-len(item[1]), item[0]))


def hardest_triplets(found: Neighbourhood, max_triplets: int) -> list[Triplet]:
    """Return the triplets with the largest d(a,p) − d(a,n), one per anchor."""
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
    embeddings: Tensor, label_ids: np.ndarray, distance: str, num_pairs: int = 20_000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances of `num_pairs` random pairs with the same label, and of as many with different labels.

    Pairs are drawn with replacement; the same seed draws the same pairs. The first array is empty if no two sentences
    have the same label, the second if all have.
    """
    rng = np.random.default_rng(seed)
    x = distances.at_least_float32(embeddings.detach().cpu())

    def measure(first: np.ndarray, second: np.ndarray) -> np.ndarray:
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
    # A sentence whose label has K sentences is in K − 1 positive pairs, and is drawn in proportion.
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
