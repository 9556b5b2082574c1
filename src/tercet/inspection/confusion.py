"""Pairs of confused labels, and near-duplicates under two labels, from the scores of single labels."""

from dataclasses import dataclass

import numpy as np

from tercet.inspection.label_issues.score import LabelScores

# The cosine similarity of centred embeddings from which two sentences count as near-duplicates.
MIN_SIMILARITY = 0.95


@dataclass(frozen=True, kw_only=True)
class ConfusedLabels:
    """Two labels with label issues between them.

    Attributes:
        labels: the label ids of the two, the smaller one first.
        issues: the number of sentences of the first label that look like the second, and the other way round.
        fraction: both numbers together, as a fraction of all sentences of the two labels.
        rows: for each of the two directions, the row with the largest log-odds, if there is one.
    """

    labels: tuple[int, int]
    issues: tuple[int, int]
    fraction: float
    rows: list[int]


@dataclass(frozen=True, kw_only=True)
class SimilarRows:
    """Two rows whose texts are near-duplicates and whose labels differ."""

    rows: tuple[int, int]
    similarity: float


def confused_labels(scores: LabelScores, label_ids: np.ndarray) -> list[ConfusedLabels]:
    """Return the pairs of labels with label issues between them, the most issues first; `label_ids` is `(n,)`."""
    ranked = scores.ranked().cpu().numpy()
    suggested = scores.suggested.cpu().numpy()[ranked]
    sizes = np.bincount(label_ids)
    rows_by_direction: dict[tuple[int, int], list[int]] = {}
    for row, given, other in zip(ranked.tolist(), label_ids[ranked].tolist(), suggested.tolist(), strict=True):
        rows_by_direction.setdefault((given, other), []).append(row)
    pairs = []
    for a, b in sorted({(min(pair), max(pair)) for pair in rows_by_direction}):
        a_to_b, b_to_a = rows_by_direction.get((a, b), []), rows_by_direction.get((b, a), [])
        pairs.append(
            ConfusedLabels(
                labels=(a, b),
                issues=(len(a_to_b), len(b_to_a)),
                fraction=(len(a_to_b) + len(b_to_a)) / int(sizes[a] + sizes[b]),
                rows=[*a_to_b[:1], *b_to_a[:1]],
            )
        )
    return sorted(pairs, key=lambda pair: (-sum(pair.issues), -pair.fraction, pair.labels))


def near_duplicates(scores: LabelScores, min_similarity: float = MIN_SIMILARITY) -> list[SimilarRows]:
    """Return pairs of similar rows with different labels and different texts, the most similar first.

    Only the nearest such row of each row is considered, so there are at most as many pairs as rows.
    """
    similarity = scores.neighbours.other_similarity.cpu().numpy()
    other_row = scores.neighbours.other_row.cpu().numpy()
    found: dict[tuple[int, int], float] = {}
    for row in np.flatnonzero(similarity >= min_similarity).tolist():
        found[min(row, int(other_row[row])), max(row, int(other_row[row]))] = float(similarity[row])
    return [
        SimilarRows(rows=rows, similarity=value)
        for rows, value in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    ]
