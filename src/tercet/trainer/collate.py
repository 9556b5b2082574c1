"""Convert a `datasets.Dataset` into batches for the trainer.

prepare_labelled, prepare_triplets    find and check the columns
draw_all                              apply the transform of a data set to all rows
tokenize                              add the token ids, once
collate, collate_columns              pack rows into one batch, or one for each text column
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from datasets import ClassLabel, Dataset, Value
from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

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
from tercet.encoder.packing.packing import pack
from tercet.errors import DataError, listed
from tercet.trainer.multi_labels import has_lists, number_sets
from tercet.trainer.rows import TOKEN_IDS

_PREPARED_TEXT_COLUMNS = ("sentence", *TRIPLET_COLUMNS)
# With fewer rows, tokenization takes only a few seconds and shows no progress bar.
_ROWS_FOR_PROGRESS_BAR = 50_000


def prepare_labelled(
    dataset: Any, source: str, known_names: list[str] | None = None
) -> tuple[Dataset, list[str] | None]:
    """Return a data set with the columns `sentence` and `label` (int64), and the name of each label id.

    A `ClassLabel` column keeps its ids and names. Integer labels are used as ids, and the names are None. Strings
    and booleans are numbered in sorted order.

    Labels in lists are numbered by their sets, see `tercet.trainer.multi_labels`.

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


def add_prompts(dataset: Dataset, prompts: Mapping[str, str]) -> Dataset:
    """Return the data set with a prompt before each text, for a custom collator. The prompts are by text column."""
    if not any(prompts.values()):
        return dataset

    def add(rows: dict[str, list[str]]) -> dict[str, list[str]]:
        return {column: [prompt + text for text in rows[column]] for column, prompt in prompts.items()}

    return dataset.map(add, batched=True, keep_in_memory=True, new_fingerprint=uuid4().hex, desc="Add prompts")


def tokenize(dataset: Dataset, token_ids: Callable[[str, list[str]], list[list[int]]]) -> Dataset:
    """Return the data set with a column of token ids for each text column, and hide the text columns.

    This tokenizes each sentence once instead of in every epoch. `with_format(None)` shows the text columns again.

    Args:
        dataset: the data set from `prepare_labelled` or `prepare_triplets`.
        token_ids: a function from a text column and a list of its texts to the token ids of each text.
    """

    def add(rows: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        return {
            TOKEN_IDS.format(column): token_ids(column, rows[column])
            for column in _PREPARED_TEXT_COLUMNS
            if column in rows
        }

    were_disabled = are_progress_bars_disabled()
    if len(dataset) < _ROWS_FOR_PROGRESS_BAR:
        disable_progress_bars()
    try:
        added = dataset.map(add, batched=True, keep_in_memory=True, new_fingerprint=uuid4().hex, desc="Tokenize")
    finally:
        if not were_disabled:
            enable_progress_bars()
    return added.with_format(columns=[name for name in added.column_names if name not in _PREPARED_TEXT_COLUMNS])


def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a batch: the packed sentences in `features` and, for labelled data, the `labels` `(batch,)`.

    The labels are in `cpu_labels` too, as an array that stays on the CPU, so that the loss can read them without
    waiting for a GPU.

    A batch of n triplets has 3n sentences: all anchors, then all positives, then all negatives. If the rows have the
    name of their data set, the batch has it as `dataset_name`.

    Args:
        rows: rows of a data set that `tokenize` returned.
    """
    columns = _token_columns(rows)
    return {**_labels_and_name(rows), "features": pack([row[column] for column in columns for row in rows])}


def collate_columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a batch as `collate` does, but `features` is a list with the packed sentences of each text column."""
    packed = [pack([row[column] for row in rows]) for column in _token_columns(rows)]
    return {**_labels_and_name(rows), "features": packed}


def _token_columns(rows: list[dict[str, Any]]) -> list[str]:
    return [name for name in map(TOKEN_IDS.format, _PREPARED_TEXT_COLUMNS) if name in rows[0]]


def _labels_and_name(rows: list[dict[str, Any]]) -> dict[str, Any]:
    batch: dict[str, Any] = {}
    if "label" in rows[0]:
        labels = np.array([row["label"] for row in rows], np.int64)
        # Only tensors are moved to the device.
        batch = {"labels": torch.from_numpy(labels), "cpu_labels": labels}
    if "dataset_name" in rows[0]:
        batch["dataset_name"] = rows[0]["dataset_name"]
    return batch


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
