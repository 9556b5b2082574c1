"""Labels that the rest of the data disputes.

Every sentence is judged by sentences of other folds alone (`tercet.inspection.label_issues.folds`), in two ways: by a logistic
regression fitted to those, and by a vote of the nearest of them. For a label ℓ of sentence i,

    evidence(i, ℓ) = (2 log p(ℓ | xᵢ) + log(votes(i, ℓ) + 0.02)) / 3

and the score is evidence(i, best other label) − evidence(i, given label): how much likelier the other label is, as a
natural logarithm. Above 0 the label is disputed. Out-of-fold probabilities for this: Northcutt et al. 2021, "Confident
Learning"; ranked by the difference p(other) − p(given), as there, fewer wrong labels are found, and so they are with a
second fit without the first suspects (docs/architecture.md; how many wrong labels are found: docs/inspect.md).

Labels of which no sentence is in another fold cannot be judged; their score is nan.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm.auto import tqdm

from tercet.errors import EmbeddingError
from tercet.inspection.label_issues.logistic import Logistic, fit_logistic
from tercet.inspection.label_issues.neighbours import Neighbours, centred, find_neighbours, vote

FOLDS = 10
NEIGHBOURS = 50
TEMPERATURE = 0.05  # of a vote, in cosine similarity
DOUBT = 0.02  # the share of votes that a label without any is given
WEIGHT_OF_FIT = 2.0  # against 1 for the vote
PENALTY = 0.2  # for embeddings of length 1 (root mean square)
# L-BFGS starts at 0; in longer rows weights are smaller, and a step of length 1 goes farther.
_SCALE = 5.0
_BLOCK_CELLS = 1 << 22


@dataclass(frozen=True)
class LabelScores:
    """What the others say of each of n labels.

    Attributes:
        score: above 0 where another label is likelier than the given one, nan where nothing can be said: `(n,)`.
        suggested: the likeliest of the other labels, −1 where nothing can be said: `(n,)`.
        neighbours: found on the way.
    """

    score: Tensor
    suggested: Tensor
    neighbours: Neighbours

    def ranked(self) -> Tensor:
        """The rows whose label is disputed, the most doubtful first; the first row first where scores tie."""
        rows = (self.score > 0).nonzero().flatten()
        return rows[self.score[rows].argsort(descending=True, stable=True)]


@torch.no_grad()
def score_labels(
    embeddings: Tensor,
    label_ids: Tensor,
    folds: Tensor,
    texts: Tensor | None = None,
    *,
    show_progress_bar: bool = False,
) -> LabelScores:
    """Judge the labels `(n,)` of embeddings `(n, dim)` by those of other folds.

    Args:
        label_ids: labels, numbered from 0.
        folds: the fold of each row, `(n,)`, from `deal_folds`.
        texts: a number for each text, `(n,)`, the same for copies; by default all differ.
    """
    n = len(embeddings)
    if not embeddings.shape[:1] == label_ids.shape == folds.shape or n == 0:
        raise EmbeddingError(
            f"give one label and one fold an embedding; got {tuple(embeddings.shape)} embeddings, "
            f"{tuple(label_ids.shape)} labels and {tuple(folds.shape)} folds"
        )
    texts = torch.arange(n, device=label_ids.device) if texts is None else texts
    labels = int(label_ids.max()) + 1
    x = centred(embeddings)
    neighbours = find_neighbours(x, label_ids, folds, texts, NEIGHBOURS)
    score, suggested = torch.full((n,), torch.nan, device=x.device), torch.full_like(label_ids, -1)
    # The time grows with rows × labels: with thousands of labels it is minutes.
    for fold in tqdm(folds.unique().tolist(), desc="Judge", unit="fold", disable=not show_progress_bar):
        inside, outside = (folds == fold).nonzero().flatten(), (folds != fold).nonzero().flatten()
        known = torch.bincount(label_ids[outside], minlength=labels) > 0
        rows = inside[known[label_ids[inside]]]
        if len(rows) == 0 or known.sum() < 2:
            continue
        fitted = fit_logistic(_SCALE * x[outside], label_ids[outside], labels, _SCALE**2 * PENALTY)
        for block in rows.split(max(1, _BLOCK_CELLS // labels)):
            evidence = _evidence(fitted, neighbours, x, label_ids, block)
            own = label_ids[block].unsqueeze(1)
            given = evidence.gather(1, own).squeeze(1)
            best, suggested[block] = evidence.scatter(1, own, -torch.inf).max(1)
            score[block] = best - given
    return LabelScores(score, suggested, neighbours)


def _evidence(fitted: Logistic, neighbours: Neighbours, x: Tensor, label_ids: Tensor, rows: Tensor) -> Tensor:
    """The evidence for every label, `(rows, labels)`; −inf for labels that the other folds do not have."""
    labels = len(fitted.bias)
    by_fit = fitted.log_probabilities(_SCALE * x[rows])
    by_vote = (vote(neighbours, rows, label_ids, labels, TEMPERATURE) + DOUBT).log()
    return (WEIGHT_OF_FIT * by_fit + by_vote) / (WEIGHT_OF_FIT + 1)
