"""Labels: numbered once, when they are read; from then on ids and names travel together.

number_labels          labels of a file → ids 0…n−1 and their names
labels_of              the label column of a `datasets.Dataset` → ids, and names if it has any
map_onto_names         ids of evaluation data → ids of the training data, by name
LabelledSentences      sentences with the ids and the names of their labels
check_trainable        raises if no triplet can be formed
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tercet._texts import has_lone_surrogate, row_place
from tercet.errors import DataError, listed

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class LabelledSentences:
    """Sentences and their labels; the label of sentence `i` is `label_names[label_ids[i]]`.

    Args:
        sentences: the texts.
        label_ids: int64 `(sentences,)`, each an index into `label_names`.
        label_names: the name of each label, in the order of the ids.

    Example:
        >>> label_ids, label_names = number_labels(["sport", "food", "sport"], "my data")
        >>> data = LabelledSentences(["the team won", "a warm soup", "a late goal"], label_ids, label_names)
        >>> data.label_ids.tolist(), data.label_names
        ([1, 0, 1], ['food', 'sport'])
    """

    sentences: list[str]
    label_ids: np.ndarray
    label_names: list[str]

    def __len__(self) -> int:
        return len(self.sentences)

    def take(self, rows: Sequence[int] | np.ndarray) -> "LabelledSentences":
        """Return the given rows, in that order, with the same ids and names."""
        return LabelledSentences([self.sentences[row] for row in rows], self.label_ids[rows], self.label_names)

    def labels(self) -> list[str]:
        """Return the name of the label of each sentence."""
        return [self.label_names[label_id] for label_id in self.label_ids]


def number_labels(
    labels: Sequence[Any], source: str, lines: Sequence[int] | None = None
) -> tuple[np.ndarray, list[str]]:
    """Number labels from 0 in the sorted order of their values.

    Args:
        labels: all integers, or all strings. Booleans count as the strings "False" and "True".
        source: where the labels come from, for messages.
        lines: the line of each row in its file, for messages.

    Returns:
        The label ids, int64 `(labels,)`, and the name of each id. Integers are sorted by value, and their names are
        the numbers written out.

    Raises:
        DataError: a label is missing, is neither an integer nor a string, or cannot be written as UTF-8.
    """
    _check_present(labels, source, lines)
    if _are_integers(labels):
        values, label_ids = np.unique(_as_int64(labels, source, lines), return_inverse=True)
        return label_ids.astype(np.int64), [str(value) for value in values.tolist()]
    for row, label in enumerate(labels):
        if not isinstance(label, (str, bool)):
            raise DataError(
                f"{row_place(source, row, lines)}: the label is {label!r} ({type(label).__name__}); "
                "labels must be all integers or all strings"
            )
    strings = [str(label) for label in labels]
    names = sorted(set(strings))
    if invalid := {name for name in names if has_lone_surrogate(name)}:
        row = next(row for row, label in enumerate(strings) if label in invalid)
        raise DataError(
            f"{row_place(source, row, lines)}: the label contains a lone surrogate (half of a character), "
            "which UTF-8 cannot encode; remove it"
        )
    ids = {name: label_id for label_id, name in enumerate(names)}
    return np.array([ids[label] for label in strings], dtype=np.int64), names


def labels_of(dataset: "Dataset", column: str, source: str) -> tuple[np.ndarray, list[str] | None]:
    """Return the label ids of a data set's column and the names of its labels.

    A `ClassLabel` column already has ids and names, and integers are ids without names. Only strings are numbered.

    Returns:
        The label ids, int64 `(rows,)`, and the name of each id, or None for plain integers.

    Raises:
        DataError: a label is missing or cannot be used; names the row.
    """
    from datasets import ClassLabel

    labels, feature = dataset.with_format(None)[column][:], dataset.features[column]
    if isinstance(feature, ClassLabel):
        # Data sets of the hub write -1 where a label is not published.
        labels = [None if label is None or label < 0 else label for label in labels]
    _check_present(labels, source)
    if _are_integers(labels):
        return _as_int64(labels, source), list(feature.names) if isinstance(feature, ClassLabel) else None
    return number_labels(labels, source)


def label_values(dataset: "Dataset", column: str = "label") -> list[Any]:
    """Return the label of each row as a person reads it: the name in a `ClassLabel` column, else the value."""
    from datasets import ClassLabel

    labels, feature = dataset.with_format(None)[column][:], dataset.features[column]
    return [feature.names[label] for label in labels] if isinstance(feature, ClassLabel) else list(labels)


def map_onto_names(
    label_ids: np.ndarray, label_names: Sequence[str], known_names: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
    """Renumber labels so that names that are already known keep their known ids; new names come after them.

    Args:
        label_ids: `(rows,)`, indices into `label_names`.
        label_names: the names of the data's own numbering.
        known_names: the names whose numbering to use, such as those of the training data.

    Returns:
        The new ids `(rows,)` and the names that they index.
    """
    names = list(dict.fromkeys([*known_names, *label_names]))
    ids = {name: label_id for label_id, name in enumerate(names)}
    return np.array([ids[name] for name in label_names], dtype=np.int64)[label_ids], names


def check_trainable(label_ids: np.ndarray, label_names: Sequence[str] | None, source: str) -> None:
    """Check that triplets can be formed and that the labels do not look like measurements.

    Raises:
        DataError: all labels are decimal numbers, there is one label only, or no label comes twice.
    """
    if label_names is not None and len(label_names) > 1 and all(map(_is_decimal, label_names)):
        raise DataError(
            f"{source}: the labels are decimal numbers ({listed(label_names, 3)}); is the label column the right one?"
        )
    check_triplets_exist(label_ids, label_names, source)


def check_triplets_exist(label_ids: np.ndarray, label_names: Sequence[str] | None, source: str) -> None:
    """Check that some label comes twice and that there is a second label.

    Raises:
        DataError: no triplet can be formed.
    """
    labels, counts = np.unique(label_ids, return_counts=True)
    if len(labels) == 1:
        only = label_names[labels[0]] if label_names is not None else int(labels[0])
        raise DataError(f"{source} has one label only ({only!r}); a triplet needs a sentence of another label")
    if counts.max() == 1:
        raise DataError(
            f"{source} has no label twice ({len(labels)} labels, {len(label_ids)} rows); "
            "a triplet needs two sentences of one label: is the label column the right one?"
        )


def _check_present(labels: Sequence[Any], source: str, lines: Sequence[int] | None = None) -> None:
    for row, label in enumerate(labels):
        if label is None or label == "" or (isinstance(label, float) and label != label):
            raise DataError(f"{row_place(source, row, lines)}: the label is missing")


def _are_integers(labels: Sequence[Any]) -> bool:
    return all(isinstance(label, (int, np.integer)) and not isinstance(label, bool) for label in labels)


def _as_int64(labels: Sequence[Any], source: str, lines: Sequence[int] | None = None) -> np.ndarray:
    for row, label in enumerate(labels):
        if not -(2**63) <= label < 2**63:
            raise DataError(f"{row_place(source, row, lines)}: the label {label} does not fit in 64 bits")
    return np.asarray(labels, dtype=np.int64)


def _is_decimal(name: str) -> bool:
    try:
        number = float(name)
    except ValueError:
        return False
    return math.isfinite(number) and number % 1 != 0  # "nan" and "inf" are names like any other
