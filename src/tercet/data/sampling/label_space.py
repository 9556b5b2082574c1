"""Labels as ids and as points: number them, check their means, and code siblings.

compact             numbers labels from 0 in sorted order
check_label_means   checks the mean embedding of each label
sibling_codes       makes labels with the same parent near each other
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
    """Return float32 `(num_labels, num_parents)` with equal rows for siblings, and zeros for an only child."""
    _, number, counts = np.unique(np.asarray(parents), return_inverse=True, return_counts=True)
    if len(number) != num_labels:
        raise DataError(f"parents must have one number for each of the {num_labels} labels, got {len(number)}")
    codes = np.eye(len(counts), dtype=np.float32)[number]
    codes[counts[number] == 1] = 0
    return codes
