"""Who is near whom among labelled embeddings: what the report says of single labels and single sentences.

Every sentence is compared to all others, a block at a time, so memory grows with their number and not with its square.
Where two are equally near or far, the first row is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tercet import distances
from tercet.distances import BLOCK_BYTES, distance_blocks, get_distance


@dataclass(frozen=True)
class Neighbourhood:
    """Of each of n sentences, by row; −1 and nan where there is no such sentence.

    Attributes:
        nearest: the nearest other sentence, `(n,)`.
        positive: the farthest of its label, `(n,)`, and its distance.
        negative: the nearest of another label, `(n,)`, and its distance.
    """

    nearest: np.ndarray
    positive: np.ndarray
    positive_distance: np.ndarray
    negative: np.ndarray
    negative_distance: np.ndarray


@dataclass(frozen=True)
class LabelRecall:
    """Of the sentences of a label: the share whose nearest other sentence has the label too."""

    label: int
    sentences: int
    recall: float


@dataclass(frozen=True)
class Triplet:
    """Three rows: an anchor, the farthest sentence of its label, the nearest of another; `gap` is d(a,p) − d(a,n)."""

    anchor: int
    positive: int
    negative: int
    positive_distance: float
    negative_distance: float

    @property
    def gap(self) -> float:
        """Above −margin the triplet has a loss."""
        return self.positive_distance - self.negative_distance


@torch.no_grad()
def neighbourhood(
    embeddings: Tensor, label_ids: np.ndarray, distance: str, *, block_bytes: int = BLOCK_BYTES
) -> Neighbourhood:
    """Compare embeddings `(n, dim)` with labels `(n,)`, n at least 2, by the distance of that name."""
    metric = get_distance(distance)
    points = metric.prepare(embeddings.detach().cpu())
    labels = torch.from_numpy(label_ids)
    columns: list[list[Tensor]] = [[], [], [], [], []]
    for rows, d in distance_blocks(points, points, metric, block_bytes=block_bytes):
        same = labels[rows].unsqueeze(1) == labels
        d[torch.arange(len(rows)), rows] = torch.inf
        columns[0].append(d.argmin(1))
        negative = d.masked_fill(same, torch.inf).min(1)
        d[torch.arange(len(rows)), rows] = -torch.inf
        positive = d.masked_fill_(~same, -torch.inf).max(1)
        for column, value in zip(columns[1:], (positive[1], positive[0], negative[1], negative[0]), strict=True):
            column.append(value)
    nearest, positive_row, far, negative_row, near = (torch.cat(column).numpy() for column in columns)
    return Neighbourhood(
        nearest,
        np.where(np.isfinite(far), positive_row, -1),
        np.where(np.isfinite(far), far, np.nan),
        np.where(np.isfinite(near), negative_row, -1),
        np.where(np.isfinite(near), near, np.nan),
    )


def recall_per_label(found: Neighbourhood, label_ids: np.ndarray) -> list[LabelRecall]:
    """Labels with two sentences or more, the worst first."""
    sizes = np.bincount(label_ids)
    hits = np.bincount(label_ids, weights=label_ids[found.nearest] == label_ids)
    labels = [
        LabelRecall(code, int(sizes[code]), float(hits[code] / sizes[code]))
        for code in np.flatnonzero(sizes > 1).tolist()
    ]
    return sorted(labels, key=lambda label: (label.recall, -label.sentences, label.label))


def confused_pairs(found: Neighbourhood, label_ids: np.ndarray) -> list[tuple[tuple[int, int], list[tuple[int, int]]]]:
    """Pairs of labels, most confused first, with the rows of each: a sentence, and its nearest, of the other label."""
    between: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row in np.flatnonzero(label_ids[found.nearest] != label_ids).tolist():
        other = int(found.nearest[row])
        pair = sorted((int(label_ids[row]), int(label_ids[other])))
        between.setdefault((pair[0], pair[1]), []).append((row, other))
    return sorted(between.items(), key=lambda item: (-len(item[1]), item[0]))


def hardest_triplets(found: Neighbourhood, most: int) -> list[Triplet]:
    """The triplets with the largest d(a,p) − d(a,n), one an anchor."""
    gap = found.positive_distance - found.negative_distance
    order = np.argsort(-np.where(np.isnan(gap), -np.inf, gap), kind="stable")
    return [
        Triplet(
            row, int(found.positive[row]), int(found.negative[row]),
            float(found.positive_distance[row]), float(found.negative_distance[row]),
        )
        for row in order[:most].tolist() if not np.isnan(gap[row])
    ]  # fmt: skip


def sample_distances(
    embeddings: Tensor, label_ids: np.ndarray, distance: str, most: int = 20_000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Distances of `most` random pairs of one label, and of as many of two; the same seed draws the same pairs.

    Pairs are drawn with repetition, and there are none where no two sentences share a label, or all do.
    """
    rng = np.random.default_rng(seed)
    x = distances.at_least_float32(embeddings.detach().cpu())

    def measure(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        measured: np.ndarray = distances.pairs(
            x[torch.from_numpy(first)], x[torch.from_numpy(second)], distance
        ).numpy()
        return measured

    return measure(*_positive_pairs(label_ids, most, rng)), measure(*_negative_pairs(label_ids, most, rng))


def _positive_pairs(label_ids: np.ndarray, most: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(label_ids, kind="stable")
    sizes = np.bincount(label_ids)
    starts = np.cumsum(sizes) - sizes
    anchors = np.flatnonzero(sizes[label_ids] > 1)
    if len(anchors) == 0:
        return anchors, anchors
    # A sentence of a label of K has K − 1 positives, so it is drawn so much more often.
    weights = (sizes[label_ids[anchors]] - 1).astype(float)
    first = rng.choice(anchors, most, p=weights / weights.sum())
    own = label_ids[first]
    place = np.empty(len(label_ids), dtype=np.int64)
    place[order] = np.arange(len(label_ids))
    other = rng.integers(0, sizes[own] - 1)
    other += other >= place[first] - starts[own]
    return first, order[starts[own] + other]


def _negative_pairs(label_ids: np.ndarray, most: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if len(np.unique(label_ids)) < 2:
        return label_ids[:0], label_ids[:0]
    order = np.argsort(label_ids, kind="stable")
    sizes = np.bincount(label_ids)
    starts = np.cumsum(sizes) - sizes
    weights = (len(label_ids) - sizes[label_ids]).astype(float)
    first = rng.choice(len(label_ids), most, p=weights / weights.sum())
    own = label_ids[first]
    other = rng.integers(0, len(label_ids) - sizes[own])
    other += (other >= starts[own]) * sizes[own]
    return first, order[other]


def numbered(labels: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Labels by their place among their names, `(n,)`, and the names in order."""
    names, label_ids = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    return label_ids.astype(np.int64), [str(name) for name in names]
