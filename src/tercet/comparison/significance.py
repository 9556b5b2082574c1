"""Is one way better than another, beyond noise? Paired differences over seeds, and Student's t for a few of them.

Two runs of one seed saw the same batches, so what a lucky seed gives to both drops out of their difference.
With n seeds the mean difference is known to within

    t · s / √n        s the standard deviation of the n differences, t the quantile of Student with n − 1 degrees

and t is large for a few seeds (12.7 for two, 4.3 for three), as their s is itself a guess. Pure functions.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
# Of a few sentences a metric takes few values, and seeds may differ by the same; nothing is known more finely than so.
RESOLUTION = 1e-4


@dataclass(frozen=True)
class Difference:
    """A mean difference over seeds, and how far the true one may be from it.

    Attributes:
        mean: in units of what was measured.
        half_width: the true difference lies in mean ± half_width with the confidence asked for; at least
            `RESOLUTION`, and inf for one seed.
        seeds: how many differences it is the mean of.
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
    """`first` − `second` over the seeds that both have, each a value by its seed.

    Raises:
        ValueError: they share no seed.
    """
    shared = sorted(first.keys() & second.keys())
    if not shared:
        raise ValueError("there is no seed that both have")
    differences = [first[seed] - second[seed] for seed in shared]
    mean, spread = mean_and_spread(differences)
    if spread is None:
        return Difference(mean, math.inf, 1)
    n = len(differences)
    half_width = student_quantile(confidence, n - 1) * spread / math.sqrt(n)
    return Difference(mean, max(half_width, RESOLUTION), n)


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean, and the standard deviation with n − 1 below; None for a single value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def student_quantile(confidence: float, degrees: int) -> float:
    """The t with P(|T| ≤ t) = `confidence` for Student's distribution with so many degrees of freedom."""
    if degrees < 1 or not 0 <= confidence < 1:
        raise ValueError(f"at least 1 degree of freedom and a confidence below 1, got {degrees} and {confidence}")
    low, high = 0.0, 1.0
    while student_within(high, degrees) < confidence:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if student_within(middle, degrees) < confidence else (low, middle)
    return (low + high) / 2


def student_within(t: float, degrees: int) -> float:
    """P(|T| ≤ t): a finite sum for whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(degrees))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = degrees % 2
    term = total = (cosine if odd else 1.0) if degrees > 1 else 0.0
    for k in range(2 + odd, degrees - 1, 2):
        term *= (k - 1) / k * cosine**2
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
