"""Compute statistics of P×K batches before training, and suggest settings from them.

The batches are drawn by the sampler of the training, and their triplets are counted with the code of the losses. A
triplet is active if its loss is above 0. If the active fraction at a margin is near 0, almost no triplet has a
gradient. If it is near 1, almost no triplet satisfies the margin yet.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tercet._display import shown_beside
from tercet._nested_labels import margins_from_finest
from tercet.catalogue import DEFAULT_MARGIN
from tercet.data.sampling.sampler import GroupByLabelSampler
from tercet.inspection.active import count_active
from tercet.losses.margins import fitting_distance, have_unit_length

MARGINS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
DISTANCES = ("euclidean", "cosine")
# The suggested margin is the smallest one at which this fraction of the semi-hard triplets (those of the default loss)
# is active. It is a rule of thumb for a first run, see docs/concepts/label-issues.md.
TARGET_ACTIVE = 0.7
# No smaller one raised MAP@R by more than 0.0014, and smaller ones were worse after a
# linear head (docs/concepts/measured-quality.md, dev/LOG.md).
LOWEST_SUGGESTED = DEFAULT_MARGIN
_MAX_BATCHES = 50
# The maximum number of sentences in all measured batches together (at least one batch is measured), so that large
# batches also take seconds only.
_MAX_ANCHORS = 20_000
# samples_per_label=4 is suggested if at least this fraction of the sentences has a label with 4 or more sentences.
_ENOUGH_SENTENCES = 0.9
# Norms count as equal if the largest is below this factor times the smallest.
_EQUAL_LENGTH = 1.02


@dataclass(frozen=True, kw_only=True)
class ActiveFraction:
    """The active fractions of one distance at one margin.

    Attributes:
        distance: the name of the distance.
        margin: the margin.
        all_triplets: the fraction of all triplets that is active.
        semi_hard: the fraction of the semi-hard triplets that is active.
    """

    distance: str
    margin: float
    all_triplets: float
    semi_hard: float


@dataclass(frozen=True, kw_only=True)
class BatchSummary:
    """Statistics of the measured batches.

    Attributes:
        num_batches: the number of measured batches.
        batches_per_epoch: the number of batches in an epoch.
        batch_size: the number of sentences in a batch. It is the number of all sentences if they fit into one batch.
        samples_per_label: the `samples_per_label` of the sampler.
        labels: the mean number of labels in a batch.
        valid_triplets: the mean number of triplets in a batch.
        mean_positive_distance: the mean Euclidean distance of anchors to the other sentences of their label in the
            batch.
        mean_negative_distance: the mean Euclidean distance of anchors to the sentences of other labels in the batch.
        active: the active fractions, one item for each distance and margin.
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
    """A suggested value of a training setting.

    Attributes:
        setting: the name of the setting, such as `margin`.
        value: the suggested value; the margin of nested labels has a value for each level, the coarsest first.
        reason: why this value is suggested, with the measured numbers.
    """

    setting: str
    value: float | str | list[float]
    reason: str


