"""The classifiers among which a choice is made: how each is fitted to labelled embeddings.

nearest_neighbours       the 20 nearest training rows vote, near ones more than far ones
class_means              the cosine similarity to the mean of each label
shared_covariance        linear discriminant analysis: one covariance for all labels, shrunk towards a multiple of 1
logistic_regression      multinomial, with an L2 penalty
…_before_head            the same on the inputs of the linear head, if the model has one
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tercet.decisions.models import LinearScores, Model, NeighbourVote
from tercet.decisions.spaces import Spaces
from tercet.distances.points import unit_rows
from tercet.evaluation.classifiers import mean_rows
from tercet.evaluation.logistic import SCALE, LogisticModel, centre_and_factor, fit_logistic

# Scale of the cosine similarity to a class mean. The temperature is fitted afterwards.
_MEANS_SCALE = 20.0
# The part of the covariance that is replaced by a multiple of the identity.
_SHRINKAGE = 0.2
# The penalties λ to choose from, as in `tercet.evaluation.classifiers`.
PENALTIES = (0.03, 0.1, 0.3)
_BEFORE_HEAD = "_before_head"


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Labelled training rows.

    Attributes:
        spaces: the embeddings of the n rows.
        label_ids: the label ids `(n,)`, from 0.
        num_labels: the number of labels. A label may have no row.
    """

    spaces: Spaces
    label_ids: Tensor
    num_labels: int

    def select(self, rows: Tensor) -> "Rows":
        """Return some of the rows."""
        return Rows(spaces=self.spaces[rows], label_ids=self.label_ids[rows], num_labels=self.num_labels)

    def counts(self) -> Tensor:
        """Return the number of rows of each label `(num_labels,)`."""
        return torch.bincount(self.label_ids, minlength=self.num_labels)


def candidate_names(spaces: Spaces) -> list[str]:
    """Return the names of the classifiers that these embeddings allow. The first ones are the simplest."""
    names = list(_FITS)
    return names if spaces.before_head is None else [*names, f"logistic_regression{_BEFORE_HEAD}"]


def space_of(name: str, spaces: Spaces) -> Tensor:
    """Return the embeddings on which a classifier works."""
    return spaces.before_head if name.endswith(_BEFORE_HEAD) and spaces.before_head is not None else spaces.embeddings


def is_logistic(name: str) -> bool:
    """Return whether a classifier is a logistic regression, which takes most of the time and needs a penalty."""
    return name.startswith("logistic_regression")


def fit(name: str, rows: Rows, *, penalty: float = 0.1, start: Model | None = None) -> Model:
    """Fit one classifier.

    Args:
        name: one of `candidate_names`.
        rows: the training rows.
        penalty: λ of a logistic regression.
        start: for a logistic regression, a model of nearly the same rows. A few steps from there are enough.
    """
    x = space_of(name, rows.spaces)
    if is_logistic(name):
        begin = start if isinstance(start, LinearScores) else None
        return fit_logistic_regression(x, rows.label_ids, rows.num_labels, penalty, begin)
    return _FITS[name](x, rows.label_ids, rows.num_labels)


def fit_logistic_regression(
    x: Tensor, label_ids: Tensor, num_labels: int, penalty: float, start: LinearScores | None = None
) -> LinearScores:
    """Fit a logistic regression to rows that are centred and have a mean squared norm of 1 afterwards."""
    mean, factor = centre_and_factor(x)
    begin = None
    if start is not None and factor > 0:
        bias = start.bias + start.weights @ mean
        begin = LogisticModel(weights=start.weights / factor, bias=bias)
    model = fit_logistic((x - mean) * factor, label_ids, num_labels, SCALE**2 * penalty, start=begin)
    weights = factor * model.weights
    return LinearScores(weights=weights, bias=model.bias - weights @ mean)


def _neighbours(x: Tensor, label_ids: Tensor, num_labels: int) -> NeighbourVote:
    return NeighbourVote(rows=x, label_ids=label_ids, num_labels=num_labels)


def _class_means(x: Tensor, label_ids: Tensor, num_labels: int) -> LinearScores:
    means, absent = mean_rows(x, label_ids, num_labels)
    bias = torch.zeros(num_labels).masked_fill(absent, -torch.inf)
    return LinearScores(weights=_MEANS_SCALE * unit_rows(means), bias=bias)


def _shared_covariance(x: Tensor, label_ids: Tensor, num_labels: int) -> LinearScores:
    """Fit a linear discriminant analysis with equal prior probabilities.

    Source: Friedman 1989, Regularized Discriminant Analysis, with a common covariance.
    """
    means, absent = mean_rows(x, label_ids, num_labels)
    deviations = x - means[label_ids]
    covariance = deviations.T @ deviations / max(1, len(x) - int((~absent).sum()))
    dim = x.shape[1]
    variance = (covariance.trace() / dim).clamp(min=1e-6)
    shrunk = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * variance * torch.eye(dim)
    weights = torch.linalg.solve(shrunk, means.T).T
    bias = (-0.5 * (means * weights).sum(dim=1)).masked_fill(absent, -torch.inf)
    return LinearScores(weights=weights, bias=bias)


_FITS: dict[str, Callable[[Tensor, Tensor, int], Model]] = {
    "class_means": _class_means,
    "nearest_neighbours": _neighbours,
    "shared_covariance": _shared_covariance,
    "logistic_regression": lambda x, label_ids, num_labels: fit_logistic_regression(x, label_ids, num_labels, 0.1),
}

METHODS = [*_FITS, f"logistic_regression{_BEFORE_HEAD}"]
