"""Labels as ids and as points: number them, check their means, and code siblings.

compact             numbers labels from 0 in sorted order
check_label_means   checks the mean embedding of each label
sibling_codes       makes labels with the same ancestors near each other
"""

from typing import Any

import numpy as np

from tercet.errors import DataError


def check_label_means(means: Any, num_labels: int, *, of_sets: bool = False) -> np.ndarray:
    """Return the mean embeddings of the labels, or of the sets of labels, as float32 `(num_labels, dim)`.

    Raises:
        DataError: the shape is another, or a value is NaN or infinite.
    """
    values = np.asarray(means, dtype=np.float32)
    if values.ndim != 2 or len(values) != num_labels:
        each = "set of labels in the order of the set ids" if of_sets else "label in sorted order"
        raise DataError(
            f"the label means must have the shape ({num_labels}, dim), one row for each {each}, got {values.shape}"
        )
    broken = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(broken):
        what = "set" if of_sets else "label"
        raise DataError(f"the mean of {what} number {broken[0]}, counted from 0, is NaN or infinite")
    return values


def compact(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the labels from 0 in sorted order. Return the ids `(num_rows,)`, and the number of rows of each id.

    If the labels are already such ids, return them unchanged.
    """
    if (
        np.issubdtype(labels.dtype, np.signedinteger)
        and len(labels)
        and labels.min() == 0
        and labels.max() < len(labels)
    ):
        counts = np.bincount(labels)
        if counts.all():
            return labels, counts
    _, label_ids, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return label_ids, counts


def sibling_codes(parents: Any, num_labels: int) -> np.ndarray:
    """Return float32 `(num_labels, dim)` of length 1, the nearer the more ancestors two labels have in common.

    Siblings have equal rows. A label without a common ancestor has zeros.

    Args:
        parents: the ancestor of each label at each level `(levels, num_labels)`, or at one level `(num_labels,)`.
        num_labels: the number of labels.

    Raises:
        DataError: the number of labels is another.
    """
    of_levels = np.atleast_2d(np.asarray(parents))
    if of_levels.shape[1] != num_labels:
        raise DataError(f"parents must have one number for each of the {num_labels} labels, got {of_levels.shape[1]}")
    codes = np.hstack([_codes_of_level(level) for level in of_levels])
    norms = np.linalg.norm(codes, axis=1, keepdims=True)
    return codes / np.where(norms > 0, norms, 1)


def _codes_of_level(ancestors: np.ndarray) -> np.ndarray:
    """Return a one-hot code of the ancestor of each label, and zeros if no other label has it."""
    _, number, counts = np.unique(ancestors, return_inverse=True, return_counts=True)
    codes: np.ndarray = np.eye(len(counts), dtype=np.float32)[number]
    codes[counts[number] == 1] = 0
    return codes
