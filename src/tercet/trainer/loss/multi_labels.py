"""Rows with several labels in the trainer: number their sets of labels, and set the relation of the loss.

number_sets        the ids and the names of the sets in a column of lists
set_relation       makes sentences that share a label the positives of a loss
clear_relation     undoes it for a loss that is used again for rows with one label
label_ids_or_sets  the labels of each row, for metrics
shared_relation    the relation of a loss whose rows have several labels
"""

from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

import numpy as np
from datasets import ClassLabel
from torch import nn

from tercet._labels import check_present
from tercet._multi_labels import number_label_sets, set_names, split_set
from tercet.data.cleaning.incomplete_rows import values_without_gaps
from tercet.data.cleaning.resolving import match_labels
from tercet.data.cleaning.rules import CleaningRules
from tercet.data.labels.numbering import map_onto_names, number_labels
from tercet.data.labels.trainable import check_shared_triplets_exist, check_triplets_exist
from tercet.data.reading.in_memory import table_of
from tercet.errors import DataError
from tercet.losses.modules import BatchLoss, NestedTripletLoss
from tercet.losses.relations import SAME_LABEL, SharedLabel
from tercet.trainer.loss.kinds import innermost

# The character between the labels in the name of a set: no label contains it.
SEPARATOR = "\x1f"
# The losses whose relation a trainer has set.
_SET_BY_TRAINER: "WeakSet[nn.Module]" = WeakSet()


def has_lists(feature: Any) -> bool:
    """Return whether a feature of a data set is that of lists."""
    return getattr(feature, "feature", None) is not None or isinstance(feature, list)


def number_sets(
    dataset: Any, column: str, source: str, known_names: list[str] | None = None
) -> tuple[np.ndarray, list[str]]:
    """Return the ids of the sets of labels in a column of lists, int64 `(num_rows,)`, and the name of each id.

    Args:
        dataset: a `datasets.Dataset`.
        column: a column of lists of labels: strings, integers or a `ClassLabel`.
        source: the name of the data set in messages.
        known_names: the names of the sets of the training data; a set with one of them gets its id there.

    Raises:
        DataError: a row has no label, the lists have a 0 or a 1 for each label, or a label differs from one of the
            training data only in form.
    """
    values = table_of(dataset, source).columns[column]
    if _are_indicators(values) and not isinstance(getattr(dataset.features[column], "feature", None), ClassLabel):
        raise DataError(
            f"{source}: the lists in column {column!r} have a 0 or a 1 for each label; pass lists of the labels that a "
            "row has, such as [2, 5]"
        )
    names = set_names(values_without_gaps(values, source), SEPARATOR, source)
    check_present(names, source, error=DataError)
    label_ids, found = number_labels(names, source)
    if known_names is not None:
        of_rows = [found[label_id] for label_id in label_ids.tolist()]
        rules = CleaningRules(source, fixed=True)
        match_labels(of_rows, known_names, "the training data", rules, multi_label=SEPARATOR)
        return map_onto_names(label_ids, found, known_names)
    return label_ids, found


def set_relation(loss: nn.Module, names: list[str]) -> None:
    """Make sentences that share a label the positives of a loss, given the names of all sets.

    Raises:
        DataError: the loss cannot use several labels.
    """
    inner = innermost(loss)
    if not isinstance(inner, BatchLoss) or isinstance(inner, NestedTripletLoss) or not inner.takes_cpu_labels:
        raise DataError(
            f"the label column has lists, but {type(inner).__name__} takes one label for each row; pass one label per "
            "row, or use one of the batch losses of Tercet"
        )
    inner.set_label_sets(number_label_sets(names, SEPARATOR)[0])
    _SET_BY_TRAINER.add(inner)


def clear_relation(loss: nn.Module) -> None:
    """Make sentences with the same label the positives of a loss again, if a trainer has changed that."""
    inner: Any = innermost(loss)
    if inner in _SET_BY_TRAINER:
        inner.relation = SAME_LABEL
        _SET_BY_TRAINER.discard(inner)


def check_both_have_sets(source: str, training_has_sets: bool, label_names: list[str] | None) -> None:
    """Raise `DataError` if only one of training and evaluation data has named labels in lists."""
    if not training_has_sets or label_names is None:
        raise DataError(
            f"{source}: the rows of only one of training and evaluation data have several labels; pass lists of labels "
            "of the same kind in both"
        )


def shared_relation(loss: nn.Module) -> SharedLabel | None:
    """Return the relation of a loss whose rows have several labels; None for any other loss."""
    relation = getattr(innermost(loss), "relation", None)
    return relation if isinstance(relation, SharedLabel) else None


def label_ids_or_sets(loss: nn.Module, label_ids: list[int]) -> list[Any]:
    """Return the label id of each row, or the ids of its labels if rows have several."""
    relation = shared_relation(loss)
    return label_ids if relation is None else relation.label_sets(label_ids)


def check_triplets(loss: nn.Module, label_ids: Any, label_names: list[str] | None, source: str) -> None:
    """Check that the labels, or the sets of labels of a loss, form a triplet.

    Raises:
        DataError: see `check_triplets_exist`.
    """
    relation = shared_relation(loss)
    if relation is None:
        check_triplets_exist(np.asarray(label_ids), label_names, source)
        return
    names = [SEPARATOR.join(map(str, one)) for one in relation.label_sets(range(len(relation.table)))]
    check_shared_triplets_exist(np.asarray(label_ids), names, source, SEPARATOR)


def single_labels(names: list[str]) -> list[str]:
    """Return the names of the labels in the names of sets, sorted."""
    return sorted({label for name in names for label in split_set(name, SEPARATOR)})


def _are_indicators(values: Sequence[Any]) -> bool:
    lists = [value for value in values if value is not None]
    lengths = {len(value) for value in lists}
    return (
        len(lengths) == 1
        and lengths.pop() > 1
        and {type(item) for value in lists for item in value} <= {bool, int, float}
        and {item for value in lists for item in value} <= {0, 1}
    )
