"""Number the labels once, when they are read, and keep the ids and the names together.

number_labels    numbers the labels of a file: returns their ids and names
labels_of        returns the label ids of a `datasets.Dataset`, and the label names unless they are integers
label_values     returns the label of each row of a `datasets.Dataset` as text or number
map_onto_names   renumbers the labels of evaluation data with the ids of the training data
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tercet._labels import check_present, plain_labels
from tercet._texts import has_lone_surrogate, row_place
from tercet.data.cleaning.cleaning import clean_labels
from tercet.data.cleaning.incomplete_rows import values_without_gaps
from tercet.data.cleaning.rules import CleaningRules
from tercet.data.tables.dataset_columns import integers_of, texts_of
from tercet.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


def number_labels(
    labels: Sequence[Any], source: str, lines: Sequence[int] | None = None, *, allow_empty: bool = False
) -> tuple[np.ndarray, list[str]]:
    """Number labels from 0 in the sorted order of their values.

    Args:
        labels: the label of each row: all integers, all strings, or all booleans, which are used as the strings
            "False" and "True".
        source: the file or data set of the labels, for messages.
        lines: the line number of each row in its file, for messages; None names the row instead.
        allow_empty: whether the empty string is a label, which stands for a missing one.

    Returns:
        The label ids, int64 `(num_rows,)`, and the name of each id. Integers are sorted by value; their names are their
        digits, such as "10".

    Raises:
        DataError: a label is missing, is neither an integer nor a string, does not fit in 64 bits, or cannot be encoded
            as UTF-8; or integers and strings are mixed.
    """
    plain = plain_labels(labels, source, lines, allow_empty=allow_empty, error=DataError)
    if plain and type(plain[0]) is int:
        values, label_ids = np.unique(np.array(plain, dtype=np.int64), return_inverse=True)
        return label_ids.astype(np.int64), [str(value) for value in values.tolist()]
    strings = [str(label) for label in plain]
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
    """Return the label ids of a column of a `datasets.Dataset`, and the label names.

    A `ClassLabel` column already has ids and names. Whole numbers are used as ids without names. Strings and booleans
    are numbered; white space around strings is removed, and their characters are composed (NFC), with a warning.

    Returns:
        The label ids, int64 `(num_rows,)`, and the name of each id; None for integers without names.

    Raises:
        DataError: a label is missing or invalid, consists of several labels, or differs from another one only in form
            (see `ReadOptions`). A `ClassLabel` or integers are used as they are.
    """
    from datasets import ClassLabel

    feature = dataset.features[column]
    found = integers_of(dataset, column)
    if found is not None and not (isinstance(feature, ClassLabel) and (found < 0).any()):
        return found, list(feature.names) if isinstance(feature, ClassLabel) else None
    labels: Any = texts_of(dataset, column)
    if isinstance(feature, ClassLabel):
        # In data sets on the hub, -1 means that the label is not published.
        labels = [None if label is None or label < 0 else label for label in labels]
    labels = values_without_gaps(labels, source)
    check_present(labels, source, error=DataError)
    if labels and type(labels[0]) is int:
        label_ids = np.array(plain_labels(labels, source, error=DataError), dtype=np.int64)
        return label_ids, list(feature.names) if isinstance(feature, ClassLabel) else None
    return number_labels(clean_labels(labels, CleaningRules(source, fixed=True))[0], source)


def label_values(dataset: "Dataset") -> list[Any]:
    """Return the column `label` of each row: the name of the label if it is a `ClassLabel`, else the value.

    Raises:
        DataError: a label of a `ClassLabel` column is missing (-1 or None).
    """
    from datasets import ClassLabel

    labels, feature = texts_of(dataset, "label"), dataset.features["label"]
    if not isinstance(feature, ClassLabel):
        return list(labels)
    present = [None if label is None or label < 0 else label for label in labels]
    check_present(present, "the data set", error=DataError)
    return [feature.names[label] for label in labels]


def map_onto_names(
    label_ids: np.ndarray, label_names: Sequence[str], known_names: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
    """Renumber labels with the ids of known names. New names get the ids after those of the known names.

    Args:
        label_ids: `(num_rows,)`, indices into `label_names`.
        label_names: the current names of the ids.
        known_names: the names that determine the new ids, for example those of the training data.

    Returns:
        The new ids `(num_rows,)`, and the names that belong to them.
    """
    names = list(dict.fromkeys([*known_names, *label_names]))
    ids = {name: label_id for label_id, name in enumerate(names)}
    return np.array([ids[name] for name in label_names], dtype=np.int64)[label_ids], names
