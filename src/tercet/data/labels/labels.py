"""Number the labels once, when they are read, and keep the ids and the names together.

number_labels          numbers the labels of a file: returns their ids and names
labels_of              returns the label ids of a `datasets.Dataset`, and the label names unless they are integers
label_values           returns the label of each row of a `datasets.Dataset` as text or number
map_onto_names         renumbers the labels of evaluation data with the ids of the training data
LabelledSentences      holds sentences with the ids and the names of their labels
check_trainable        raises an error if the labels are decimal numbers or form no triplet
check_triplets_exist   raises an error if the labels form no triplet
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tercet._labels import check_present, plain_labels
from tercet._multi_labels import split_set
from tercet._texts import has_lone_surrogate, row_place
from tercet.data.cleaning.cleaning import clean_labels
from tercet.data.labels.set_counts import num_sharing, rarest_labels
from tercet.data.reading.options import ReadOptions
from tercet.data.tables.cells import plain_values
from tercet.data.tables.column_values import take_rows
from tercet.data.tables.dataset_columns import integers_of, texts_of
from tercet.errors import DataError, listed, short_repr

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class LabelledSentences:
    """Sentences and their labels; the label of sentence `i` is `label_names[label_ids[i]]`.

    Args:
        sentences: the texts; a `TextColumn` if they come from a file.
        label_ids: int64 `(num_sentences,)`, the index of each sentence's label in `label_names`.
        label_names: the name of each label; the position is the id.
        rows: int64 `(num_sentences,)`, the number of each sentence's row in the file or data set that it comes from,
            from 0; None if it comes from none.
        columns: the names of the columns of the sentences and the labels there; empty if they come from none.
        multi_label: the separator of the labels in `label_names`, if a sentence has several; None if it has one.

    Example:
        >>> label_ids, label_names = number_labels(["sport", "food", "sport"], "my data")
        >>> data = LabelledSentences(["the team won", "a warm soup", "a late goal"], label_ids, label_names)
        >>> data.label_ids.tolist(), data.label_names
        ([1, 0, 1], ['food', 'sport'])
    """

    sentences: Sequence[str]
    label_ids: np.ndarray
    label_names: list[str]
    rows: np.ndarray | None = None
    columns: tuple[str, ...] = ()
    multi_label: str | None = None

    def __len__(self) -> int:
        return len(self.sentences)

    def take(self, rows: Sequence[int] | np.ndarray) -> "LabelledSentences":
        """Return the given rows, in the given order. Label ids and names do not change."""
        sentences = take_rows(self.sentences, rows)
        of_rows = None if self.rows is None else self.rows[rows]
        return replace(self, sentences=sentences, label_ids=self.label_ids[rows], rows=of_rows)

    def labels(self) -> list[str]:
        """Return the label name of each sentence."""
        return [self.label_names[label_id] for label_id in self.label_ids]

    def strata(self) -> np.ndarray:
        """Return the number of the label of each sentence `(num_sentences,)`, by which rows are split.

        Of several labels, it is the one with the fewest sentences.
        """
        if self.multi_label is None:
            return self.label_ids
        counts = np.bincount(self.label_ids, minlength=len(self.label_names))
        strata: np.ndarray = rarest_labels(self.label_names, counts, self.multi_label)[self.label_ids]
        return strata


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
    labels = plain_values(labels)
    check_present(labels, source, error=DataError)
    if labels and type(labels[0]) is int:
        label_ids = np.array(plain_labels(labels, source, error=DataError), dtype=np.int64)
        return label_ids, list(feature.names) if isinstance(feature, ClassLabel) else None
    return number_labels(clean_labels(labels, source, ReadOptions(), fixed=True)[0], source)


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


def check_trainable(
    label_ids: np.ndarray, label_names: Sequence[str] | None, source: str, multi_label: str | None = None
) -> None:
    """Check that the labels form a triplet and are not decimal numbers, which are measurements rather than classes.

    `multi_label` is that of `LabelledSentences`.

    Raises:
        DataError: all labels are decimal numbers such as "0.5", there is only one label, or no label occurs twice.
    """
    if label_names is not None and len(label_names) > 1 and all(map(_is_decimal, label_names)):
        raise DataError(
            f"{source}: the labels are decimal numbers ({listed(label_names, 3)}), but labels must be names or "
            "integers; is the label column the right one?"
        )
    if multi_label is None or label_names is None:
        check_triplets_exist(label_ids, label_names, source)
    else:
        check_shared_triplets_exist(label_ids, label_names, source, multi_label)


def check_shared_triplets_exist(
    label_ids: np.ndarray, label_names: Sequence[str], source: str, multi_label: str
) -> None:
    """Check that sets of labels form a triplet: a row that shares a label with a second row, and none with a third.

    Raises:
        DataError: there is no such row.
    """
    ids, counts = np.unique(label_ids, return_counts=True)
    names = [label_names[label_id] for label_id in ids]
    sharing = num_sharing(names, dict(zip(names, counts.tolist(), strict=True)), multi_label)
    if not (sharing > 1).any():
        raise DataError(
            f"{source} has no label twice ({len(label_ids)} rows); a triplet needs two sentences that share a label: "
            "is the label column the right one?"
        )
    if not ((sharing > 1) & (sharing < len(label_ids))).any():
        shown = short_repr(split_set(names[0], multi_label)[0])
        raise DataError(
            f"{source} has no two rows without a common label, such as {shown}; a triplet needs a sentence that shares "
            "no label with the others: is the label column the right one?"
        )


def check_triplets_exist(label_ids: np.ndarray, label_names: Sequence[str] | None, source: str) -> None:
    """Check that the labels form a triplet: two rows with one label, and one row with another label.

    Raises:
        DataError: there is only one label, or no label occurs twice.
    """
    labels, counts = np.unique(label_ids, return_counts=True)
    if len(labels) == 1:
        only = label_names[labels[0]] if label_names is not None else int(labels[0])
        raise DataError(
            f"{source} has one label only ({short_repr(only)}); a triplet needs a sentence with another label: "
            "is the label column the right one?"
        )
    if counts.max() == 1:
        raise DataError(
            f"{source} has no label twice ({len(labels)} labels, {len(label_ids)} rows); "
            "a triplet needs two sentences with the same label: is the label column the right one?"
        )


def _is_decimal(name: str) -> bool:
    try:
        number = float(name)
    except ValueError:
        return False
    return math.isfinite(number) and number % 1 != 0  # float() accepts "nan" and "inf"; these are valid label names.
