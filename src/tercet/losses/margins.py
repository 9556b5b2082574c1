"""Compare a margin with the distances of embeddings: out of reach, far below them, or fitting.

A margin acts if it has the size of the differences between distances. Triplets can never satisfy a margin above the
largest distance. A margin far below the distances is satisfied by nearly every triplet before training, so the loss
and its gradient are 0, and nothing is learned.
"""

import math

import torch
from torch import Tensor

from tercet.distances import Distance, FunctionDistance, checked_matrix
from tercet.losses.relations import SAME_LABEL, Relation

# The rows of a batch that are measured, and the anchors whose triplets are measured.
_MAX_ROWS = 256
_MAX_ANCHORS = 64
# A margin fits if it is about this fraction of the mean distance: 0.3 for unit vectors, whose Euclidean distances are
# about 1.2 (measured over margins from 0.05 to 1 with three encoders, see benchmarks/margins.py).
_FITTING_FRACTION = 0.25
# A margin below this fraction of the mean distance of embeddings that do not have length 1 is in the wrong unit.
_SMALL_FRACTION = 0.1


def have_unit_length(embeddings: Tensor) -> bool:
    """Return whether all embeddings `(n, dim)` have length 1, up to the precision of bfloat16."""
    norms = torch.linalg.vector_norm(embeddings.detach().float(), dim=1)
    return bool(((norms - 1).abs() < 1e-2).all())


def fitting_distance(*, unit_length: bool) -> str:
    """Return the name of the distance to train with: Euclidean for embeddings of length 1, else cosine.

    The cosine distance does not depend on the length, by which a Euclidean margin would have to be scaled.
    """
    return "euclidean" if unit_length else "cosine"


@torch.no_grad()
def batch_distances(
    embeddings: Tensor, labels: Tensor, distance: Distance, relation: Relation = SAME_LABEL
) -> tuple[Tensor, Tensor]:
    """Return the distances to negatives, and d(a,n) − d(a,p) of the triplets, of the first rows of a batch.

    Both are one-dimensional, and empty if there are none.

    Args:
        embeddings: `(batch, dim)`.
        labels: `(batch,)`.
        distance: the distance of the loss.
        relation: which rows are positives.
    """
    x = embeddings.detach()
    if not isinstance(distance, FunctionDistance):  # A function must get the complete batch.
        x = x[:_MAX_ROWS]
    d = checked_matrix(x, x, distance)[:_MAX_ROWS, :_MAX_ROWS]
    labels = labels[:_MAX_ROWS]
    same = relation.positive(labels, labels).fill_diagonal_(True)
    positive = same.clone().fill_diagonal_(False)[:_MAX_ANCHORS]
    anchors = d[:_MAX_ANCHORS]
    gaps = anchors.unsqueeze(1) - anchors.unsqueeze(2)  # (anchor, positive, negative)
    return d[~same], gaps[positive.unsqueeze(2) & ~same[:_MAX_ANCHORS].unsqueeze(1)]


def fitting_margin(mean_distance: float, gap: float = 0.0) -> float:
    """Return a margin of two digits that fits to a mean distance, and is at least `gap`.

    Example:
        >>> fitting_margin(4.7), fitting_margin(4.7, gap=1.44)
        (1.2, 1.5)
    """
    wanted = max(_FITTING_FRACTION * mean_distance, gap)
    if not 0 < wanted < math.inf:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(wanted)) - 1)
    digits = math.ceil(wanted / step) if gap >= wanted else round(wanted / step)
    return float(f"{digits * step:.2g}")


def describe_misfit(
    margin: float, distance: Distance, embeddings: Tensor, negatives: Tensor, gaps: Tensor, *, is_inactive: bool
) -> str | None:
    """Return what is wrong with a margin that is far below the distances, and what to do; None if it is not.

    Args:
        margin: the margin.
        distance: the distance of the loss.
        embeddings: `(batch, dim)`, the first batch.
        negatives: the distances to negatives, one-dimensional.
        gaps: d(a,n) − d(a,p) of the triplets, one-dimensional.
        is_inactive: whether the batch has triplets, and its loss is 0.
    """
    if not len(negatives):
        return None
    mean_distance = float(negatives.double().mean())
    in_wrong_unit = (
        distance.scales_with_norm and margin < _SMALL_FRACTION * mean_distance and not have_unit_length(embeddings)
    )
    if not in_wrong_unit and not (is_inactive and margin < _FITTING_FRACTION * mean_distance):
        return None
    gap = float(gaps.double().median()) if is_inactive and len(gaps) else 0.0
    fits = fitting_margin(mean_distance, gap)
    cosine = "the cosine distance (distance_metric='cosine') with a margin of 0.3, or " if in_wrong_unit else ""
    what_happens = (
        "no triplet of the first batch has a loss above 0, so the model learns nothing from it"
        if is_inactive
        else "triplets are satisfied, and stop training the model, once they differ by that little"
    )
    return (
        f"margin {margin:g} is far below the {distance.name} distances of these embeddings (on average "
        f"{mean_distance:.3g} between different labels in the first batch): {what_happens}. "
        f"Use {cosine}a margin near {fits:g}."
    )
