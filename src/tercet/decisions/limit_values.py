"""Check the limits that a user asks for. No import of PyTorch, so that a wrong number is found before a model loads."""

from collections.abc import Callable
from numbers import Real
from typing import Literal

from tercet.errors import DataError

# The number of nearest training sentences in an explanation. The command line names their columns without PyTorch.
NUM_EXPLAINED_NEIGHBOURS = 3

# Which values an argument may have, in words and as a function.
_FROM_0_TO_1: tuple[str, Callable[[float], bool]] = ("from 0 to 1", lambda value: 0 <= value <= 1)
_RANGES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "min_precision": ("above 0 and below 1", lambda value: 0 < value < 1),
    "coverage": ("above 0 and at most 1", lambda value: 0 < value <= 1),
}
# A value from here to 100 is probably meant as a percentage.
_LOWEST_PERCENTAGE = 5


def check_limits(
    *,
    min_precision: float | None = None,
    coverage: float | None = None,
    threshold: float | None = None,
    max_novelty: float | Literal["auto"] | None = None,
    per_label: bool = False,
) -> None:
    """Raise `DataError` if a value is out of range, or if two of the first three are given."""
    exclusive = {"min_precision": min_precision, "coverage": coverage, "threshold": threshold}
    given = {name: value for name, value in exclusive.items() if value is not None}
    novelty = {} if max_novelty is None or max_novelty == "auto" else {"max_novelty": max_novelty}
    for name, value in {**given, **novelty}.items():
        valid, inside = _RANGES.get(name, _FROM_0_TO_1)
        if isinstance(value, bool) or not isinstance(value, Real) or not inside(float(value)):
            valid += ' or "auto"' if name == "max_novelty" else ""
            raise DataError(f"{name} must be {valid}, got {value!r}{_remedy(name, value)}")
    if per_label and min_precision is None:
        raise DataError("per_label=True needs min_precision")
    if len(given) > 1:
        raise DataError(f"{' and '.join(given)} exclude each other; pass one of them")


def _remedy(name: str, value: object) -> str:
    if isinstance(value, Real) and _LOWEST_PERCENTAGE <= float(value) < 100:
        return f"; for {float(value):g} %, pass {float(value) / 100:g}"
    return "; no number of rows can show a precision of 1" if name == "min_precision" and value == 1 else ""
