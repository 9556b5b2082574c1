"""Neighbours by cosine similarity, a block of rows at a time: memory grows with the rows, not with their square.

Embeddings are centred first: in many encoders all sentences share a large common part, beside which
differences of similarity are small.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tercet.distances import at_least_float32

_BLOCK_BYTES = 128 * 2**20
_BYTES_A_CELL = 16  # a similarity in float32, its masks, and what topk takes


@dataclass(frozen=True)
class Neighbours:
    """The neighbours of n rows.

    Attributes:
        similarity: of the k nearest rows of other folds, nearest first, −inf where there are fewer: `(n, k)`.
        row: which those are, `(n, k)`.
        other_similarity: of the nearest row of another label and another text, −inf where there is none: `(n,)`.
        other_row: which that is, `(n,)`.
    """

    similarity: Tensor
    row: Tensor
    other_similarity: Tensor
    other_row: Tensor


def centred(embeddings: Tensor) -> Tensor:
    """Rows `(n, dim)` less their mean, scaled together so that the mean square of a length is 1."""
    x = at_least_float32(embeddings)
    # Squares of very large or very small values would not fit in float32.
    x = (x / x.abs().max().clamp(min=torch.finfo(x.dtype).tiny)).float()
    x = x - x.mean(0)
    size = x.square().sum(1).mean().sqrt()
    # What is left of rows that are all alike is rounding, and no direction.
    return x / size if size > 1e-6 else torch.zeros_like(x)


def find_neighbours(
    x: Tensor, label_ids: Tensor, folds: Tensor, texts: Tensor, k: int, *, block_bytes: int = _BLOCK_BYTES
) -> Neighbours:
    """The neighbours of centred rows `(n, dim)`.

    Args:
        label_ids: labels `(n,)`.
        folds: `(n,)`.
        texts: a number for each text, `(n,)`, the same for copies.
    """
    directions = F.normalize(x, dim=1)
    parts = []
    for rows in torch.arange(len(x), device=x.device).split(max(1, block_bytes // (_BYTES_A_CELL * len(x)))):
        s = directions[rows] @ directions.T
        alike = (label_ids[rows].unsqueeze(1) == label_ids) | (texts[rows].unsqueeze(1) == texts)
        other = s.masked_fill(alike, -torch.inf).max(1)
        s.masked_fill_(folds[rows].unsqueeze(1) == folds, -torch.inf)
        nearest = s.topk(min(k, len(x)), dim=1)
        parts.append((nearest.values, nearest.indices, other.values, other.indices))
    return Neighbours(*(torch.cat(column) for column in zip(*parts, strict=True)))


def vote(neighbours: Neighbours, rows: Tensor, label_ids: Tensor, labels: int, temperature: float) -> Tensor:
    """The share of each label in the votes for some rows, `(rows, labels)`: a voter counts exp(similarity / T)."""
    similarity = neighbours.similarity[rows]
    weights = ((similarity - similarity[:, :1]) / temperature).exp().nan_to_num(0.0)
    votes = torch.zeros(len(rows), labels, device=weights.device)
    votes.scatter_add_(1, label_ids[neighbours.row[rows]], weights)
    return votes / votes.sum(1, keepdim=True).clamp(min=1e-30)
