"""Add rows to a fitted logistic regression in milliseconds: only the labels that have new rows are fitted again.

The scores of the other labels stay. With o = log Σ exp(scores of the other labels), the probability of a label with the
score s is σ(s − o). So its vector and bias are a binary logistic regression with a given offset −o for each row.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from tercet.decisions.models import LinearScores

_MAX_ITERATIONS = 60


def refit_labels(
    model: LinearScores, x: Tensor, label_ids: Tensor, changed: Tensor, num_labels: int, penalty: float
) -> LinearScores:
    """Return a logistic regression in which some labels are fitted again, one after the other.

    Args:
        model: the model before the change. It may have fewer labels.
        x: all training rows, the new ones included `(n, dim)`.
        label_ids: their label ids `(n,)`.
        changed: the ids of the labels to fit again.
        num_labels: the number of labels after the change.
        penalty: λ, as in `fit_logistic_regression`.
    """
    new = num_labels - len(model.bias)
    weights = torch.cat([model.weights, x.new_zeros(new, x.shape[1])])
    bias = torch.cat([model.bias, x.new_full((new,), -torch.inf)])
    mean = x.mean(dim=0)
    centred = x - mean
    # The penalty of `fit_logistic_regression` is for rows with a mean squared norm of 1.
    scale = float(centred.square().sum(dim=1).mean())
    for label_id in changed.tolist():
        scores = torch.addmm(bias, x, weights.T)
        scores[:, label_id] = -torch.inf
        offset = -scores.logsumexp(dim=1)
        vector, constant = _fit_one(centred, label_ids == label_id, offset, penalty * scale)
        weights[label_id], bias[label_id] = vector, constant - vector @ mean
    return LinearScores(weights=weights, bias=bias)


def _fit_one(x: Tensor, positive: Tensor, offset: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Return the vector `(dim,)` and the bias that minimise Σ log-loss(x·w + b + offset) + ½ λ ‖w‖²."""
    targets, norm = positive.to(x.dtype), x.square().sum(dim=1).mean().sqrt().clamp(min=1e-6)
    x, penalty = x / norm, penalty / float(norm) ** 2  # so that L-BFGS takes few steps
    parameters = torch.zeros(x.shape[1] + 1, dtype=x.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [parameters], max_iter=_MAX_ITERATIONS, history_size=10, tolerance_change=1e-9, line_search_fn="strong_wolfe"
    )

    @torch.no_grad()
    def loss() -> Tensor:
        vector, bias = parameters[:-1], parameters[-1]
        scores = x @ vector + bias + offset
        error = torch.sigmoid(scores) - targets
        parameters.grad = torch.cat([x.T @ error + penalty * vector, error.sum().unsqueeze(0)]) / len(x)
        total = (
            F.binary_cross_entropy_with_logits(scores, targets, reduction="sum") + penalty / 2 * vector.square().sum()
        )
        return total / len(x)

    optimizer.step(loss)
    return parameters[:-1].detach() / norm, parameters[-1].detach()
