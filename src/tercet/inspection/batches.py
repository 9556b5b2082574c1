"""What a batch of P×K would hold before the first step, and the settings that follow from it.

Batches are drawn as in training and counted by the engine of the losses. The share of triplets that are active at
a margin (whose loss is above 0) tells how much there is to learn from: near 0 there are no gradients, near 1
every triplet pushes and the margin selects nothing.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tercet.data.sampler import GroupByLabelSampler
from tercet.inspection.active import count_active

MARGINS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
DISTANCES = ("euclidean", "cosine")
# Of the semi-hard triplets, which the default loss takes. A rule of thumb for a first run: see docs/inspect.md.
WANTED_ACTIVE = 0.7
_MOST_BATCHES = 50
# Sentences of all measured batches together, so that batches of thousands take seconds too.
_MOST_ANCHORS = 20_000
_ENOUGH_SENTENCES = 0.9
_UNIT = 0.01
# The longest by the shortest, below which embeddings count as of one length.
_ONE_LENGTH = 1.02


@dataclass(frozen=True)
class ActiveFraction:
    """At a margin: of all triplets, and of those that the semi-hard rule chooses, how many are active."""

    distance: str
    margin: float
    all_triplets: float
    semi_hard: float


@dataclass(frozen=True)
class BatchFacts:
    """Means over batches.

    Attributes:
        drawn: batches that were measured, of `epoch` in an epoch; with one, it holds all sentences.
        labels: different labels in a batch.
        valid_triplets: triplets of a batch.
        mean_positive_distance: euclidean distance of an anchor to the sentences of its label …
        mean_negative_distance: … and to the others.
        active: by distance and margin.
    """

    drawn: int
    epoch: int
    batch_size: int
    samples_per_label: int
    labels: float
    valid_triplets: float
    mean_positive_distance: float
    mean_negative_distance: float
    active: list[ActiveFraction]


@dataclass(frozen=True)
class Suggestion:
    """A setting of `tercet train`, and the figure that it follows from."""

    option: str
    value: float | str
    reason: str


@torch.no_grad()
def batch_facts(
    embeddings: Tensor, label_ids: np.ndarray, batch_size: int, samples_per_label: int, seed: int = 0
) -> BatchFacts:
    """Measure batches of embeddings `(n, dim)` with labels `(n,)`.

    Raises:
        DataError: no batch can hold a triplet.
    """
    drawn = GroupByLabelSampler(label_ids, batch_size, samples_per_label, seed).batches()
    some = drawn[: max(1, min(_MOST_BATCHES, _MOST_ANCHORS // drawn.shape[1]))]
    targets = torch.from_numpy(label_ids).to(embeddings.device)
    batches = [torch.from_numpy(rows).to(embeddings.device) for rows in some]
    counted = {
        distance: [count_active(embeddings[rows], targets[rows], MARGINS, distance) for rows in batches]
        for distance in DISTANCES
    }
    facts = [found.statistics for found in counted["euclidean"]]
    triplets, pairs = sum(seen.valid_triplets for seen in facts), sum(seen.positive_pairs for seen in facts)
    active = [
        ActiveFraction(
            distance, margin,
            sum(batch.all_triplets[at] for batch in found) / triplets,
            sum(batch.semi_hard[at] for batch in found) / pairs,
        )
        for distance, found in counted.items()
        for at, margin in enumerate(MARGINS)
    ]  # fmt: skip
    return BatchFacts(
        len(some), len(drawn), some.shape[1], samples_per_label,
        float(np.mean([len(np.unique(label_ids[rows])) for rows in some])),
        triplets / len(some),
        float(np.mean([seen.mean_positive_distance for seen in facts])),
        float(np.mean([seen.mean_negative_distance for seen in facts])),
        active,
    )  # fmt: skip


def suggestions(facts: BatchFacts, embeddings: Tensor, label_ids: np.ndarray) -> list[Suggestion]:
    """Distance, margin and samples per label to begin with."""
    distance = _suggest_distance(embeddings)
    return [distance, _suggest_margin(facts, str(distance.value)), _suggest_samples(label_ids)]


def _suggest_distance(embeddings: Tensor) -> Suggestion:
    lengths = torch.linalg.vector_norm(embeddings.float(), dim=1)
    shortest, longest = float(lengths.min()), float(lengths.max())
    if shortest >= 1 - _UNIT and longest <= 1 + _UNIT:
        return Suggestion("--distance", "euclidean", "all embeddings have length 1, where both distances rank alike")
    if longest < _ONE_LENGTH * shortest:
        reason = f"embeddings are {longest:.3g} long, so a euclidean margin would be in units of that"
    else:
        reason = f"embeddings are {shortest:.3g} to {longest:.3g} long, so a euclidean margin would have no fixed scale"
    return Suggestion("--distance", "cosine", reason)


def _suggest_margin(facts: BatchFacts, distance: str) -> Suggestion:
    shares = [share for share in facts.active if share.distance == distance]
    chosen = next((share for share in shares if share.semi_hard >= WANTED_ACTIVE), None)
    tried, measured = ", ".join(f"{margin:g}" for margin in MARGINS), f"{distance}, {_measured_in(facts)}"
    if chosen is None:
        # With a decimal, since 69.6 % in whole percents would read as what was wanted.
        return Suggestion(
            "--margin", shares[-1].margin,
            f"none of {tried} makes {WANTED_ACTIVE:.0%} of the semi-hard triplets active ({measured}); the largest has "
            f"{shares[-1].semi_hard:.1%}: labels are apart already",
        )  # fmt: skip
    first = f"wanted: the first of {tried} with {WANTED_ACTIVE:.0%}"
    return Suggestion(
        "--margin", chosen.margin,
        f"{chosen.semi_hard:.0%} of the semi-hard triplets are active at it ({measured}), and "
        f"{chosen.all_triplets:.0%} of all; {'it is the smallest tried' if chosen is shares[0] else first}",
    )  # fmt: skip


def _measured_in(facts: BatchFacts) -> str:
    if facts.epoch == 1:
        return f"in one batch of all {facts.batch_size} sentences"
    return f"in batches of {facts.batch_size} with {facts.samples_per_label} of a label"


def _suggest_samples(label_ids: np.ndarray) -> Suggestion:
    counts = np.bincount(label_ids)
    enough = float(counts[counts >= 4].sum() / len(label_ids))
    reason = f"{enough:.0%} of the sentences have a label with 4 or more"
    return Suggestion("--samples-per-label", 4 if enough >= _ENOUGH_SENTENCES else 2, reason)
