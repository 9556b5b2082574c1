"""Make probabilities honest: of the answers with a confidence of 80 %, about 80 % should be right.

A temperature T is fitted on rows that the classifier has not seen: softmax(scores / T). Source: Guo et al. 2017, On
Calibration of Modern Neural Networks.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F

# The lowest and the highest temperature. A discriminant analysis of a few rows needs one of several thousand.
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 1 / 20, 1e6
NUM_BINS = 15
# The number of times that answers are drawn for `error_by_chance`.
_NUM_DRAWS = 100
# Decimals in which confidences are compared. More are noise of float32, which would rank sentences that are equally
# sure, such as those whose neighbours all have one label.
_DECIMALS = 6


def round_confidence(confidence: np.ndarray) -> np.ndarray:
    """Return confidences to compare: sentences that are equally sure are then answered together."""
    return np.round(np.asarray(confidence, dtype=float), _DECIMALS)


def fit_temperature(log_probabilities: Tensor, label_ids: Tensor, *, smoothing: float | None = None) -> float:
    """Return the temperature with the lowest mean negative log-probability of the labels.

    The objective is convex in 1/T, so a search between two bounds (Brent's method) finds the minimum.

    Args:
        log_probabilities: `(n, num_labels)`; −inf for labels that are impossible.
        label_ids: the labels `(n,)`, whose log-probabilities are finite.
        smoothing: the part of each row that counts as a row with a random label. By default 1/(n + 2), so that few rows
            that are all predicted right do not give a confidence of 1.

    Example:
        >>> scores = torch.tensor([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0]])
        >>> round(fit_temperature(scores.repeat(1000, 1), torch.tensor([0, 0, 1] * 1000)), 1)  # 2 of 3 are right
        5.8
    """
    if len(label_ids) == 0:
        return 1.0
    smoothing = 1 / (len(label_ids) + 2) if smoothing is None else smoothing
    possible = log_probabilities.isfinite()
    uniform = log_probabilities.masked_fill(~possible, 0).sum(dim=1) / possible.sum(dim=1)
    given = log_probabilities.gather(1, label_ids.unsqueeze(1)).squeeze(1)
    target = float(((1 - smoothing) * given + smoothing * uniform).double().mean())

    def loss(log_temperature: float) -> float:
        factor = math.exp(-log_temperature)
        return float((factor * log_probabilities).logsumexp(dim=1).double().mean()) - factor * target

    bounds = (math.log(LOWEST_TEMPERATURE), math.log(HIGHEST_TEMPERATURE))
    return math.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-3}).x)


def mean_loss(log_probabilities: Tensor, label_ids: Tensor, temperature: float = 1.0) -> float:
    """Return the mean negative log-probability of the labels at a temperature.

    Args:
        log_probabilities: `(n, num_labels)`; −inf for labels that are impossible.
        label_ids: the labels `(n,)`.
        temperature: the temperature.
    """
    return float(F.nll_loss(softened(log_probabilities, temperature), label_ids))


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """The agreement of confidences with the fraction of right answers, in bins of equal width.

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


def error_by_chance(confidence: np.ndarray) -> float:
    """Return the mean ECE of answers that are right exactly as often as their confidences `(n,)` say.

    With few rows in a bin, the fraction of right answers differs from the confidence by chance. So an ECE near this
    value is no sign of dishonest confidences.

    Source: Bröcker and Smith 2007, Increasing the Reliability of Reliability Diagrams (consistency resampling).

    Example:
        >>> print(f"{error_by_chance(np.full(100, 0.5)):.2f} {error_by_chance(np.full(10_000, 0.5)):.3f}")
        0.05 0.004
    """
    confidence, random = np.asarray(confidence, dtype=float), np.random.default_rng(0)
    drawn = (random.random(len(confidence)) < confidence for _ in range(_NUM_DRAWS))
    return float(np.mean([reliability(confidence, correct).error for correct in drawn]))


def softened(log_probabilities: Tensor, temperature: float) -> Tensor:
    """Return log-probabilities at a temperature: `(n, num_labels) → (n, num_labels)`."""
    return torch.log_softmax(log_probabilities / temperature, dim=1)
