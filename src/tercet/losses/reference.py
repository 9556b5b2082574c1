"""The batch losses as plain loops. They are the specification with which the tests compare the fast implementation.

Every function takes a distance matrix `d` `(batch, batch)` and a list of labels, and follows the formula of the loss.
The functions are slow. `tercet.losses.functional` computes the same losses from embeddings.

A triplet consists of an anchor a, a positive p ≠ a with the same label, and a negative n with another label. If each
label is a set of labels, a positive shares a label with a, and a negative shares none. An anchor without a positive or
without a negative is not included in the mean.

With `weighted=True`, labels must be sets, and each term is multiplied by the Jaccard overlap |A ∩ P| / |A ∪ P| of the
labels of its anchor and positive. `nested` is the loss of labels with several levels.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["batch_all", "batch_hard", "batch_hard_soft_margin", "batch_semi_hard", "nested"]

# The label of each row: an integer, a string or the path of a nested label; or a set of labels.
Labels = Sequence[int] | Sequence[str] | Sequence[tuple[str, ...]] | Sequence[frozenset[int]]


def batch_all(d: Tensor, labels: Labels, margin: float, *, weighted: bool = False) -> Tensor:
    """Return the mean of d(a,p) − d(a,n) + margin over all triplets for which this value is above 0."""
    hinges = [
        (d[a, p] - d[a, n] + margin, _weight(labels, a, p, weighted))
        for a in range(len(labels))
        for p in _positives(labels, a)
        for n in _negatives(labels, a)
    ]
    return _mean([hinge * weight for hinge, weight in hinges if hinge > 0], d)


def batch_hard(d: Tensor, labels: Labels, margin: float, *, weighted: bool = False) -> Tensor:
    """Return the mean over anchors a of max(0, d(a, farthest positive) − d(a, nearest negative) + margin)."""
    terms = [(d[a, p] - d[a, n] + margin).clamp(min=0) * w for a, p, n, w in _hardest(d, labels, weighted)]
    return _mean(terms, d)


def batch_hard_soft_margin(d: Tensor, labels: Labels, *, weighted: bool = False) -> Tensor:
    """Return the mean over anchors a of log(1 + exp(d(a, farthest positive) − d(a, nearest negative)))."""
    softplus = torch.nn.functional.softplus
    return _mean([softplus(d[a, p] - d[a, n]) * w for a, p, n, w in _hardest(d, labels, weighted)], d)


def batch_semi_hard(d: Tensor, labels: Labels, margin: float, *, weighted: bool = False) -> Tensor:
    """Return the mean over pairs (a, p) of max(0, d(a,p) − d(a,n) + margin), with one negative n for each pair.

    n is the nearest negative with d(a,n) > d(a,p). If there is none, n is the farthest negative of a.
    """
    hinges = []
    for a in range(len(labels)):
        negatives = [d[a, n] for n in _negatives(labels, a)]
        for p in _positives(labels, a) if negatives else []:
            farther = [negative for negative in negatives if negative > d[a, p]]
            negative = min(farther) if farther else max(negatives)
            hinges.append((d[a, p] - negative + margin).clamp(min=0) * _weight(labels, a, p, weighted))
    return _mean(hinges, d)


def nested(
    paths: Sequence[tuple[str, ...]],
    losses: Sequence[Callable[[Sequence[tuple[str, ...]]], Tensor]],
    weights: Sequence[float],
) -> Tensor:
    """Return the weighted sum over levels of a batch loss of the labels of that level.

    `paths` are labels such as `("billing", "refund")`. At level i, from 0, the label of a row is its path up to this
    level. `losses[i]` computes the batch loss of level i from these labels.
    """
    levels = [[path[: level + 1] for path in paths] for level in range(len(losses))]
    return torch.stack([w * loss(labels) for w, loss, labels in zip(weights, losses, levels, strict=True)]).sum()


def _is_positive(label: Any, other: Any) -> bool:
    return bool(label & other) if isinstance(label, (set, frozenset)) else label == other


def _weight(labels: Any, a: int, p: int, weighted: bool) -> float:
    return len(labels[a] & labels[p]) / len(labels[a] | labels[p]) if weighted else 1.0


def _positives(labels: Any, a: int) -> list[int]:
    return [p for p in range(len(labels)) if p != a and _is_positive(labels[p], labels[a])]


def _negatives(labels: Any, a: int) -> list[int]:
    return [n for n in range(len(labels)) if n != a and not _is_positive(labels[n], labels[a])]


def _hardest(d: Tensor, labels: Any, weighted: bool) -> list[tuple[int, int, int, float]]:
    """Return each anchor that has both, with its farthest positive, its nearest negative and the weight."""
    triplets = []
    for a in range(len(labels)):
        positives, negatives = _positives(labels, a), _negatives(labels, a)
        if positives and negatives:
            p, n = max(positives, key=lambda p: d[a, p]), min(negatives, key=lambda n: d[a, n])
            triplets.append((a, p, n, _weight(labels, a, p, weighted)))
    return triplets


def _mean(terms: list[Tensor], d: Tensor) -> Tensor:
    return torch.stack(terms).mean() if terms else d.sum() * 0
