"""Fitted classifiers: each maps embeddings of length 1 to log-probabilities of labels.

LinearScores        one vector and one bias per label: class means, shared covariance, logistic regression
NeighbourVote       nearest training rows, weighted by their similarity
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

# The nearest rows that vote. Farther rows have almost no weight at the temperature of the vote.
NUM_VOTERS = 20
# The difference of similarity at which the weight of a neighbour falls to 1/e. Of 0.03, 0.05 and 0.1, it has the best
# mean log-probability on BANKING77, CLINC150 and HWU64, before and after training.
VOTE_TEMPERATURE = 0.05
# The probability that is divided over all labels, so that a label without a near row has a logarithm.
_SMOOTHING = 1e-3
# The maximum number of values in a block: 64 MiB of float32.
_BLOCK_VALUES = 1 << 24


@dataclass(frozen=True, kw_only=True)
class LinearScores:
    """Labels are scored by `x Wᵀ + b`.

    Attributes:
        weights: W `(num_labels, dim)`.
        bias: b `(num_labels,)`; −inf for labels without a training row.
    """

    weights: Tensor
    bias: Tensor

    def scores(self, x: Tensor) -> Tensor:
        """Return the score of each label: `(n, dim) → (n, num_labels)`."""
        return torch.addmm(self.bias, x, self.weights.T)

    def log_probabilities(self, x: Tensor) -> Tensor:
        """Return the log-probability of each label: `(n, dim) → (n, num_labels)`."""
        return F.log_softmax(self.scores(x), dim=1)


@dataclass(frozen=True, kw_only=True)
class NeighbourVote:
    """The nearest training rows vote. The weight of a row is exp(cosine similarity / temperature).

    Attributes:
        rows: the training rows `(m, dim)`, of length 1.
        label_ids: their label ids `(m,)`.
        num_labels: the number of labels.
    """

    rows: Tensor
    label_ids: Tensor
    num_labels: int

    def log_probabilities(self, x: Tensor) -> Tensor:
        """Return the log-probability of each label: `(n, dim) → (n, num_labels)`."""
        blocks = x.split(max(1, _BLOCK_VALUES // max(len(self.rows), self.num_labels)))
        return torch.cat([self._block(block) for block in blocks]) if blocks else x.new_zeros(0, self.num_labels)

    def _block(self, x: Tensor) -> Tensor:
        similarity, nearest = (x @ self.rows.T).topk(min(NUM_VOTERS, len(self.rows)), dim=1)
        weights = ((similarity - similarity[:, :1]) / VOTE_TEMPERATURE).exp()
        votes = x.new_zeros(len(x), self.num_labels).scatter_add_(1, self.label_ids[nearest], weights)
        share = votes / votes.sum(dim=1, keepdim=True)
        return ((1 - _SMOOTHING) * share + _SMOOTHING / self.num_labels).log()


Model = LinearScores | NeighbourVote


def nearest_of_label(
    rows: Tensor, label_ids: Tensor, x: Tensor, wanted: Tensor, neighbours: int
) -> tuple[Tensor, Tensor]:
    """Return the similarities and the numbers of the nearest training rows that have a given label.

    Args:
        rows: the training rows `(m, dim)`, of length 1.
        label_ids: their label ids `(m,)`.
        x: the queries `(n, dim)`, of length 1.
        wanted: the label id of each query `(n,)`; it has a training row.
        neighbours: the number of rows to return, k.

    Returns:
        Similarities and row numbers, `(n, k)` each, the nearest first; −inf and −1 where the label has fewer rows.
    """
    similarity = x.new_full((len(x), neighbours), -torch.inf)
    numbers = torch.full((len(x), neighbours), -1)
    for label_id in wanted.unique().tolist():
        queries = (wanted == label_id).nonzero().flatten()
        members = (label_ids == label_id).nonzero().flatten()
        found, at = nearest_rows(rows[members], x[queries], neighbours)
        k = found.shape[1]
        similarity[queries, :k], numbers[queries, :k] = found, members[at]
    return similarity, numbers


def nearest_rows(rows: Tensor, x: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
    """Return the similarities and the numbers of the nearest training rows, `(n, k)` each, the nearest first.

    Args:
        rows: the training rows `(m, dim)`, of length 1.
        x: the queries `(n, dim)`, of length 1.
        neighbours: the number of rows to return, k; fewer if there are fewer rows.
    """
    k = min(neighbours, len(rows))
    found = [(block @ rows.T).topk(k, dim=1) for block in x.split(max(1, _BLOCK_VALUES // len(rows)))]
    if not found:
        return x.new_zeros(0, k), torch.empty(0, k, dtype=torch.long)
    return torch.cat([similarity for similarity, _ in found]), torch.cat([numbers for _, numbers in found])
