"""Fit a multinomial logistic regression on embeddings, in blocks of rows. The objective is

    Σ over rows of −log softmax(x Wᵀ + b)[label]  +  ½ λ ‖W‖²

with the embedding x of a row, the weights W, the bias b and the penalty λ. It is convex, so L-BFGS approaches a global
minimum. The gradient by W is (softmax − one-hot)ᵀ x + λ W, summed over rows. It is computed without autograd, so that
only one block of logits `(m, num_labels)` is in memory at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

# Factor by which rows are multiplied before the fit, so that the solution is closer to 0, where L-BFGS starts. The
# penalty is multiplied by its square, so the fitted probabilities do not change.
SCALE = 5.0
_MAX_ITERATIONS = 40
# From the solution for nearly the same rows, this number of steps reaches the same predictions.
_MAX_ITERATIONS_FROM_START = 8
# The maximum number of logits in a block `(m, num_labels)`: 16 MiB of float32.
BLOCK_VALUES = 1 << 22


@dataclass(frozen=True, kw_only=True)
class LogisticModel:
    """A fitted logistic regression.

    Attributes:
        weights: W `(num_labels, dim)`.
        bias: b `(num_labels,)`; −inf for the labels that were not in the data.
    """

    weights: Tensor
    bias: Tensor

    def log_probabilities(self, x: Tensor) -> Tensor:
        """Return the log-probability of each label for each row: `(n, dim) → (n, num_labels)`."""
        return F.log_softmax(torch.addmm(self.bias, x, self.weights.T), dim=1)


def fit_logistic(
    x: Tensor, label_ids: Tensor, num_labels: int, penalty: float, *, start: LogisticModel | None = None
) -> LogisticModel:
    """Fit a logistic regression.

    Args:
        x: the rows `(n, dim)`.
        label_ids: the label ids `(n,)`, from 0 to `num_labels` − 1.
        num_labels: the number of labels. Labels without a row get the probability 0.
        penalty: λ, the weight of the squared norm of W.
        start: a model of nearly the same rows, from which fewer steps are needed. It may have fewer labels than now:
            the new ones start at 0.

    Source: Liu and Nocedal 1989 (L-BFGS), by `torch.optim.LBFGS` with a strong-Wolfe line search.
    """
    present = torch.bincount(label_ids, minlength=num_labels) > 0
    absent = torch.zeros(num_labels, device=x.device, dtype=x.dtype).masked_fill(~present, -torch.inf)
    parameters = torch.zeros(num_labels, x.shape[1] + 1, device=x.device, dtype=x.dtype)
    if start is not None:
        known = start.bias.isfinite().nonzero().flatten()
        parameters[known] = torch.cat([start.weights, start.bias.unsqueeze(1)], dim=1)[known].to(parameters)
    iterations = _MAX_ITERATIONS if start is None else _MAX_ITERATIONS_FROM_START

    def errors(rows: slice, logits: Tensor) -> tuple[Tensor, Tensor]:
        given = label_ids[rows].unsqueeze(1)
        log_p = F.log_softmax(logits + absent, dim=1)
        total = -log_p.gather(1, given).sum()
        return total, log_p.exp_().scatter_add_(1, given, log_p.new_full(given.shape, -1.0))

    fitted = _minimize(parameters, x, penalty, iterations, errors)
    return LogisticModel(weights=fitted[:, :-1], bias=fitted[:, -1] + absent)


def fit_logistic_per_label(x: Tensor, has_label: Tensor, penalty: float) -> LogisticModel:
    """Fit a logistic regression for each label, between the rows that have it and the others (binary relevance).

    The log-odds of the labels are `x @ weights.T + bias`; a label that no row has gets −inf.

    Args:
        x: the rows `(n, dim)`.
        has_label: bool `(n, num_labels)`.
        penalty: λ, the weight of the squared norm of the weights.
    """
    parameters = torch.zeros(has_label.shape[1], x.shape[1] + 1, device=x.device, dtype=x.dtype)

    def errors(rows: slice, logits: Tensor) -> tuple[Tensor, Tensor]:
        targets = has_label[rows].to(logits)
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum"), logits.sigmoid() - targets

    fitted = _minimize(parameters, x, penalty, _MAX_ITERATIONS, errors)
    bias = fitted[:, -1].masked_fill(~has_label.any(dim=0), -torch.inf)
    return LogisticModel(weights=fitted[:, :-1], bias=bias)


def _minimize(
    parameters: Tensor,
    x: Tensor,
    penalty: float,
    iterations: int,
    errors: Callable[[slice, Tensor], tuple[Tensor, Tensor]],
) -> Tensor:
    """Return the weights and, in the last column, the biases `(num_labels, dim + 1)` with the smallest loss.

    Args:
        parameters: their first values.
        x: the rows `(n, dim)`.
        penalty: λ.
        iterations: the maximum number of iterations of L-BFGS.
        errors: maps some of the rows and their logits to the sum of their losses, and to its gradient by the logits.
    """
    parameters.requires_grad_()
    optimizer = torch.optim.LBFGS(
        [parameters], max_iter=iterations, history_size=10, tolerance_change=1e-7, line_search_fn="strong_wolfe"
    )
    block_rows = max(1, BLOCK_VALUES // len(parameters))

    @torch.no_grad()
    def loss() -> Tensor:
        weights, bias = parameters[:, :-1], parameters[:, -1]
        total = penalty / 2 * weights.square().sum()
        gradient = torch.cat([penalty * weights, torch.zeros_like(bias).unsqueeze(1)], 1)
        for start in range(0, len(x), block_rows):
            rows = slice(start, start + block_rows)
            value, error = errors(rows, torch.addmm(bias, x[rows], weights.T))
            total = total + value
            gradient[:, :-1] += error.T @ x[rows]
            gradient[:, -1] += error.sum(0)
        # Return the mean instead of the sum, so that step lengths and tolerances do not depend on the number of rows.
        parameters.grad = gradient / len(x)
        return total / len(x)

    optimizer.step(loss)
    return parameters.detach()


def centre_and_factor(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean row `(dim,)`, and the factor by which centred rows get a mean squared norm of `SCALE`².

    So the penalty of a logistic regression, multiplied by `SCALE`², does not depend on the scale of the rows.

    Args:
        x: the rows `(n, dim)`.
    """
    mean = x.mean(dim=0)
    norm = (x - mean).square().sum(dim=1).mean().sqrt()
    # If all rows are equal, only rounding errors are left. They must not be scaled up.
    return mean, SCALE / norm if norm > 1e-6 * x.abs().max() else torch.zeros_like(norm)
