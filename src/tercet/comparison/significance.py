"""Compute confidence intervals of the difference between two variants, from paired differences over seeds.

Two runs with the same seed get the same batches. A lucky seed helps both, so its effect cancels in their difference.
With n seeds, the confidence interval of the mean difference is mean ± half_width, where

    half_width = t · s / √n

s is the standard deviation of the differences, and t is the quantile of Student's t distribution with n − 1 degrees of
freedom. For few seeds, t is large (4.3 for three, at 95% confidence), because s itself is uncertain. Two seeds give no
interval: their two differences may agree by chance, and s is then far too small.
"""

import math
import statistics
from collections.abc import Mapping, Sequence

from tercet.records import Difference

CONFIDENCE = 0.95
# With fewer seeds in common, no difference counts as beyond noise.
MIN_SEEDS = 3
# The smallest half-width if the number of evaluation sentences is unknown.
RESOLUTION = 1e-4


def paired_difference(
    first: Mapping[int, float], second: Mapping[int, float], resolution: float = RESOLUTION
) -> Difference:
    """Return the mean difference `first` − `second` over the seeds that both have, with its confidence interval.

    Args:
        first: the metric of one variant by seed.
        second: the metric of the other variant by seed.
        resolution: the smallest half-width, at least `RESOLUTION`: the change of the metric if one evaluation sentence
            changes from wrong to right. The differences of a few seeds can be closer to each other by chance.

    Raises:
        ValueError: `first` and `second` have no seed in common.
    """
    common = sorted(first.keys() & second.keys())
    if not common:
        raise ValueError("first and second have no seed in common")
    mean, std = mean_and_std([first[seed] - second[seed] for seed in common])
    n = len(common)
    if std is None or n < MIN_SEEDS:
        return Difference(mean=mean, half_width=None, seeds=n, beyond_noise=False)
    half_width = max(student_quantile(CONFIDENCE, n - 1) * std / math.sqrt(n), resolution, RESOLUTION)
    return Difference(mean=mean, half_width=half_width, seeds=n, beyond_noise=abs(mean) > half_width)


def mean_and_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and the standard deviation (with n − 1 in the denominator), which is None for a single value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def student_quantile(confidence: float, degrees: int) -> float:
    """Return the t with P(|T| ≤ t) = `confidence` for Student's t distribution with `degrees` degrees of freedom.

    Raises:
        ValueError: `degrees` is below 1, or `confidence` is not at least 0 and below 1.
    """
    if degrees < 1 or not 0 <= confidence < 1:
        raise ValueError(
            f"degrees must be at least 1 and confidence at least 0 and below 1, got {degrees} and {confidence}"
        )
    low, high = 0.0, 1.0
    while student_within(high, degrees) < confidence:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if student_within(middle, degrees) < confidence else (low, middle)
    return (low + high) / 2


def student_within(t: float, degrees: int) -> float:
    """Return P(|T| ≤ t) for t ≥ 0. Source: Abramowitz and Stegun, 26.7.3 for odd and 26.7.4 for even `degrees`."""
    angle = math.atan(t / math.sqrt(degrees))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = degrees % 2
    term = total = (cosine if odd else 1.0) if degrees > 1 else 0.0
    for k in range(2 + odd, degrees - 1, 2):
        term *= (k - 1) / k * cosine**2
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
