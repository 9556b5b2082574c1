"""Multinomial logistic regression on embeddings, in blocks of rows.

    Σ over rows of −log softmax(x W + b)[label]  +  ½ λ ‖W‖²

which is convex, so the result depends on where L-BFGS stops and on nothing else. The gradient is written out,
(softmax − one-hot)ᵀ x, so that only one block of `(rows, labels)` exists at a time.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

_STEPS = 40
_BLOCK_CELLS = 1 << 22


@dataclass(frozen=True)
class Logistic:
    """A fitted model: `weights` `(labels, dim)`, `bias` `(labels,)`, −inf for labels that were not there to learn."""

    weights: Tensor
    bias: Tensor

    def log_probabilities(self, x: Tensor) -> Tensor:
        """Rows `(n, dim)` → log-probabilities of the labels `(n, labels)`."""
        return F.log_softmax(torch.addmm(self.bias, x, self.weights.T), dim=1)


def fit_logistic(x: Tensor, label_ids: Tensor, labels: int, penalty: float) -> Logistic:
    """Fit rows `(n, dim)` with labels `(n,)` below `labels`.

    L-BFGS: Liu and Nocedal 1989, as `torch.optim.LBFGS` has it, with a strong-Wolfe line search.
    """
    present = torch.bincount(label_ids, minlength=labels) > 0
    absent = torch.zeros(labels, device=x.device, dtype=x.dtype).masked_fill(~present, -torch.inf)
    weights = torch.zeros(labels, x.shape[1] + 1, device=x.device, dtype=x.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights], max_iter=_STEPS, history_size=10, tolerance_change=1e-7, line_search_fn="strong_wolfe"
    )
    block = max(1, _BLOCK_CELLS // labels)

    @torch.no_grad()
    def loss() -> Tensor:
        w, b = weights[:, :-1], weights[:, -1]
        total = penalty / 2 * w.square().sum()
        gradient = torch.cat([penalty * w, torch.zeros_like(b).unsqueeze(1)], 1)
        for rows, targets in zip(x.split(block), label_ids.split(block), strict=True):
            own = targets.unsqueeze(1)
            log_p = F.log_softmax(torch.addmm(b + absent, rows, w.T), dim=1)
            total = total - log_p.gather(1, own).sum()
            error = log_p.exp_().scatter_add_(1, own, log_p.new_full(own.shape, -1.0))
            gradient[:, :-1] += error.T @ rows
            gradient[:, -1] += error.sum(0)
        weights.grad = gradient / len(
            x
        )  # of the mean, whose size does not grow with the data: the line search likes it
        return total / len(x)

    optimizer.step(loss)
    fitted = weights.detach()
    return Logistic(fitted[:, :-1], fitted[:, -1] + absent)
