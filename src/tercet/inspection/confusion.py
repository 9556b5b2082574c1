"""Find pairs of confused labels, and near-duplicates with different labels, from the label scores."""

from collections.abc import Sequence

import numpy as np

from tercet.inspection.label_issues.score import LabelLogOdds
from tercet.inspection.results import Confusion, NearDuplicate
from tercet.inspection.texts import Example

# Two sentences count as near-duplicates if the cosine similarity of their centred embeddings is at least this.
MIN_SIMILARITY = 0.95


def confused_labels(
    scores: LabelLogOdds, examples: Sequence[Example], label_ids: np.ndarray, label_names: Sequence[str]
) -> list[Confusion]:
    """Return the pairs of confused labels, those with the most label issues first.

    Args:
        scores: the scores of the labels of n sentences.
        examples: the n sentences.
        label_ids: the label ids `(n,)`, indices into `label_names`.
        label_names: the names of the labels.
    """
    ranked = scores.ranked().cpu().numpy()
    suggested = scores.suggested.cpu().numpy()[ranked]
    sizes = np.bincount(label_ids)
    by_direction: dict[tuple[int, int], list[Example]] = {}
    for place, given, other in zip(ranked.tolist(), label_ids[ranked].tolist(), suggested.tolist(), strict=True):
        by_direction.setdefault((given, other), []).append(examples[place])
    pairs = []
    for a, b in sorted({(min(pair), max(pair)) for pair in by_direction}):
        a_to_b, b_to_a = by_direction.get((a, b), []), by_direction.get((b, a), [])
        pairs.append(
            Confusion(
                labels=(label_names[a], label_names[b]),
                issues=(len(a_to_b), len(b_to_a)),
                fraction=(len(a_to_b) + len(b_to_a)) / int(sizes[a] + sizes[b]),
                examples=[*a_to_b[:1], *b_to_a[:1]],
            )
        )
    return sorted(pairs, key=lambda pair: (-sum(pair.issues), -pair.fraction))


def near_duplicates(scores: LabelLogOdds, examples: Sequence[Example]) -> list[NearDuplicate]:
    """Return pairs of sentences with different labels and texts and at least `MIN_SIMILARITY`, most similar first.

    Each sentence is compared only with its nearest sentence that has another label and another text. So there are at
    most as many pairs as sentences.
    """
    similarity = scores.neighbours.other_similarity.cpu().numpy()
    other = scores.neighbours.other_row.cpu().numpy()
    found: dict[tuple[int, int], float] = {}
    for place in np.flatnonzero(similarity >= MIN_SIMILARITY).tolist():
        found[min(place, int(other[place])), max(place, int(other[place]))] = float(similarity[place])
    return [
        NearDuplicate(similarity=value, first=examples[first], second=examples[second])
        for (first, second), value in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    ]
