"""Compute, by cross-validation, how much likelier another label is than the given one.

Each sentence is scored with the sentences of the other folds (`tercet.data.splits.folds`) in two ways: p(ℓ | xᵢ) from a
logistic regression that is fitted to them (`tercet.evaluation.logistic`), and a vote of the nearest
sentences of the other folds (`neighbours.py`). For sentence i and label ℓ,

    evidence(i, ℓ) = (2 log p(ℓ | xᵢ) + log(votes(i, ℓ) + 0.02)) / 3
    log_odds(i)    = evidence(i, best other label) − evidence(i, given label)

A sentence is a label issue if its log-odds are above 0, that is, if another label is likelier. Source of the
out-of-fold probabilities: Northcutt et al. 2021, "Confident Learning". See docs/concepts/label-issues.md for the method
and docs/concepts/measured-quality.md for measurements.

A label cannot be checked if all its sentences are in one fold, or if the other folds have only one label. The log-odds
of such sentences are NaN.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from tercet._texts import text_keys
from tercet.data.splits.folds import deal_folds
from tercet.errors import EmbeddingError
from tercet.evaluation.logistic import BLOCK_VALUES, SCALE, LogisticModel, fit_logistic
from tercet.inspection.label_issues.neighbours import Neighbours, centred, find_neighbours, vote

logger = logging.getLogger(__name__)

# The constants were chosen by how many of the labels that were changed on purpose are found; see the section "Are label
# issues wrong labels?" of docs/concepts/measured-quality.md.
NUM_FOLDS = 10
NUM_NEIGHBOURS = 50
VOTE_TEMPERATURE = 0.05  # in units of cosine similarity
VOTE_OFFSET = 0.02  # added to the fraction of votes, so that its logarithm is finite
FIT_WEIGHT = 2.0  # the weight of the logistic regression; the vote has weight 1
PENALTY = 0.2  # λ of the logistic regression, for embeddings with a mean squared norm of 1
# The logistic regression is fitted if the number of rows times the number of labels is at most this. At the limit, on
# two cores, it takes half a minute and 5 GB. Beyond it, the neighbours vote alone.
MAX_FIT_VALUES = 250_000_000


@dataclass(frozen=True, kw_only=True)
class LabelLogOdds:
    """The log-odds of n labels.

    Attributes:
        log_odds: the log-odds `(n,)`: above 0 if another label is likelier than the given one, NaN if the label could
            not be checked.
        suggested: the label id `(n,)` of the likeliest other label; −1 if the label could not be checked.
        neighbours: the neighbours of all rows.
        fitted: whether the logistic regression was fitted; False if there were too many rows and labels for it.
        given_rank: float32 `(n,)`, how far the evidence of a row for its label is above that of the other rows of its
            fold for this label: nearly 0.5 for the highest one, −0.5 for the lowest, 0 on average for labels at random.
            NaN if the label could not be checked; None if the regression was not fitted.
    """

    log_odds: Tensor
    suggested: Tensor
    neighbours: Neighbours
    fitted: bool = True
    given_rank: Tensor | None = None

    def ranked(self) -> Tensor:
        """Return the row numbers of the label issues, the largest log-odds first; equal ones are in row order."""
        rows = (self.log_odds > 0).nonzero().flatten()
        return rows[self.log_odds[rows].argsort(descending=True, stable=True)]


def score_texts(
    texts: Sequence[str],
    label_ids: np.ndarray,
    embeddings: Tensor,
    *,
    seed: int = 0,
    show_progress_bar: bool = False,
) -> LabelLogOdds:
    """Divide n texts into folds and score their labels. Copies of a text are in the same fold.

    Args:
        texts: the n texts.
        label_ids: the label ids `(n,)`, numbered from 0.
        embeddings: the embeddings `(n, dim)`.
        seed: the seed of the folds; the same seed gives the same scores.
        show_progress_bar: whether to show a progress bar over the folds.

    Raises:
        EmbeddingError: the numbers of embeddings and labels differ, or there are no embeddings.
    """
    keys = text_keys(texts)
    folds = deal_folds(keys, label_ids, NUM_FOLDS, seed)
    text_ids = np.unique(keys, return_inverse=True)[1]
    label_ids_, folds_, text_ids_ = (
        torch.from_numpy(part).to(embeddings.device) for part in (label_ids, folds, text_ids)
    )
    return compute_log_odds(embeddings, label_ids_, folds_, text_ids_, show_progress_bar=show_progress_bar)


@torch.no_grad()
def compute_log_odds(
    embeddings: Tensor,
    label_ids: Tensor,
    folds: Tensor,
    text_ids: Tensor | None = None,
    *,
    show_progress_bar: bool = False,
) -> LabelLogOdds:
    """Compute the log-odds of the label of each row with the rows of the other folds.

    Args:
        embeddings: the embeddings `(n, dim)`.
        label_ids: the label ids `(n,)`, numbered from 0.
        folds: the fold `(n,)` of each row, from `deal_folds`.
        text_ids: a number for each text `(n,)`. Copies of a text have the same number. By default, all texts differ.
        show_progress_bar: whether to show a progress bar over the folds.

    Raises:
        EmbeddingError: the numbers of embeddings, labels and folds differ, or there are no embeddings.
    """
    n = len(embeddings)
    if not embeddings.shape[:1] == label_ids.shape == folds.shape or n == 0:
        raise EmbeddingError(
            f"pass one label and one fold for each embedding, and at least one embedding; got embeddings of shape "
            f"{tuple(embeddings.shape)}, labels of shape {tuple(label_ids.shape)} and folds of shape "
            f"{tuple(folds.shape)}"
        )
    text_ids = torch.arange(n, device=label_ids.device) if text_ids is None else text_ids
    num_labels = int(label_ids.max()) + 1
    fitted = n * num_labels <= MAX_FIT_VALUES
    if not fitted:
        logger.warning(
            f"{n:,} rows with {num_labels:,} labels are too many for the logistic regression, so only the nearest "
            "neighbours are asked for label issues"
        )
    x = centred(embeddings)
    neighbours = find_neighbours(x, label_ids, folds, text_ids, NUM_NEIGHBOURS)
    log_odds, suggested = torch.full((n,), torch.nan, device=x.device), torch.full_like(label_ids, -1)
    given_rank = torch.full_like(log_odds, torch.nan) if fitted else None
    # The time grows with the number of rows times the number of labels. With thousands of labels it takes minutes.
    with tqdm(folds.unique().tolist(), desc="Check labels", unit="fold", disable=not show_progress_bar) as bar:
        for fold in bar:
            inside, outside = (folds == fold).nonzero().flatten(), (folds != fold).nonzero().flatten()
            known = torch.bincount(label_ids[outside], minlength=num_labels) > 0
            rows = inside[known[label_ids[inside]]]
            if len(rows) == 0 or known.sum() < 2:
                continue
            penalty = SCALE**2 * PENALTY
            model = fit_logistic(SCALE * x[outside], label_ids[outside], num_labels, penalty) if fitted else None
            of_fold = []
            for block in rows.split(max(1, BLOCK_VALUES // num_labels)):
                evidence = _evidence(model, neighbours, x, label_ids, known, block)
                given = label_ids[block].unsqueeze(1)
                given_evidence = evidence.gather(1, given).squeeze(1)
                best, suggested[block] = evidence.scatter(1, given, -torch.inf).max(1)
                log_odds[block] = best - given_evidence
                if fitted:  # Without a limit of rows × labels, the evidence of a fold may not fit into memory.
                    of_fold.append(evidence)
            if given_rank is not None:
                given_rank[rows] = _given_ranks(torch.cat(of_fold), label_ids[rows])
    return LabelLogOdds(
        log_odds=log_odds, suggested=suggested, neighbours=neighbours, fitted=fitted, given_rank=given_rank
    )


def _given_ranks(evidence: Tensor, label_ids: Tensor) -> Tensor:
    """Return the rank of each row by the evidence for its label, between −0.5 and 0.5 `(m,)`; ties have the mean rank.

    Args:
        evidence: the evidence of the rows of a fold for each label `(m, num_labels)`.
        label_ids: the label of each row `(m,)`.
    """
    ranks = torch.zeros(len(label_ids), device=evidence.device)
    for label in label_ids.unique().tolist():
        own, column = (label_ids == label).nonzero().flatten(), evidence[:, label].contiguous()
        ordered, values = column.sort().values, column[own]
        # The mean of the first and the last place, counted from 0, and the middle of all places.
        place = (torch.searchsorted(ordered, values) + torch.searchsorted(ordered, values, right=True) - 1) / 2
        ranks[own] = (place - (len(ordered) - 1) / 2) / len(ordered)
    return ranks


def _evidence(
    model: LogisticModel | None, neighbours: Neighbours, x: Tensor, label_ids: Tensor, known: Tensor, rows: Tensor
) -> Tensor:
    """Return the evidence `(m, num_labels)` for each label in the m given rows.

    It is −inf for a label that has no sentence in the other folds; `known` is False for these labels. Without a model,
    the evidence is that of the votes.
    """
    votes = vote(neighbours, rows, label_ids, len(known), VOTE_TEMPERATURE)
    by_vote = (votes + VOTE_OFFSET).log().masked_fill(~known, -torch.inf)
    if model is None:
        return by_vote
    return (FIT_WEIGHT * model.log_probabilities(SCALE * x[rows]) + by_vote) / (FIT_WEIGHT + 1)
