"""The contents of P×K batches before training, and the settings that follow from them.

The batches are drawn as in training, and their triplets are counted by the code of the losses. The fraction of active
triplets (with a loss above 0) at a margin says how much there is to learn from: near 0 there is no gradient, near 1 the
margin selects nothing.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tercet.data.sampler import GroupByLabelSampler
from tercet.inspection.active import count_active

MARGINS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
DISTANCES = ("euclidean", "cosine")
# The fraction of the semi-hard triplets (those of the default loss) that the suggested margin makes active. A rule of
# thumb for a first run: see docs/inspect.md.
TARGET_ACTIVE = 0.7
_MAX_BATCHES = 50
# Sentences of all measured batches together, so that batches of thousands of sentences also take seconds.
_MAX_ANCHORS = 20_000
# With four sentences per label for at least this fraction of the sentences, four are suggested.
_ENOUGH_SENTENCES = 0.9
# Embeddings count as unit vectors if their lengths differ from 1 by at most this.
_UNIT_TOLERANCE = 0.01
# Embeddings count as equally long if the longest is less than this times the shortest.
_EQUAL_LENGTH = 1.02


@dataclass(frozen=True, kw_only=True)
class ActiveFraction:
    """The fraction of triplets that are active at a margin, among all triplets and among the semi-hard ones."""

    distance: str
    margin: float
    all_triplets: float
    semi_hard: float


@dataclass(frozen=True, kw_only=True)
class BatchSummary:
    """Means over measured batches.

    Attributes:
        num_batches: the number of batches that were measured.
        batches_per_epoch: the number of batches in an epoch; if it is 1, the batch has all sentences.
        batch_size: sentences in a batch.
        samples_per_label: sentences of each label in a batch.
        labels: labels in a batch.
        valid_triplets: triplets in a batch.
        mean_positive_distance: Euclidean distance of an anchor to the other sentences of its label.
        mean_negative_distance: Euclidean distance of an anchor to the sentences of other labels.
        active: by distance and margin.
    """

    num_batches: int
    batches_per_epoch: int
    batch_size: int
    samples_per_label: int
    labels: float
    valid_triplets: float
    mean_positive_distance: float
    mean_negative_distance: float
    active: list[ActiveFraction]


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A suggested setting of a training run, by its name, and the reason for it."""

    setting: str
    value: float | str
    reason: str


@torch.no_grad()
def summarize_batches(
    embeddings: Tensor, label_ids: np.ndarray, batch_size: int, samples_per_label: int, seed: int = 0
) -> BatchSummary:
    """Draw and measure batches of embeddings `(n, dim)` with labels `(n,)`.

    Raises:
        DataError: no batch can contain a triplet.
    """
    epoch = GroupByLabelSampler(label_ids, batch_size, samples_per_label, seed).batches()
    drawn = epoch[: max(1, min(_MAX_BATCHES, _MAX_ANCHORS // epoch.shape[1]))]
    labels = torch.from_numpy(label_ids).to(embeddings.device)
    batches = [torch.from_numpy(rows).to(embeddings.device) for rows in drawn]
    counts = {
        distance: [count_active(embeddings[rows], labels[rows], MARGINS, distance) for rows in batches]
        for distance in DISTANCES
    }
    stats = [batch.stats for batch in counts["euclidean"]]
    num_triplets = sum(batch.valid_triplets for batch in stats)
    num_pairs = sum(batch.positive_pairs for batch in stats)
    active = [
        ActiveFraction(
            distance=distance,
            margin=margin,
            all_triplets=sum(batch.all_triplets[at] for batch in found) / num_triplets,
            semi_hard=sum(batch.semi_hard[at] for batch in found) / num_pairs,
        )
        for distance, found in counts.items()
        for at, margin in enumerate(MARGINS)
    ]
    return BatchSummary(
        num_batches=len(drawn),
        batches_per_epoch=len(epoch),
        batch_size=drawn.shape[1],
        samples_per_label=samples_per_label,
        labels=float(np.mean([len(np.unique(label_ids[rows])) for rows in drawn])),
        valid_triplets=num_triplets / len(drawn),
        mean_positive_distance=float(np.mean([batch.mean_positive_distance for batch in stats])),
        mean_negative_distance=float(np.mean([batch.mean_negative_distance for batch in stats])),
        active=active,
    )


def suggest_settings(summary: BatchSummary, embeddings: Tensor, label_ids: np.ndarray) -> list[Suggestion]:
    """Suggest the distance, the margin and the samples per label of a first run."""
    distance = _suggest_distance(embeddings)
    return [distance, _suggest_margin(summary, str(distance.value)), _suggest_samples(label_ids)]


def _suggest_distance(embeddings: Tensor) -> Suggestion:
    lengths = torch.linalg.vector_norm(embeddings.float(), dim=1)
    shortest, longest = float(lengths.min()), float(lengths.max())
    value = "cosine"
    if shortest >= 1 - _UNIT_TOLERANCE and longest <= 1 + _UNIT_TOLERANCE:
        value, reason = "euclidean", "all embeddings have length 1, so both distances rank alike"
    elif longest < _EQUAL_LENGTH * shortest:
        reason = f"embeddings have length {longest:.3g}, and a Euclidean margin would be in units of it"
    else:
        reason = f"embeddings have lengths {shortest:.3g} to {longest:.3g}, so a Euclidean margin has no fixed scale"
    return Suggestion(setting="distance", value=value, reason=reason)


def _suggest_margin(summary: BatchSummary, distance: str) -> Suggestion:
    fractions = [fraction for fraction in summary.active if fraction.distance == distance]
    chosen = next((fraction for fraction in fractions if fraction.semi_hard >= TARGET_ACTIVE), None)
    tried, measured = ", ".join(f"{margin:g}" for margin in MARGINS), f"{distance}, {_describe_batches(summary)}"
    if chosen is None:
        # With a decimal, since 69.6 % in whole percents would read as the target.
        reason = (
            f"{fractions[-1].semi_hard:.1%} of the semi-hard triplets are active at it ({measured}), less than "
            f"{TARGET_ACTIVE:.0%}, and it is the largest tried: the labels are already separated"
        )
        return Suggestion(setting="margin", value=fractions[-1].margin, reason=reason)
    rank = f"it is the first of {tried} with at least {TARGET_ACTIVE:.0%}"
    if chosen is fractions[0]:
        rank = "it is the smallest tried"
    reason = (
        f"{chosen.semi_hard:.0%} of the semi-hard triplets are active at it ({measured}), and "
        f"{chosen.all_triplets:.0%} of all triplets; {rank}"
    )
    return Suggestion(setting="margin", value=chosen.margin, reason=reason)


def _describe_batches(summary: BatchSummary) -> str:
    if summary.batches_per_epoch == 1:
        return f"in one batch of all {summary.batch_size} sentences"
    return f"in batches of {summary.batch_size} with {summary.samples_per_label} per label"


def _suggest_samples(label_ids: np.ndarray) -> Suggestion:
    counts = np.bincount(label_ids)
    fraction = float(counts[counts >= 4].sum() / len(label_ids))
    reason = f"{fraction:.0%} of the sentences have a label with 4 or more sentences"
    return Suggestion(setting="samples_per_label", value=4 if fraction >= _ENOUGH_SENTENCES else 2, reason=reason)
