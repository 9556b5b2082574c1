"""Is one variant better than another, beyond noise? Paired differences over seeds, with Student's t distribution.

Two runs with the same seed see the same batches, so the effect of a lucky seed on both cancels in their difference.
With n seeds, the confidence interval of the mean difference has the half-width

    t · s / √n        s: their standard deviation, t: quantile of Student's t with n − 1 degrees of freedom

For a few seeds, t is large (12.7 for two, 4.3 for three), because s itself is uncertain. All functions are pure.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
# A metric of a few sentences has few possible values, so the differences of all seeds may be equal and s may be 0.
# No difference is known more precisely than this.
RESOLUTION = 1e-4


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A mean difference over seeds, with its confidence interval.

    Attributes:
        mean: the mean difference.
        half_width: the confidence interval is mean ± half_width; at least `RESOLUTION`, and inf for one seed.
        seeds: the number of differences.
    """

    mean: float
    half_width: float
    seeds: int

    @property
    def beyond_noise(self) -> bool:
        """Whether 0 lies outside of the interval."""
        return abs(self.mean) > self.half_width


def paired_difference(
    first: Mapping[int, float], second: Mapping[int, float], confidence: float = CONFIDENCE
) -> Difference:
    """Return `first` − `second` over the seeds that both have.

    Args:
        first: a value for each seed.
        second: the same.
        confidence: of the interval.

    Raises:
        ValueError: no seed is in both.
    """
    common = sorted(first.keys() & second.keys())
    if not common:
        raise ValueError("first and second have no seed in common")
    mean, std = mean_and_std([first[seed] - second[seed] for seed in common])
    n = len(common)
    if std is None:
        return Difference(mean=mean, half_width=math.inf, seeds=n)
    half_width = student_quantile(confidence, n - 1) * std / math.sqrt(n)
    return Difference(mean=mean, half_width=max(half_width, RESOLUTION), seeds=n)


def mean_and_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Return mean and standard deviation (with n − 1 in the denominator); the deviation of one value is None."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def student_quantile(confidence: float, degrees: int) -> float:
    """Return the t with P(|T| ≤ t) = `confidence` for Student's t distribution with `degrees` degrees of freedom."""
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
    """Return P(|T| ≤ t): a finite sum for integer degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(degrees))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = degrees % 2
    term = total = (cosine if odd else 1.0) if degrees > 1 else 0.0
    for k in range(2 + odd, degrees - 1, 2):
        term *= (k - 1) / k * cosine**2
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
