"""Scores of labels: how much likelier another label is than the given one, by cross-validation.

Each sentence is checked by the sentences of the other folds (`folds.py`) in two ways: by a logistic regression that was
fitted to them (`logistic.py`), and by a vote of the nearest ones (`neighbours.py`). For a label ℓ of sentence i,

    evidence(i, ℓ) = (2 log p(ℓ | xᵢ) + log(votes(i, ℓ) + 0.02)) / 3
    log_odds(i)    = evidence(i, best other label) − evidence(i, given label)

Above 0 the label is a label issue: another one is likelier. Source of the out-of-fold probabilities: Northcutt et al.
2021, "Confident Learning". Their ranking, by p(other) − p(given), finds fewer wrong labels, and so does a second fit
without the first label issues; docs/architecture.md and docs/inspect.md have the measurements.

A label whose sentences are all in one fold cannot be checked; the log-odds of its sentences are nan.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from tercet.errors import EmbeddingError
from tercet.inspection.label_issues.folds import deal_folds
from tercet.inspection.label_issues.logistic import LogisticModel, fit_logistic
from tercet.inspection.label_issues.neighbours import Neighbours, centred, find_neighbours, vote
from tercet.inspection.texts import text_keys

# The constants were chosen by the number of planted wrong labels that are found; see docs/inspect.md.
NUM_FOLDS = 10
NUM_NEIGHBOURS = 50
VOTE_TEMPERATURE = 0.05  # in cosine similarity
VOTE_OFFSET = 0.02  # added to the fraction of votes, so that its logarithm is finite
FIT_WEIGHT = 2.0  # relative to a weight of 1 for the vote
PENALTY = 0.2  # for embeddings with a mean squared length of 1
# L-BFGS starts at 0. Longer rows have smaller weights, so that its first step, of length 1, comes closer.
_SCALE = 5.0
# Values of a block `(rows, labels)`: 16 MiB of float32.
_BLOCK_VALUES = 1 << 22


@dataclass(frozen=True, kw_only=True)
class LabelScores:
    """The scores of n labels.

    Attributes:
        log_odds: above 0 if another label is likelier than the given one, nan if that is unknown: `(n,)`.
        suggested: the likeliest other label, −1 if that is unknown: `(n,)`.
        neighbours: the neighbours that voted.
    """

    log_odds: Tensor
    suggested: Tensor
    neighbours: Neighbours

    def ranked(self) -> Tensor:
        """Return the rows with a label issue, the largest log-odds first; of equal ones, the first row first."""
        rows = (self.log_odds > 0).nonzero().flatten()
        return rows[self.log_odds[rows].argsort(descending=True, stable=True)]


def score_texts(
    texts: Sequence[str],
    label_ids: np.ndarray,
    embeddings: Tensor,
    *,
    seed: int = 0,
    show_progress_bar: bool = False,
) -> LabelScores:
    """Score the labels `(n,)` of n texts with embeddings `(n, dim)`; copies of a text share a fold.

    Args:
        texts: the texts.
        label_ids: their labels, numbered from 0.
        embeddings: their embeddings.
        seed: of the folds; the same seed gives the same scores.
        show_progress_bar: whether to show the progress over the folds.
    """
    keys = text_keys(texts)
    folds = deal_folds(keys, label_ids, NUM_FOLDS, seed)
    text_ids = np.unique(keys, return_inverse=True)[1]
    label_ids_, folds_, text_ids_ = (
        torch.from_numpy(part).to(embeddings.device) for part in (label_ids, folds, text_ids)
    )
    return score_labels(embeddings, label_ids_, folds_, text_ids_, show_progress_bar=show_progress_bar)


@torch.no_grad()
def score_labels(
    embeddings: Tensor,
    label_ids: Tensor,
    folds: Tensor,
    text_ids: Tensor | None = None,
    *,
    show_progress_bar: bool = False,
) -> LabelScores:
    """Score the labels `(n,)` of embeddings `(n, dim)` by the labels of the other folds.

    Args:
        embeddings: the embeddings of the texts.
        label_ids: their labels, numbered from 0.
        folds: the fold of each row, `(n,)`, from `deal_folds`.
        text_ids: a number for each text, `(n,)`; copies have the same number. By default all texts differ.
        show_progress_bar: whether to show the progress over the folds.

    Raises:
        EmbeddingError: the shapes do not match, or there is no row.
    """
    n = len(embeddings)
    if not embeddings.shape[:1] == label_ids.shape == folds.shape or n == 0:
        raise EmbeddingError(
            f"each embedding needs one label and one fold; got {tuple(embeddings.shape)} embeddings, "
            f"{tuple(label_ids.shape)} labels and {tuple(folds.shape)} folds"
        )
    text_ids = torch.arange(n, device=label_ids.device) if text_ids is None else text_ids
    num_labels = int(label_ids.max()) + 1
    x = centred(embeddings)
    neighbours = find_neighbours(x, label_ids, folds, text_ids, NUM_NEIGHBOURS)
    log_odds, suggested = torch.full((n,), torch.nan, device=x.device), torch.full_like(label_ids, -1)
    # The time grows with rows × labels: minutes if there are thousands of labels.
    for fold in tqdm(folds.unique().tolist(), desc="Check labels", unit="fold", disable=not show_progress_bar):
        inside, outside = (folds == fold).nonzero().flatten(), (folds != fold).nonzero().flatten()
        known = torch.bincount(label_ids[outside], minlength=num_labels) > 0
        rows = inside[known[label_ids[inside]]]
        if len(rows) == 0 or known.sum() < 2:
            continue
        model = fit_logistic(_SCALE * x[outside], label_ids[outside], num_labels, _SCALE**2 * PENALTY)
        for block in rows.split(max(1, _BLOCK_VALUES // num_labels)):
            evidence = _evidence(model, neighbours, x, label_ids, block)
            given = label_ids[block].unsqueeze(1)
            given_evidence = evidence.gather(1, given).squeeze(1)
            best, suggested[block] = evidence.scatter(1, given, -torch.inf).max(1)
            log_odds[block] = best - given_evidence
    return LabelScores(log_odds=log_odds, suggested=suggested, neighbours=neighbours)


def _evidence(model: LogisticModel, neighbours: Neighbours, x: Tensor, label_ids: Tensor, rows: Tensor) -> Tensor:
    """Return the evidence for each label, `(rows, labels)`; −inf for labels that the other folds do not have."""
    by_fit = model.log_probabilities(_SCALE * x[rows])
    votes = vote(neighbours, rows, label_ids, len(model.bias), VOTE_TEMPERATURE)
    return (FIT_WEIGHT * by_fit + (votes + VOTE_OFFSET).log()) / (FIT_WEIGHT + 1)
