"""Find pairs of confused labels, and near-duplicates with different labels, from the label scores."""

from dataclasses import dataclass

import numpy as np

from tercet.inspection.label_issues.score import LabelScores

# Two sentences count as near-duplicates if the cosine similarity of their centred embeddings is at least this.
MIN_SIMILARITY = 0.95


@dataclass(frozen=True, kw_only=True)
class ConfusedLabels:
    """Two labels of which at least one has label issues that suggest the other one.

    Attributes:
        labels: the two label ids, the smaller one first.
        issues: two numbers of label issues: sentences with the first label for which the second one is suggested, and
            sentences with the second label for which the first one is suggested.
        fraction: the sum of `issues` divided by the number of all sentences of the two labels.
        rows: the row with the largest log-odds of each direction that has issues, so one or two rows.
    """

    labels: tuple[int, int]
    issues: tuple[int, int]
    fraction: float
    rows: list[int]


@dataclass(frozen=True, kw_only=True)
class SimilarRows:
    """Two rows that are near-duplicates and have different labels.

    Attributes:
        rows: the two rows, the smaller one first.
        similarity: the cosine similarity of their centred embeddings.
    """

    rows: tuple[int, int]
    similarity: float


def confused_labels(scores: LabelScores, label_ids: np.ndarray) -> list[ConfusedLabels]:
    """Return the pairs of confused labels, those with the most label issues first; `label_ids` is `(n,)`."""
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
    """Return pairs of rows with different labels, different texts and at least `min_similarity`, most similar first.

    Each row is compared only with its nearest row that has another label and another text. So there are at most as many
    pairs as rows.
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