@torch.no_grad()
def summarize_batches(
    embeddings: Tensor, label_ids: np.ndarray, batch_size: int, samples_per_label: int, seed: int = 0
) -> BatchSummary:
    """Draw batches and compute their statistics.

    Args:
        embeddings: the embeddings `(n, dim)` of all sentences.
        label_ids: the label ids `(n,)`.
        batch_size: the number of sentences in a batch. If there are fewer, one batch with all of them is measured.
        samples_per_label: the number of sentences of each label in a batch.
        seed: the seed of the sampler.

    Raises:
        DataError: no batch can contain a triplet, or `batch_size` and `samples_per_label` do not give a P×K batch.
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


def suggest_settings(
    summary: BatchSummary, embeddings: Tensor, label_ids: np.ndarray, *, num_levels: int = 1
) -> list[Suggestion]:
    """Suggest `distance`, `margin` and `samples_per_label` for a first training run.

    Args:
        summary: the statistics of the batches.
        embeddings: the embeddings `(n, dim)` of all sentences.
        label_ids: the label ids `(n,)`; those of the complete labels if they are nested.
        num_levels: the number of levels of nested labels; 1 for labels without levels.
    """
    distance = _suggest_distance(embeddings)
    return [distance, _suggest_margin(summary, str(distance.value), num_levels), _suggest_samples(label_ids)]


def _suggest_distance(embeddings: Tensor) -> Suggestion:
    unit_length = have_unit_length(embeddings)
    lengths = torch.linalg.vector_norm(embeddings.float(), dim=1)
    shortest, longest = float(lengths.min()), float(lengths.max())
    if unit_length:
        reason = "all embeddings have norm 1, so Euclidean and cosine distance rank alike"
    elif longest < _EQUAL_LENGTH * shortest:
        reason = (
            f"all embeddings have a norm of about {longest:.3g}, so a Euclidean margin would have to be scaled by it"
        )
    else:
        reason = f"the norms of the embeddings are {shortest:.3g} to {longest:.3g}; no Euclidean margin suits them all"
    return Suggestion(setting="distance", value=fitting_distance(unit_length=unit_length), reason=reason)


def _suggest_margin(summary: BatchSummary, distance: str, num_levels: int) -> Suggestion:
    """Suggest a margin. With several levels, the complete labels get the measured one: it was measured on them."""
    margin, reason = _measured_margin(summary, distance)
    if num_levels == 1:
        return Suggestion(setting="margin", value=margin, reason=reason)
    margins = [min(round(of_level, 6), MARGINS[-1]) for of_level in margins_from_finest(margin, num_levels)]
    reason = f"{reason}. This is the margin of the complete labels; those of coarser levels are larger"
    return Suggestion(setting="margin", value=margins, reason=reason)


def _measured_margin(summary: BatchSummary, distance: str) -> tuple[float, str]:
    """Return the margin for the labels of the batches, and the reason for it."""
    fractions = [
        fraction for fraction in summary.active if fraction.distance == distance and fraction.margin >= LOWEST_SUGGESTED
    ]
    chosen = next((fraction for fraction in fractions if fraction.semi_hard >= TARGET_ACTIVE), None)
    tried = ", ".join(f"{fraction.margin:g}" for fraction in fractions)
    measured = f"{distance}, {_describe_batches(summary)}"
    if chosen is None:
        shown = shown_beside(fractions[-1].semi_hard, TARGET_ACTIVE, ".1%")
        reason = (
            f"only {shown} of the semi-hard triplets are active ({measured}) at the largest "
            f"margin tried, less than {TARGET_ACTIVE:.0%}: the labels are already separated"
        )
        return fractions[-1].margin, reason
    active = (
        f"{chosen.semi_hard:.0%} of the semi-hard triplets have a loss above 0, and {chosen.all_triplets:.0%} of all"
    )
    choice = f"the smallest of {tried} with at least {TARGET_ACTIVE:.0%} of the semi-hard triplets"
    if chosen is fractions[0]:
        choice = "the default, and smaller ones are seldom better"
    return chosen.margin, f"{active} ({measured}); it is {choice}"


def _describe_batches(summary: BatchSummary) -> str:
    if summary.batches_per_epoch == 1:
        return f"in one batch of all {summary.batch_size} sentences"
    return f"in batches of {summary.batch_size} with {summary.samples_per_label} per label"


def _suggest_samples(label_ids: np.ndarray) -> Suggestion:
    counts = np.bincount(label_ids)
    fraction = float(counts[counts >= 4].sum() / len(label_ids))
    enough = fraction >= _ENOUGH_SENTENCES
    shown = shown_beside(fraction, _ENOUGH_SENTENCES, ".1%")
    measured = f"{shown} of the sentences have a label with 4 or more sentences"
    reason = f"{measured}, {'at least' if enough else 'less than'} {_ENOUGH_SENTENCES:.0%}"
    return Suggestion(setting="samples_per_label", value=4 if enough else 2, reason=reason)
