"""Tokenize a prepared data set, and collate its rows into batches.

add_prompts                  write the prompts before the texts, for a custom collator
tokenize                     add the token ids, once
collate, collate_columns     pack rows into one batch, or one for each text column
"""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from datasets import Dataset
from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from tercet.data.columns.names import TRIPLET_COLUMNS
from tercet.encoder.packing.packing import pack
from tercet.trainer.batches.rows import TOKEN_IDS

_PREPARED_TEXT_COLUMNS = ("sentence", *TRIPLET_COLUMNS)
# With fewer rows, tokenization takes only a few seconds and shows no progress bar.
_ROWS_FOR_PROGRESS_BAR = 50_000


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
