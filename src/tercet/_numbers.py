"""Check numbers that a caller passes, with one message for all of them."""

import math
import numbers
import operator
from typing import TYPE_CHECKING, Any

from tercet.errors import EmbeddingError, TercetError

if TYPE_CHECKING:
    import numpy as np

# The largest margin, in the unit of a distance: the limit of the norm of an embedding in float32.
_MAX_MARGIN = 1e18


def check_integer(name: str, value: Any, *, minimum: int = 1, error: type[TercetError] = EmbeddingError) -> int:
    """Return `value` as an `int`.

    Args:
        name: the name of the argument, for the message.
        value: an integer, also of NumPy. A bool is refused.
        minimum: the smallest valid value.
        error: the class of the exception.

    Raises:
        TercetError: (as the class `error`) `value` is not an integer of at least `minimum`.

    Example:
        >>> check_integer("batch_size", 8)
        8
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < minimum:
        raise error(f"{name} must be an integer of at least {minimum}, got {value!r}")
    return number


def check_margin(margin: Any, *, name: str = "margin", error: type[TercetError] = EmbeddingError) -> float:
    """Return `margin` as a float, or raise `error` unless it is a finite number of at least 0."""
    try:
        value = float(margin) if isinstance(margin, numbers.Real) and not isinstance(margin, bool) else math.nan
    except OverflowError:  # an integer beyond the range of floats
        value = math.inf
    if not 0 <= value < math.inf:
        raise error(f"the {name} must be a finite number of at least 0, got {margin!r}")
    if value > _MAX_MARGIN:
        raise error(f"the {name} must be at most {_MAX_MARGIN:g}, got {margin!r}")
    return value


def check_is_number(name: str, value: Any, *, error: type[TercetError] = EmbeddingError) -> None:
    """Raise `error` unless `value` is a number, also of NumPy. A bool is refused."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise error(f"{name} must be a number, got {value!r}")


def native_numbers(array: "np.ndarray") -> "np.ndarray":
    """Return an array in a type that PyTorch takes: in the byte order of the machine, and with at most 64 bits."""
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return array.astype("float64")
    return array.astype(array.dtype.newbyteorder("="), copy=False)
