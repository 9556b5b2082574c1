"""What a batch of P×K would hold before the first step, and the settings that follow from it.

Batches are drawn as in training and measured with the losses themselves. The share of triplets that are active at
a margin (whose loss is above 0) tells how much there is to learn from: near 0 there are no gradients, near 1
every triplet pushes and the margin selects nothing.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tercet.data.batches import GroupByLabelSampler
from tercet.losses import rules
from tercet.losses.functional import batch_loss_with_statistics
from tercet.losses.statistics import LossStatistics

MARGINS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
DISTANCES = ("euclidean", "cosine")
# Of the semi-hard triplets, which the default loss takes. A rule of thumb for a first run: see docs/inspect.md.
WANTED_ACTIVE = 0.7
_MOST_BATCHES = 50
_ENOUGH_SENTENCES = 0.9
_UNIT = 0.01


@dataclass(frozen=True)
class ActiveShare:
    """At a margin: of all triplets, and of those that the semi-hard rule chooses, how many are active."""

    distance: str
    margin: float
    all_triplets: float
    semi_hard: float


@dataclass(frozen=True)
class BatchFacts:
    """Means over batches.

    Attributes:
        drawn: batches that were measured, of `epoch` in an epoch.
        labels: different labels in a batch.
        valid_triplets: triplets of a batch.
        mean_positive: euclidean distance of an anchor to the sentences of its label …
        mean_negative: … and to the others.
        active: by distance and margin.
    """

    drawn: int
    epoch: int
    batch_size: int
    samples_per_label: int
    labels: float
    valid_triplets: float
    mean_positive: float
    mean_negative: float
    active: list[ActiveShare]


@dataclass(frozen=True)
class Suggestion:
    """A setting of `tercet train`, and the figure that it follows from."""

    option: str
    value: float | str
    reason: str


@torch.no_grad()
def batch_facts(
    embeddings: Tensor, codes: np.ndarray, batch_size: int, samples_per_label: int, seed: int = 0
) -> BatchFacts:
    """Measure batches of embeddings `(n, dim)` with labels `(n,)`.

    Raises:
        DataError: no batch can hold a triplet.
    """
    drawn = GroupByLabelSampler(codes, batch_size, samples_per_label, seed).batches()
    some = drawn[:_MOST_BATCHES]
    targets = torch.from_numpy(codes).to(embeddings.device)
    active: list[ActiveShare] = []
    facts: list[LossStatistics] = []
    for distance in DISTANCES:
        for margin in MARGINS:
            everything = [_statistics(embeddings, targets, rows, rules.all_triplets(margin), distance) for rows in some]
            chosen = [_statistics(embeddings, targets, rows, rules.semi_hard(margin), distance) for rows in some]
            active.append(ActiveShare(distance, margin, _share(everything), _share(chosen)))
            facts = facts or everything
    return BatchFacts(
        len(some), len(drawn), some.shape[1], samples_per_label,
        float(np.mean([len(np.unique(codes[rows])) for rows in some])),
        float(np.mean([seen.valid_triplets for seen in facts])),
        float(np.mean([seen.mean_positive for seen in facts])),
        float(np.mean([seen.mean_negative for seen in facts])),
        active,
    )  # fmt: skip


def suggestions(facts: BatchFacts, embeddings: Tensor, codes: np.ndarray) -> list[Suggestion]:
    """Distance, margin and samples per label to begin with."""
    distance = _suggest_distance(embeddings)
    return [distance, _suggest_margin(facts, str(distance.value)), _suggest_samples(codes)]


def _suggest_distance(embeddings: Tensor) -> Suggestion:
    lengths = torch.linalg.vector_norm(embeddings.float(), dim=1)
    shortest, longest = float(lengths.min()), float(lengths.max())
    if shortest >= 1 - _UNIT and longest <= 1 + _UNIT:
        return Suggestion("--distance", "euclidean", "all embeddings have length 1, where both distances rank alike")
    return Suggestion(
        "--distance", "cosine",
        f"embeddings are {shortest:.3g} to {longest:.3g} long, so a euclidean margin would have no fixed scale",
    )  # fmt: skip


def _suggest_margin(facts: BatchFacts, distance: str) -> Suggestion:
    shares = [share for share in facts.active if share.distance == distance]
    chosen = next((share for share in shares if share.semi_hard >= WANTED_ACTIVE), shares[-1])
    return Suggestion(
        "--margin", chosen.margin,
        f"{chosen.semi_hard:.0%} of the semi-hard triplets are active at it ({distance}), and "
        f"{chosen.all_triplets:.0%} of all; wanted: the first of "
        f"{', '.join(f'{margin:g}' for margin in MARGINS)} with {WANTED_ACTIVE:.0%}",
    )  # fmt: skip


def _suggest_samples(codes: np.ndarray) -> Suggestion:
    counts = np.bincount(codes)
    enough = float(counts[counts >= 4].sum() / len(codes))
    reason = f"{enough:.0%} of the sentences have a label with 4 or more"
    return Suggestion("--samples-per-label", 4 if enough >= _ENOUGH_SENTENCES else 2, reason)


def _statistics(
    embeddings: Tensor, targets: Tensor, rows: np.ndarray, rule: rules.Rule, distance: str
) -> LossStatistics:
    chosen = torch.from_numpy(rows).to(embeddings.device)
    return batch_loss_with_statistics(embeddings[chosen], targets[chosen], rule, distance)[1]


def _share(seen: list[LossStatistics]) -> float:
    return sum(batch.active_triplets for batch in seen) / max(1, sum(batch.chosen_triplets for batch in seen))
