"""Nearest neighbours by cosine similarity, and the vote of their labels.

The embeddings are centred first: those of many encoders share a large common component, which hides the differences
between their similarities.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tercet.distances import BLOCK_BYTES, COSINE, at_least_float32, distance_blocks, nearest


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The neighbours of n rows.

    Attributes:
        similarity: of the k nearest rows of other folds, nearest first, `(n, k)`; −inf where there are fewer than k.
        row: the row numbers of those, `(n, k)`.
        other_similarity: of the nearest row with another label and another text, `(n,)`; −inf if there is none.
        other_row: the row number of that, `(n,)`.
    """

    similarity: Tensor
    row: Tensor
    other_similarity: Tensor
    other_row: Tensor


def centred(embeddings: Tensor) -> Tensor:
    """Return rows `(n, dim)` less their mean, scaled so that the mean squared length is 1."""
    x = at_least_float32(embeddings)
    # Squares of very large or very small values would not fit in float32.
    x = (x / x.abs().max().clamp(min=torch.finfo(x.dtype).tiny)).float()
    x = x - x.mean(0)
    norm = x.square().sum(1).mean().sqrt()
    # If all rows are equal, only rounding errors are left, and they have no meaningful direction.
    return x / norm if norm > 1e-6 else torch.zeros_like(x)


def find_neighbours(
    x: Tensor, label_ids: Tensor, folds: Tensor, text_ids: Tensor, k: int, *, block_bytes: int = BLOCK_BYTES
) -> Neighbours:
    """Find the neighbours of centred rows `(n, dim)`, block by block.

    Args:
        x: centred embeddings.
        label_ids: labels `(n,)`.
        folds: `(n,)`.
        text_ids: a number for each text, `(n,)`; copies have the same number.
        k: the number of neighbours of each row.
        block_bytes: the memory that a block may take.
    """
    points = COSINE.prepare(x)
    blocks = []
    for rows, distances in distance_blocks(points, points, COSINE, block_bytes=block_bytes):
        same_label = label_ids[rows].unsqueeze(1) == label_ids
        same_text = text_ids[rows].unsqueeze(1) == text_ids
        other = distances.masked_fill(same_label | same_text, torch.inf).min(1)
        same_fold = folds[rows].unsqueeze(1) == folds
        near, near_rows = nearest(distances, k, excluded=same_fold)
        blocks.append((1 - near, near_rows, 1 - other.values, other.indices))
    similarity, row, other_similarity, other_row = (torch.cat(parts) for parts in zip(*blocks, strict=True))
    return Neighbours(similarity=similarity, row=row, other_similarity=other_similarity, other_row=other_row)


def vote(neighbours: Neighbours, rows: Tensor, label_ids: Tensor, num_labels: int, temperature: float) -> Tensor:
    """Return the fraction of votes that each label gets in some rows, `(rows, labels)`.

    A neighbour votes for its label with the weight exp(similarity / temperature).
    """
    similarity = neighbours.similarity[rows]
    weights = ((similarity - similarity[:, :1]) / temperature).exp().nan_to_num(0.0)
    votes = torch.zeros(len(rows), num_labels, device=weights.device)
    votes.scatter_add_(1, label_ids[neighbours.row[rows]], weights)
    return votes / votes.sum(1, keepdim=True).clamp(min=1e-30)
