"""The batch losses as plain loops. They are the specification with which the tests compare the fast implementation.

Every function takes a distance matrix `d` `(batch, batch)` and a list of labels, and follows the formula of the loss.
The functions are slow. `tercet.losses.functional` computes the same losses from embeddings.

A triplet consists of an anchor a, a positive p ≠ a with the same label, and a negative n with another label. An anchor
without a positive or without a negative is not included in the mean.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["batch_all", "batch_hard", "batch_hard_soft_margin", "batch_semi_hard"]


def batch_all(d: Tensor, labels: Sequence[int], margin: float) -> Tensor:
    """Return the mean of d(a,p) − d(a,n) + margin over all triplets for which this value is above 0."""
    hinges = [
        d[a, p] - d[a, n] + margin
        for a in range(len(labels))
        for p in _positives(labels, a)
        for n in _negatives(labels, a)
    ]
    return _mean([hinge for hinge in hinges if hinge > 0], d)


def batch_hard(d: Tensor, labels: Sequence[int], margin: float) -> Tensor:
    """Return the mean over anchors a of max(0, d(a, farthest positive) − d(a, nearest negative) + margin)."""
    return _mean([(farthest - nearest + margin).clamp(min=0) for farthest, nearest in _hardest(d, labels)], d)


def batch_hard_soft_margin(d: Tensor, labels: Sequence[int]) -> Tensor:
    """Return the mean over anchors a of log(1 + exp(d(a, farthest positive) − d(a, nearest negative)))."""
    return _mean([torch.nn.functional.softplus(farthest - nearest) for farthest, nearest in _hardest(d, labels)], d)


def batch_semi_hard(d: Tensor, labels: Sequence[int], margin: float) -> Tensor:
    """Return the mean over pairs (a, p) of max(0, d(a,p) − d(a,n) + margin), with one negative n for each pair.

    n is the nearest negative with d(a,n) > d(a,p). If there is none, n is the farthest negative of a.
    """
    hinges = []
    for a in range(len(labels)):
        negatives = [d[a, n] for n in _negatives(labels, a)]
        for p in _positives(labels, a) if negatives else []:
            farther = [negative for negative in negatives if negative > d[a, p]]
            negative = min(farther) if farther else max(negatives)
            hinges.append((d[a, p] - negative + margin).clamp(min=0))
    return _mean(hinges, d)


def _positives(labels: Sequence[int], a: int) -> list[int]:
    return [p for p in range(len(labels)) if p != a and labels[p] == labels[a]]


def _negatives(labels: Sequence[int], a: int) -> list[int]:
    return [n for n in range(len(labels)) if labels[n] != labels[a]]


def _hardest(d: Tensor, labels: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """Return d(a, farthest positive) and d(a, nearest negative) of each anchor that has both."""
    return [
        (max(d[a, p] for p in _positives(labels, a)), min(d[a, n] for n in _negatives(labels, a)))
        for a in range(len(labels))
        if _positives(labels, a) and _negatives(labels, a)
    ]


def _mean(terms: list[Tensor], d: Tensor) -> Tensor:
    return torch.stack(terms).mean() if terms else d.sum() * 0
