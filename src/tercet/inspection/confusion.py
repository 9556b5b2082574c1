"""What the judgements of single labels add up to: labels taken for each other, and near-copies under two labels."""

from dataclasses import dataclass

import numpy as np

from tercet.inspection.label_issues.score import LabelScores

NEAR = 0.95  # cosine similarity of centred embeddings


@dataclass(frozen=True)
class ConfusedLabels:
    """Two labels of which sentences are taken for the other.

    Attributes:
        disputed: sentences of the first that look like the second, and the other way round.
        share: both together, of all sentences of the two.
        rows: the clearest sentence of each kind, where there is one.
    """

    labels: tuple[int, int]
    disputed: tuple[int, int]
    share: float
    rows: list[int]


@dataclass(frozen=True)
class NearCopy:
    """Two sentences that are all but the same to the model, under two labels."""

    rows: tuple[int, int]
    similarity: float


def confused_labels(judgements: LabelScores, label_ids: np.ndarray) -> list[ConfusedLabels]:
    """The pairs of labels with disputed sentences between them, those with most first, `label_ids` being `(n,)`."""
    ranked = judgements.ranked().cpu().numpy()
    suggested = judgements.suggested.cpu().numpy()[ranked]
    sizes = np.bincount(label_ids)
    between: dict[tuple[int, int], list[int]] = {}
    for row, given, other in zip(ranked.tolist(), label_ids[ranked].tolist(), suggested.tolist(), strict=True):
        between.setdefault((given, other), []).append(row)
    pairs = []
    for a, b in sorted({(min(pair), max(pair)) for pair in between}):
        there, back = between.get((a, b), []), between.get((b, a), [])
        number = len(there) + len(back)
        pairs.append(
            ConfusedLabels((a, b), (len(there), len(back)), number / int(sizes[a] + sizes[b]), [*there[:1], *back[:1]])
        )
    return sorted(pairs, key=lambda pair: (-sum(pair.disputed), -pair.share, pair.labels))


def near_copies(judgements: LabelScores, least: float = NEAR) -> list[NearCopy]:
    """Pairs of other label and other text that are this similar, the most similar first.

    Of each sentence only the nearest one counts, so there are no more pairs than sentences.
    """
    similarity = judgements.neighbours.other_similarity.cpu().numpy()
    other = judgements.neighbours.other_row.cpu().numpy()
    found: dict[tuple[int, int], float] = {}
    for row in np.flatnonzero(similarity >= least).tolist():
        found[min(row, int(other[row])), max(row, int(other[row]))] = min(float(similarity[row]), 1.0)
    return [NearCopy(rows, value) for rows, value in sorted(found.items(), key=lambda item: (-item[1], item[0]))]
