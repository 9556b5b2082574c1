"""Check embeddings, in every loss, metric and similarity: their shape, their dtype and the range of their norms."""

from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tercet._numbers import native_numbers
from tercet.distances.base import Distance
from tercet.errors import EmbeddingError, listed


def as_embeddings(x: Any, name: str = "embeddings") -> Tensor:
    """Return embeddings as a floating-point tensor `(n, dim)`, on the same device and with its autograd graph.

    Args:
        x: a tensor, an array, a list of tensors `(dim,)`, nested lists of numbers, or a column of a data frame with an
            array in each row.
        name: the name of the argument, for messages.

    Raises:
        EmbeddingError: the shape is not `(n, dim)` with at least one row and one dimension, the values are not
            floating-point numbers, a value is masked, or the rows have different lengths.
    """
    rows = x if isinstance(x, Tensor) else _as_tensor(x, name)
    if rows.dim() != 2 or not rows.is_floating_point() or rows.layout != torch.strided:
        raise EmbeddingError(
            f"{name} must be a floating-point tensor (batch, dim), got {rows.dtype} of shape {tuple(rows.shape)}"
        )
    if 0 in rows.shape:
        what = "row" if rows.shape[0] == 0 else "dimension"
        raise EmbeddingError(f"{name} must have at least one {what}, got shape {tuple(rows.shape)}")
    return rows


def check_norms(x: Tensor, distance: Distance, name: str = "embeddings", *, advice: str = "") -> None:
    """Raise `EmbeddingError` if a distance between rows of `x` `(n, dim)` cannot be computed.

    This is so if a value is NaN or infinite, or if the square of a norm is too large or too small for the dtype. A
    distance that scales the rows to length 1 needs the norm of every row, except that of a zero row, which has no
    direction. The check reads one or two numbers from the device, once.

    Args:
        x: the embeddings.
        distance: the distance that is computed.
        name: the name of the argument, for messages.
        advice: what to do about NaN and infinite values, for the message.
    """
    x = x.detach()
    smallest, largest = _limits(x, distance)
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    if not distance.normalizes:  # One norm of all rows is an upper bound of each, and takes half of the time.
        total = float(torch.linalg.vector_norm(x, dtype=dtype))
        if smallest <= total <= largest:
            return
    norms: Tensor = torch.linalg.vector_norm(x, dim=1, dtype=dtype)
    shortest, longest = torch.stack(norms.aminmax()).tolist()
    if shortest >= smallest and longest <= largest:
        return
    _raise_for_rows(~x.isfinite().all(dim=1), f"{name}: NaN or infinite values in row(s) {{}}{advice}")
    _raise_for_rows(
        ~(norms <= largest),
        f"{name}: values too large in row(s) {{}}: the norm must be at most {largest:.2g}, because {norms.dtype} "
        "cannot hold the squares of larger distances; scale the embeddings down",
    )
    if distance.normalizes or longest < smallest:
        why = "to have a direction" if distance.normalizes else "to have a distance"
        _raise_for_rows(
            (norms < smallest) & (x != 0).any(dim=1),
            f"{name}: values too small in row(s) {{}}: the norm must be 0, or at least {smallest:.2g} {why} in "
            f"{x.dtype}; scale the embeddings up",
        )


def norms_fit(x: Tensor, distance: Distance) -> Tensor:
    """Return whether `check_norms` raises no error, as a bool tensor, without reading numbers from the device."""
    x = x.detach()
    smallest, largest = _limits(x, distance)
    norms = torch.linalg.vector_norm(x, dim=1, dtype=torch.float64 if x.dtype == torch.float64 else torch.float32)
    is_short = (norms < smallest) & (x != 0).any(dim=1)
    if not distance.normalizes:
        is_short &= norms.amax() < smallest
    fit: Tensor = ((norms <= largest) & ~is_short).all()
    return fit


def _as_tensor(x: Any, name: str) -> Tensor:
    if isinstance(x, (list, tuple)) and x and all(isinstance(row, Tensor) for row in x):
        try:
            return torch.stack(list(x))
        except RuntimeError:
            shapes = listed(dict.fromkeys(tuple(row.shape) for row in x))
            raise EmbeddingError(f"{name} must be one tensor (batch, dim), got tensors of shapes {shapes}") from None
    if np.ma.is_masked(x):
        raise EmbeddingError(f"{name} has masked values, which have no distance; fill them in or remove their rows")
    try:
        return torch.as_tensor(plain_array(np.asarray(x)))
    except (TypeError, ValueError, RuntimeError):
        raise EmbeddingError(
            f"{name} must be a floating-point tensor (batch, dim), or rows of numbers of the same length; "
            f"got {type(x).__name__}"
        ) from None


def plain_array(array: np.ndarray) -> np.ndarray:
    """Return an array that torch can share or copy: numbers in the byte order of the machine, in ascending order."""
    if array.dtype == object:  # rows that are arrays, or Python numbers, as in a data frame of nullable numbers
        if array.ndim == 1:
            return plain_array(np.stack([np.asarray(row) for row in array]))
        if all(isinstance(value, Real) for value in array.flat):
            array = array.astype(np.float64)
    array = native_numbers(array)
    # Memory-mapped files are not copied. Read-only memory is, because torch would warn about it.
    is_read_only = not array.flags.writeable and not isinstance(array, np.memmap)
    return array.copy() if is_read_only or any(stride < 0 for stride in array.strides) else array


def _limits(x: Tensor, distance: Distance) -> tuple[float, float]:
    """Return the smallest norm that is not 0, and the largest norm.

    The squares of both must fit in the dtype of the distances, with some room for the sums of squares. If the rows are
    scaled to length 1, the gradient is divided by the norm and must fit in the dtype of the embeddings.
    """
    computed = torch.finfo(torch.float64 if x.dtype == torch.float64 else torch.float32)
    smallest = 16 * computed.tiny**0.5
    if distance.normalizes:
        smallest = max(smallest, 4 / torch.finfo(x.dtype).max)
    return smallest, computed.max**0.5 / 16


def _raise_for_rows(invalid: Tensor, message: str) -> None:
    if bool(invalid.any()):
        raise EmbeddingError(message.format(listed(invalid.nonzero().flatten().tolist())))
