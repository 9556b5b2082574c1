"""Make probabilities honest: of the answers with a confidence of 80 %, about 80 % should be right.

A temperature T is fitted on rows that the classifier has not seen: softmax(scores / T). Source: Guo et al. 2017, On
Calibration of Modern Neural Networks.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

# The temperatures that are tried: 81 values from 1/20 to 20, then 41 between the neighbours of the best.
_RANGE = 20.0
NUM_BINS = 15


def fit_temperature(log_probabilities: Tensor, label_ids: Tensor) -> float:
    """Return the temperature with the lowest mean negative log-probability of the labels.

    The objective is convex in 1/T, so a search on a grid around the best value finds the minimum. So that few rows that
    are all predicted right do not give a confidence of 1, each row counts as 1/(n + 2) of a row with a random label.

    Args:
        log_probabilities: `(n, num_labels)`.
        label_ids: the labels `(n,)`, whose log-probabilities are finite.

    Example:
        >>> scores = torch.tensor([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0]])
        >>> round(fit_temperature(scores.repeat(1000, 1), torch.tensor([0, 0, 1] * 1000)), 1)  # 2 of 3 are right
        5.8
    """
    if len(label_ids) == 0:
        return 1.0
    grid = np.geomspace(1 / _RANGE, _RANGE, 81)
    smoothing = 1 / (len(label_ids) + 2)
    losses = [mean_loss(log_probabilities, label_ids, t, smoothing=smoothing) for t in grid]
    best = int(np.argmin(losses))
    fine = np.geomspace(grid[max(0, best - 1)], grid[min(80, best + 1)], 41)
    losses = [mean_loss(log_probabilities, label_ids, t, smoothing=smoothing) for t in fine]
    return float(fine[int(np.argmin(losses))])


def mean_loss(
    log_probabilities: Tensor, label_ids: Tensor, temperature: float = 1.0, *, smoothing: float = 0.0
) -> float:
    """Return the mean negative log-probability of the labels at a temperature.

    Args:
        log_probabilities: `(n, num_labels)`; −inf for labels that are impossible.
        label_ids: the labels `(n,)`.
        temperature: the temperature.
        smoothing: the part of each row that counts for all possible labels equally.
    """
    log_p = softened(log_probabilities, temperature)
    loss = F.nll_loss(log_p, label_ids)
    if smoothing:
        possible = log_p.isfinite()
        uniform = log_p.masked_fill(~possible, 0).sum(dim=1) / possible.sum(dim=1)
        loss = (1 - smoothing) * loss - smoothing * uniform.mean()
    return float(loss)


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """How well confidences agree with the fraction of right answers, in bins of equal width.

    Attributes:
        rows: the number of rows in each bin.
        confidence: the mean confidence of each bin; NaN for an empty one.
        accuracy: the fraction of right answers of each bin; NaN for an empty one.
        error: the expected calibration error (ECE): the mean difference of confidence and accuracy, weighted by rows.
    """

    rows: list[int]
    confidence: list[float]
    accuracy: list[float]
    error: float


def reliability(confidence: np.ndarray, correct: np.ndarray, *, bins: int = NUM_BINS) -> Reliability:
    """Compare confidences `(n,)` with whether the answers were right `(n,)`, in bins of equal width.

    Source: Naeini et al. 2015 (ECE).
    """
    confidence, right = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    at = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = np.bincount(at, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(at, confidence, minlength=bins) / rows
        accuracy = np.bincount(at, right, minlength=bins) / rows
    error = float(np.nansum(rows * np.abs(mean - accuracy)) / max(1, len(confidence)))
    return Reliability(rows=rows.tolist(), confidence=mean.tolist(), accuracy=accuracy.tolist(), error=error)


def softened(log_probabilities: Tensor, temperature: float) -> Tensor:
    """Return log-probabilities at a temperature: `(n, num_labels) → (n, num_labels)`."""
    return torch.log_softmax(log_probabilities / temperature, dim=1)
