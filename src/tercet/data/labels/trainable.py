"""Check that labels can be trained on.

check_trainable              raises an error if the labels are decimal numbers or form no triplet
check_triplets_exist         raises an error if the labels form no triplet
check_shared_triplets_exist  raises an error if the sets of labels form no triplet
"""

import math
from collections.abc import Sequence

import numpy as np

from tercet._multi_labels import split_set
from tercet.data.labels.set_counts import num_sharing
from tercet.errors import DataError, counted, listed, short_repr


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
            f"{source} has no label twice ({counted(len(label_ids), 'row')}); a triplet needs two sentences that "
            "share a label: is the label column the right one?"
        )
    if not ((sharing > 1) & (sharing < len(label_ids))).any():
        shown = short_repr(split_set(names[0], multi_label)[0])
        raise DataError(
            f"every two rows of {source} have a label in common, such as {shown}; a triplet needs a sentence that "
            "shares no label with the others: is the label column the right one?"
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
            f"{source} has no label twice ({counted(len(labels), 'label')}, {counted(len(label_ids), 'row')}); "
            "a triplet needs two sentences with the same label: is the label column the right one?"
        )


def _is_decimal(name: str) -> bool:
    try:
        number = float(name)
    except ValueError:
        return False
    return math.isfinite(number) and number % 1 != 0  # float() accepts "nan" and "inf"; these are valid label names.
