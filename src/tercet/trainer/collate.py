"""Data sets as a trainer takes them: columns found and checked, labels made integers, batches made tensors."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from datasets import ClassLabel, Dataset, Value
from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from tercet.data.columns import (
    check_texts,
    find_labelled_columns,
    find_triplet_columns,
    number_labels,
)
from tercet.encoder.packing.packing import pack
from tercet.errors import DataError, listed

_TEXTS = ("sentence", "anchor", "positive", "negative")
_IDS = "{}_input_ids"
_WORTH_A_BAR = 50_000  # rows; fewer take less than a few seconds


def prepare_labelled(
    dataset: Any, source: str, known_names: list[str] | None = None
) -> tuple[Dataset, list[str] | None]:
    """A data set with the columns `sentence` and `label` (int64), and the names of the labels, if they have any.

    Args:
        known_names: number the labels by these names (those of the training set) in place of new ones.

    Raises:
        DataError: the columns are others, or a row cannot be used.
    """
    text, label = find_labelled_columns(*_columns(dataset, source))
    dataset = dataset.with_format(None)
    sentences = check_texts(dataset[text][:], source)
    values, feature = dataset[label][:], dataset.features[label]
    if isinstance(feature, ClassLabel):
        values = [None if code is None or code < 0 else code for code in values]
    label_ids, names = number_labels(values, source)
    if isinstance(feature, ClassLabel):
        names = list(feature.names)
    if known_names is not None and names is not None:
        numbers = {name: code for code, name in enumerate(dict.fromkeys([*known_names, *names]))}
        label_ids = np.array([numbers[name] for name in names], dtype=np.int64)[label_ids]
    return Dataset.from_dict({"sentence": sentences, "label": label_ids}), names


def prepare_triplets(dataset: Any, source: str) -> Dataset:
    """A data set with the columns `anchor`, `positive` and `negative`.

    Raises:
        DataError: there are not three columns of text, or a row is empty.
    """
    columns = find_triplet_columns(*_columns(dataset, source))
    dataset = dataset.with_format(None)
    roles = zip(("anchor", "positive", "negative"), columns, strict=True)
    return Dataset.from_dict({role: check_texts(dataset[name][:], f"{source}, {name}") for role, name in roles})


def tokenize(dataset: Dataset, token_ids: Callable[[list[str]], list[list[int]]]) -> Dataset:
    """Add a column of token ids for each column of text, and show rows without their texts.

    Sentences are tokenized here once, and not in every epoch. `dataset.with_format(None)` shows the texts again.
    """

    def add(rows: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        return {_IDS.format(column): token_ids(rows[column]) for column in _TEXTS if column in rows}

    progress = are_progress_bars_disabled()
    if len(dataset) < _WORTH_A_BAR:
        disable_progress_bars()
    try:
        added = dataset.map(add, batched=True, keep_in_memory=True, new_fingerprint=uuid4().hex, desc="Tokenize")
    finally:
        if not progress:
            enable_progress_bars()
    return added.with_format(columns=[name for name in added.column_names if name not in _TEXTS])


def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows of a tokenized data set → `features` (all sentences, packed) and, for labelled data, `labels` `(batch,)`.

    The three sentences of triplets are encoded as one batch: anchors, then positives, then negatives.
    """
    batch: dict[str, Any] = {"labels": torch.tensor([row["label"] for row in rows])} if "label" in rows[0] else {}
    columns = [name for name in map(_IDS.format, _TEXTS) if name in rows[0]]
    return {**batch, "features": pack([row[column] for column in columns for row in rows])}


def _columns(dataset: Any, source: str) -> tuple[list[str], dict[str, str]]:
    """The names of the columns and what each holds."""
    if not isinstance(dataset, Dataset):
        raise DataError(
            f"{source} is a {type(dataset).__name__}; give a datasets.Dataset "
            "(one split of a DatasetDict; Dataset.from_dict, from_list or from_pandas make one)"
        )
    if len(dataset) == 0:
        raise DataError(f"{source} has no rows; its columns are {listed(dataset.column_names)}")
    return dataset.column_names, {name: _kind(feature) for name, feature in dataset.features.items()}


def _kind(feature: Any) -> str:
    if isinstance(feature, ClassLabel):
        return "class"
    if isinstance(feature, Value) and feature.dtype in ("string", "large_string"):
        return "text"
    if isinstance(feature, Value) and "int" in feature.dtype:
        return "integer"
    return "other"
