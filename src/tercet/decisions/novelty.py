"""Measure how unlike the training sentences a sentence is, apart from the doubt between labels.

Two quantities are taken in each space of embeddings: the mean similarity to the 5 nearest training sentences of the
predicted label, and the score of this label in the logistic regression (before the softmax, which forgets how high all
scores are). Each is standardised on rows that the classifier has not seen; their mean is the familiarity. The novelty
is the fraction of those rows that are more familiar: 0.99 is more unusual than 99 % of them. So 1 − novelty is the
p-value of a conformal test. Source: Vovk et al. 2005, Algorithmic Learning in a Random World, section 2.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tercet.decisions.candidates import Rows, is_logistic, space_of
from tercet.decisions.models import LinearScores, Model, nearest_of_label
from tercet.decisions.spaces import Spaces

_NUM_NEIGHBOURS = 5


@dataclass(frozen=True, kw_only=True)
class Familiarity:
    """The familiarity of rows that the classifier has not seen, by which others are judged.

    Attributes:
        mean: the mean of each of the q quantities `(q,)`.
        std: their standard deviations `(q,)`.
        weights: the weight of each quantity in the mean `(q,)`.
        ranked: the familiarities of the rows, ascending `(n,)`.
    """

    mean: np.ndarray
    std: np.ndarray
    weights: np.ndarray
    ranked: np.ndarray

    @classmethod
    def of(cls, quantities: np.ndarray, weights: np.ndarray | None = None) -> "Familiarity":
        """Return the familiarity of rows with the given quantities `(n, q)`."""
        mean, std = quantities.mean(axis=0), quantities.std(axis=0)
        std = np.where(std > 0, std, 1.0)
        weights = np.full(quantities.shape[1], 1 / quantities.shape[1]) if weights is None else weights
        return cls(mean=mean, std=std, weights=weights, ranked=np.sort((quantities - mean) / std @ weights))

    def of_rows(self, quantities: np.ndarray) -> np.ndarray:
        """Return the familiarity of other rows: `(n, q) → (n,)`."""
        result: np.ndarray = (quantities - self.mean) / self.std @ self.weights
        return result

    def novelty(self, quantities: np.ndarray) -> np.ndarray:
        """Return the novelty of other rows, from 0 to below 1: `(n, q) → (n,)`."""
        less = np.searchsorted(self.ranked, self.of_rows(quantities), side="right")
        p_value = (less + 1) / (len(self.ranked) + 1)
        return 1 - np.minimum(p_value, 1.0)


def quantities(rows: Rows, models: Mapping[str, Model], x: Spaces, predicted: Tensor) -> np.ndarray:
    """Return the quantities of queries, float64 `(n, q)`, high for sentences that are like the training sentences.

    Args:
        rows: the training rows.
        models: the fitted classifiers; of them, the logistic regressions are used.
        x: the queries.
        predicted: the predicted label id of each query `(n,)`.
    """
    columns = []
    for (_, training), (_, queries) in zip(rows.spaces.items(), x.items(), strict=True):
        similarity, _ = nearest_of_label(training, rows.label_ids, queries, predicted, _NUM_NEIGHBOURS)
        found = similarity.isfinite()
        columns.append(similarity.masked_fill(~found, 0).sum(dim=1) / found.sum(dim=1))
    for name, model in models.items():
        if is_logistic(name) and isinstance(model, LinearScores):
            columns.append(model.scores(space_of(name, x)).gather(1, predicted.unsqueeze(1)).squeeze(1))
    return torch.stack(columns, dim=1).double().numpy()
