"""Split data into rows to train on and rows to evaluate on."""

from typing import TYPE_CHECKING

import numpy as np

from tercet.data.labels import LabelledSentences

if TYPE_CHECKING:
    from datasets import Dataset


def split_labelled(data: LabelledSentences, fraction: float, seed: int) -> tuple[LabelledSentences, LabelledSentences]:
    """Split off a random fraction of the rows of each label for evaluation.

    A retrieval metric needs two held-out sentences with the same label: a query and a sentence to find. So if the
    fraction of a label rounds to one row, two rows are held out. If fewer than two rows would remain to train on, no
    row of the label is held out.

    Args:
        data: the rows to split.
        fraction: the fraction of each label's rows to hold out, from 0 to 1.
        seed: the seed of the random selection.

    Returns:
        The rows to train on, and the held-out rows. Both keep the order, the label ids and the label names of `data`.
    """
    order = np.random.default_rng(seed).permutation(len(data))
    order = order[np.argsort(data.label_ids[order], kind="stable")]
    _, starts, counts = np.unique(data.label_ids[order], return_index=True, return_counts=True)
    quota = np.round(counts * fraction).astype(int)
    quota[quota == 1] = 2
    quota[quota > counts - 2] = 0
    held_out = np.zeros(len(data), dtype=bool)
    held_out[order] = np.arange(len(data)) - np.repeat(starts, counts) < np.repeat(quota, counts)
    return data.take(np.flatnonzero(~held_out)), data.take(np.flatnonzero(held_out))


def split_triplets(data: "Dataset", fraction: float, seed: int) -> "tuple[Dataset, Dataset]":
    """Split off a random fraction of the rows for evaluation.

    Args:
        data: one triplet per row.
        fraction: the fraction of the rows to hold out, from 0 to 1.
        seed: the seed of the random selection.

    Returns:
        The rows to train on, and the held-out rows, both in the order of `data`.
    """
    order = np.random.default_rng(seed).permutation(len(data))
    count = round(len(data) * fraction)
    return data.select(np.sort(order[count:])), data.select(np.sort(order[:count]))
