"""Find nearest neighbours by cosine similarity, and let their labels vote.

The mean of the embeddings is subtracted first. The embeddings of many encoders share a large common component, which
makes all cosine similarities nearly equal.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tercet.distances import BLOCK_BYTES, COSINE, at_least_float32, distance_blocks, nearest


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The neighbours of n rows.

    Attributes:
        similarity: the cosine similarities `(n, k)` of the k nearest rows of other folds, nearest first; −inf where the
            other folds have fewer than k rows. k is at most n.
        row: the row numbers `(n, k)` of these neighbours; arbitrary where the similarity is −inf.
        other_similarity: the cosine similarity `(n,)` of the nearest row with another label and another text; −inf if
            there is no such row.
        other_row: the row number `(n,)` of that row; arbitrary if there is none.
    """

    similarity: Tensor
    row: Tensor
    other_similarity: Tensor
    other_row: Tensor


def centred(embeddings: Tensor) -> Tensor:
    """Return the rows `(n, dim)` with their mean subtracted, scaled to a mean squared norm of 1.

    If all rows are equal, the result is 0.
    """
    x = at_least_float32(embeddings)
    # Scale first, because squares of very large or very small values would overflow or underflow in float32.
    x = (x / x.abs().max().clamp(min=torch.finfo(x.dtype).tiny)).float()
    x = x - x.mean(0)
    norm = x.square().sum(1).mean().sqrt()
    # If all rows are equal, only rounding errors are left. They must not be scaled up.
    return x / norm if norm > 1e-6 else torch.zeros_like(x)


def find_neighbours(
    x: Tensor, label_ids: Tensor, folds: Tensor, text_ids: Tensor, k: int, *, block_bytes: int = BLOCK_BYTES
) -> Neighbours:
    """Find the neighbours of each row, block by block.

    Args:
        x: the centred embeddings `(n, dim)`.
        label_ids: the label ids `(n,)`.
        folds: the fold `(n,)` of each row.
        text_ids: a number for each text `(n,)`. Copies of a text have the same number.
        k: the number of neighbours of each row; n if k is larger.
        block_bytes: the approximate memory of a block of distances, in bytes.
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
    """Return the fraction of the votes for each label, `(m, num_labels)`; 0 for a row without neighbours.

    A neighbour votes for its label with the weight exp(similarity / temperature).

    Args:
        neighbours: the neighbours of all n rows.
        rows: the row numbers `(m,)` for which to count the votes.
        label_ids: the label ids `(n,)` of all rows.
        num_labels: the number of labels.
        temperature: the temperature of the weights; a lower one gives near neighbours more weight.
    """
    similarity = neighbours.similarity[rows]
    weights = ((similarity - similarity[:, :1]) / temperature).exp().nan_to_num(0.0)
    votes = torch.zeros(len(rows), num_labels, device=weights.device)
    votes.scatter_add_(1, label_ids[neighbours.row[rows]], weights)
    return votes / votes.sum(1, keepdim=True).clamp(min=1e-30)
