"""The triplet losses as plain loops: the specification, and the oracle of the tests.

Every function takes a matrix of distances `(batch, batch)` and a list of labels, and reads like the
formula. Slow on purpose. `tercet.losses.functional` computes the same from embeddings.

A triplet is (anchor a, positive p ≠ a of the same label, negative n of another label). An anchor
without a positive or without a negative gives no term.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def batch_all(d: Tensor, labels: Sequence[int], margin: float) -> Tensor:
    """The mean of max(0, d(a,p) − d(a,n) + margin) over all triplets where it is above 0."""
    hinges = [
        d[a, p] - d[a, n] + margin
        for a in range(len(labels))
        for p in _positives(labels, a)
        for n in _negatives(labels, a)
    ]
    return _mean([hinge for hinge in hinges if hinge > 0], d)


def batch_hard(d: Tensor, labels: Sequence[int], margin: float) -> Tensor:
    """The mean over anchors of the hinge of the farthest positive and the nearest negative."""
    return _mean([(farthest - nearest + margin).clamp(min=0) for farthest, nearest in _hardest(d, labels)], d)


def batch_hard_soft_margin(d: Tensor, labels: Sequence[int]) -> Tensor:
    """The mean over anchors of log(1 + exp(farthest positive − nearest negative))."""
    return _mean([torch.nn.functional.softplus(farthest - nearest) for farthest, nearest in _hardest(d, labels)], d)


def batch_semi_hard(d: Tensor, labels: Sequence[int], margin: float) -> Tensor:
    """The mean over (a, p) of the hinge with the nearest negative strictly farther than p.

    Where no negative is farther, the farthest one takes its place.
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
    """(farthest positive, nearest negative) for each anchor that has both."""
    return [
        (max(d[a, p] for p in _positives(labels, a)), min(d[a, n] for n in _negatives(labels, a)))
        for a in range(len(labels))
        if _positives(labels, a) and _negatives(labels, a)
    ]


def _mean(terms: list[Tensor], d: Tensor) -> Tensor:
    return torch.stack(terms).mean() if terms else d.sum() * 0
