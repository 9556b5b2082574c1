"""Find and check the columns of a `datasets.Dataset`, and number its labels.

prepare_labelled, prepare_triplets    rename the columns, and check their values
draw_all                              apply the transform of a data set to all rows
label_column, text_columns            the names of the columns of the user
"""

import logging
from typing import Any

from datasets import ClassLabel, Dataset, Value

from tercet._texts import validate_texts
from tercet.data.cleaning.resolving import match_labels
from tercet.data.cleaning.rules import CleaningRules
from tercet.data.columns.guessing import find_columns
from tercet.data.columns.labelled import UnclearColumnError, find_labelled_columns
from tercet.data.columns.names import TRIPLET_COLUMNS, Kind, log_unused
from tercet.data.columns.triplets import find_triplet_columns
from tercet.data.labels.numbering import labels_of, map_onto_names
from tercet.data.reading.in_memory import table_of
from tercet.data.tables.dataset_columns import add_labels, renamed, texts_of
from tercet.errors import DataError, listed
from tercet.trainer.loss.multi_labels import has_lists, number_sets


def prepare_labelled(
    dataset: Any, source: str, known_names: list[str] | None = None
) -> tuple[Dataset, list[str] | None]:
    """Return a data set with the columns `sentence` and `label` (int64), and the name of each label id.

    A `ClassLabel` column keeps its ids and names. Integer labels are used as ids, and the names are None. Strings
    and booleans are numbered in sorted order.

    Labels in lists are numbered by their sets, see `tercet.trainer.loss.multi_labels`.

    Args:
        dataset: a `datasets.Dataset` with a text column and a label column. Additional columns are named in a warning.
        source: the name of the data set in messages.
        known_names: the label names of the training data. A label with one of these names gets the id that it has in
            the training data. New names get the ids that follow. Not used for integer labels.

    Raises:
        DataError: `dataset` is not a `datasets.Dataset` with these two columns, it has no rows, or a text or a label is
            missing or invalid.
    """
    text, label = _labelled_columns(dataset, source)
    log_unused(dataset.column_names, (text, label), source, logging.WARNING)
    validate_texts(texts_of(dataset, text), source)
    texts = renamed(dataset, {text: "sentence"})
    if has_lists(dataset.features[label]):
        set_ids, set_names = number_sets(dataset, label, source, known_names)
        return add_labels(texts, set_ids), set_names
    label_ids, names = labels_of(dataset, label, source)
    if known_names is not None and names is not None:
        if not isinstance(dataset.features[label], ClassLabel):
            of_rows = [names[label_id] for label_id in label_ids.tolist()]
            match_labels(of_rows, known_names, "the training data", CleaningRules(source, fixed=True))
        label_ids, names = map_onto_names(label_ids, names, known_names)
    return add_labels(texts, label_ids), names


def prepare_triplets(dataset: Any, source: str) -> Dataset:
    """Return a data set with the columns `anchor`, `positive` and `negative`.

    Args:
        dataset: a `datasets.Dataset` with three text columns, named or ordered as above. Additional columns are named
            in a warning.
        source: the name of the data set in messages.

    Raises:
        DataError: `dataset` is not a `datasets.Dataset` with these three columns, it has no rows, or a text is missing
            or invalid.
    """
    columns, kinds = _columns(dataset, source)
    found = find_triplet_columns(columns, source, kinds)
    log_unused(columns, found, source, logging.WARNING)
    for name in found:
        validate_texts(texts_of(dataset, name), f"{source}, {name}")
    return renamed(dataset, dict(zip(found, TRIPLET_COLUMNS, strict=True)))


def has_transform(dataset: Any) -> bool:
    """Return whether a data set has a transform, which changes its rows each time they are read."""
    return isinstance(dataset, Dataset) and dataset.format["type"] == "custom"


def draw_all(dataset: Dataset, source: str) -> Dataset:
    """Return a data set of all rows as its transform gives them now. A column of classes stays one.

    Raises:
        DataError: the transform fails, or returns no columns of values.
    """
    try:
        drawn = Dataset.from_dict(dataset[:])
    except Exception as error:  # The transform is a function of the user, which may raise anything.
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise DataError(
            f"{source}: the transform (set_transform or with_transform) must return a dictionary of columns: {reason}"
        ) from error
    for name, feature in dataset.features.items():
        if isinstance(feature, ClassLabel) and name in drawn.column_names:
            drawn = drawn.cast_column(name, feature)
    return drawn


def label_column(dataset: Dataset, source: str) -> str:
    """Return the name of the label column of a data set, whose name in messages is `source`."""
    return _labelled_columns(dataset, source)[1]


def text_columns(dataset: Any, prepared: Dataset) -> dict[str, str]:
    """Return the prepared text column of each text column of a data set, such as `{"query": "anchor"}`."""
    if "anchor" in prepared.column_names:
        columns, kinds = _columns(dataset, "the data set")
        return dict(zip(find_triplet_columns(columns, "the data set", kinds), TRIPLET_COLUMNS, strict=True))
    return {_labelled_columns(dataset, "the data set")[0]: "sentence"}


def _labelled_columns(dataset: Any, source: str) -> tuple[str, str]:
    """Return the names of the columns of texts and labels, by their names and types, or else by their values."""
    columns, kinds = _columns(dataset, source)
    try:
        return find_labelled_columns(columns, source, kinds=kinds)
    except UnclearColumnError as unclear:
        try:
            return find_columns(table_of(dataset, source))
        except DataError:
            raise unclear from None  # Its message names the columns that the trainer takes.


def _columns(dataset: Any, source: str) -> tuple[list[str], dict[str, Kind]]:
    """Return the names of the columns, and the kind of each column: text, integer, class or other.

    Raises:
        DataError: `dataset` is not a `datasets.Dataset`, or has no rows.
    """
    if not isinstance(dataset, Dataset):
        raise DataError(f"{source} is a {type(dataset).__name__}, not a datasets.Dataset")
    if len(dataset) == 0:
        raise DataError(
            f"{source} has no rows, only the columns {listed(dataset.column_names)}; check how it was loaded or split"
        )
    return dataset.column_names, {name: _kind(feature) for name, feature in dataset.features.items()}


def _kind(feature: Any) -> Kind:
    if isinstance(feature, ClassLabel):
        return "class"
    if isinstance(feature, Value) and feature.dtype in ("string", "large_string"):
        return "text"
    if isinstance(feature, Value) and "int" in feature.dtype:
        return "integer"
    return "other"
