"""Turn labels from any container into plain integers or plain strings. Imports no torch."""

import logging
import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np

from tercet._texts import RowNumbers, is_missing_value, row_place, text_key
from tercet.errors import EmbeddingError, TercetError, short_repr, string_hint

logger = logging.getLogger(__name__)

_KINDS = {int: "an integer", bool: "a bool", str: "a string"}


def plain_labels(
    labels: Any,
    source: str = "labels",
    lines: Sequence[int] | None = None,
    *,
    allow_empty: bool = False,
    error: type[TercetError] = EmbeddingError,
) -> list[int] | list[bool] | list[str]:
    """Return the label of each row as a plain `int`, `bool` or `str`, all of the same type.

    A whole floating-point number is used as an integer.

    Args:
        labels: one label per row: a list, a tensor, an array, a pandas `Series` or a column of a data set. Tensors and
            arrays have the shape `(n,)` or `(n, 1)`. An element may be a NumPy number or a tensor with one number.
        source: the file, data set or argument of the labels, for messages.
        lines: the line number of each row in its file, for messages; None names the row instead.
        allow_empty: whether the empty string is a label, which stands for a missing one.
        error: the class of the exception.

    Raises:
        TercetError: (as the class `error`) a label is missing (see `check_present`), is not an integer, a bool or a
            string, has another type than the first label, or does not fit in 64 bits; or `labels` are not one label per
            row. The message names the first such row.

    Example:
        >>> plain_labels(np.array([3, 1]))
        [3, 1]
    """
    values = [_plain(label) for label in _elements(labels, source, error)]
    check_present(values, source, lines, allow_empty=allow_empty, error=error)
    if set(map(type, values)) in ({str}, {bool}):
        return values
    for row, label in enumerate(values):
        if problem := _problem(label, values[0]):
            raise error(f"{row_place(source, row, lines)}: the label {problem}")
    return values


def distinct_labels(
    label_sets: Iterable[Iterable[Any]], source: str = "labels", *, error: type[TercetError] = EmbeddingError
) -> list[Any]:
    """Return the labels of rows that have several, each once, in the order of their first occurrence.

    Args:
        label_sets: the labels of each row.
        source: as for `plain_labels`, and so is `error`.

    Raises:
        TercetError: (as the class `error`) a label is missing, or is neither an integer nor a string; see
            `plain_labels`.

    Example:
        >>> distinct_labels([["card", "refund"], ["refund"]])
        ['card', 'refund']
    """
    first_rows: dict[Any, int] = {}
    for row, labels in enumerate(label_sets):
        for label in labels:
            first_rows.setdefault(label, row)
    plain_labels(list(first_rows), source, RowNumbers(list(first_rows.values())), error=error)
    return list(first_rows)


def check_present(
    labels: Sequence[Any],
    source: str,
    lines: Sequence[int] | None = None,
    *,
    allow_empty: bool = False,
    error: type[TercetError] = EmbeddingError,
) -> None:
    """Raise an error that names the first row whose label is missing: None, NaN, NA, or a string that shows nothing.

    Args:
        labels: the label of each row.
        source: as for `plain_labels`, and so are `lines`, `allow_empty` and `error`.
    """
    present = {""} if allow_empty else set()  # Labels repeat, and each string is looked at once.
    for row, label in enumerate(labels):
        if type(label) is int or (type(label) is str and label in present):
            continue
        if is_missing(label):
            place = row_place(source, row, lines)
            raise error(f"{place}: the label is missing ({label!r}); fill it in or remove the row")
        if type(label) is str:
            present.add(label)


def is_missing(label: Any) -> bool:
    """Return whether a label is missing: None, NaN, `pandas.NA`, `pandas.NaT` or a string that shows nothing."""
    return not text_key(label) if isinstance(label, str) else is_missing_value(label)


def _elements(labels: Any, source: str, error: type[TercetError]) -> list[Any]:
    """Return the elements of a container, one per row."""
    if isinstance(labels, (str, bytes, Mapping, Set)) or not hasattr(labels, "__iter__"):
        raise error(f"{source} must be a list with one label per row, got {type(labels).__name__}")
    if hasattr(labels, "detach"):  # a tensor, also on a GPU
        labels = labels.detach().cpu().numpy()
    if np.ma.is_masked(labels):
        labels = labels.tolist()  # None for a masked label, so that it counts as missing
    if not hasattr(labels, "__array__"):
        return list(labels)
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise error(f"{source} must have the shape (n,), one label per row, got {array.shape}")
    elements: list[Any] = array.tolist()
    if array.dtype.kind == "U" and "nan" in elements:
        raise error(
            f"{row_place(source, elements.index('nan'))}: the label is 'nan', as NumPy writes NaN in an array of "
            "strings; fill it in or remove the row, or pass a list if a label has this name"
        )
    return elements


def _problem(label: Any, first: Any) -> str | None:
    """Return why a label cannot be used beside the label of the first row, or None if it can."""
    if type(label) not in _KINDS:
        kind = type(label).__name__
        return f"is {short_repr(label, 40)} ({kind}); labels must be all integers or all strings; {string_hint(label)}"
    if type(label) is not type(first):
        return (
            f"{short_repr(label, 40)} is {_KINDS[type(label)]}, but that of the first row is {_KINDS[type(first)]} "
            f"({short_repr(first, 40)}); labels must be all integers or all strings"
        )
    if type(label) is int and not -(2**63) <= label < 2**63:
        return f"{label} does not fit in 64 bits; convert the labels to strings"
    return None


def _plain(label: Any) -> Any:
    """Return a NumPy scalar, or a tensor with one number, as the Python object that it holds."""
    if isinstance(label, (str, int)) and type(label) not in (str, int, bool):  # such as np.str_ or an IntEnum
        return str(label.value if hasattr(label, "value") else label) if isinstance(label, str) else int(label)
    if hasattr(label, "item") and getattr(label, "shape", None) in ((), (1,)):
        label = label.item()
    return int(label) if isinstance(label, float) and label.is_integer() else label


def warn_of_forms(labels: Iterable[Any], source: str) -> None:
    """Log a warning if labels differ only in white space around them or in the form (NFC) of their characters."""
    forms: dict[str, list[str]] = {}
    for label in dict.fromkeys(label for label in labels if isinstance(label, str)):
        forms.setdefault(unicodedata.normalize("NFC", label).strip(), []).append(label)
    if same := [found for found in forms.values() if len(found) > 1]:
        shown = ", ".join(" and ".join(map(ascii, found)) for found in same[:3]) + (", …" if len(same) > 3 else "")
        logger.warning(
            f"{source}: {shown} differ only in white space or Unicode form, and count as different "
            f"labels; make them equal with unicodedata.normalize('NFC', label).strip()"
        )
