"""Split data into rows to train on and rows to evaluate on.

Copies of a text stay on one side of a split. Otherwise the model would be evaluated on texts that it was trained on.
"""

from typing import TYPE_CHECKING

import numpy as np

from tercet.data.cleaning.copies import copy_groups
from tercet.data.labels.labelled_sentences import LabelledSentences
from tercet.data.tables.dataset_columns import texts_of

if TYPE_CHECKING:
    from datasets import Dataset


def split_labelled(data: LabelledSentences, fraction: float, seed: int) -> tuple[LabelledSentences, LabelledSentences]:
    """Split off a random fraction of the rows of each label for evaluation.

    Copies of a text (see `copy_groups`) stay on one side. A text with several labels counts as a text of the one with
    the fewest rows, and all its rows stay together too. So does a row with several labels.

    A retrieval metric needs two held-out sentences with the same label: a query and a sentence to find. So if the
    fraction of a label rounds to one row, two rows are held out. A label with fewer than two different texts, or fewer
    than two rows, on one of the sides is not split: all its rows remain to train on.

    Args:
        data: the rows to split.
        fraction: the fraction of each label's rows to hold out, from 0 to 1. If texts have many copies, the held-out
            rows are the nearest number below it that whole texts give, but at least those of two texts.
        seed: the seed of the random selection.

    Returns:
        The rows to train on, and the held-out rows. Both keep the order, the label ids and the label names of `data`.
    """
    rows = held_out_labelled(data, fraction, seed)
    return data.take(np.setdiff1d(np.arange(len(data)), rows)), data.take(rows)


def held_out_labelled(data: LabelledSentences, fraction: float, seed: int) -> np.ndarray:
    """Return the numbers of the rows that `split_labelled` holds out, ascending, int64 `(num_held_out,)`."""
    groups = copy_groups(data.sentences)
    label_ids = data.strata()
    counts = np.bincount(label_ids)
    labels = _label_of_group(groups, label_ids, counts)
    sizes = np.bincount(groups, minlength=len(labels))
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    quotas = np.round(counts * fraction).astype(int)
    quotas[quotas == 1] = 2
    quotas[quotas > counts - 2] = 0
    taken = np.zeros(len(labels), dtype=bool)
    for own in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        if len(own) >= 4 and (quota := quotas[labels[own[0]]]):
            taken[_fill(own, sizes, quota, keep=2, at_least=2)] = True
    _keep_two_rows_of_each_label(taken, groups, label_ids, counts)
    return np.flatnonzero(taken[groups])


def split_triplets(data: "Dataset", fraction: float, seed: int) -> "tuple[Dataset, Dataset]":
    """Split off a random fraction of the rows for evaluation.

    Triplets whose anchors are copies (see `copy_groups`) stay on one side. Their positives and negatives may occur on
    both sides: in most data sets, they come from one pool of texts that all anchors share.

    Args:
        data: one triplet per row.
        fraction: the fraction of the rows to hold out, from 0 to 1. If anchors have many rows, the held-out rows are
            the nearest number below it that whole anchors give, but at least those of one anchor if there are two.
        seed: the seed of the random selection.

    Returns:
        The rows to train on, and the held-out rows, both in the order of `data`.
    """
    rows = held_out_triplets(data, fraction, seed)
    return data.select(np.setdiff1d(np.arange(len(data)), rows)), data.select(rows)


def held_out_triplets(data: "Dataset", fraction: float, seed: int) -> np.ndarray:
    """Return the numbers of the rows that `split_triplets` holds out, ascending, int64 `(num_held_out,)`."""
    groups = copy_groups(texts_of(data, "anchor"))
    sizes = np.bincount(groups)
    order = np.random.default_rng(seed).permutation(len(sizes))
    taken = np.zeros(len(sizes), dtype=bool)
    if quota := round(len(data) * fraction):
        taken[_fill(order, sizes, quota, keep=0, at_least=min(1, len(sizes) - 1))] = True
    return np.flatnonzero(taken[groups])


def _fill(order: np.ndarray, sizes: np.ndarray, quota: int, *, keep: int, at_least: int) -> np.ndarray:
    """Return the first groups that together have at most `quota` rows; a group that does not fit is passed over.

    Args:
        order: the groups in the order to consider.
        sizes: the number of rows of each group.
        quota: the maximum number of rows to take.
        keep: the number of groups that must not be taken.
        at_least: the minimum number of groups to take. If fewer fit, the smallest ones are taken.
    """
    taken: list[int] = []
    rows = 0
    for group in order.tolist():
        if rows == quota or len(taken) == len(order) - keep:
            break
        if rows + sizes[group] <= quota:
            taken.append(group)
            rows += sizes[group]
    if len(taken) < at_least:
        return order[np.argsort(sizes[order], kind="stable")[:at_least]]
    return np.array(taken, dtype=np.int64)


def _label_of_group(groups: np.ndarray, label_ids: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the label of each group of copies; of several, the one with the fewest rows in the data."""
    rare_last = np.argsort(-counts[label_ids], kind="stable")
    labels = np.zeros(groups.max(initial=-1) + 1, dtype=np.int64)
    labels[groups[rare_last]] = label_ids[rare_last]  # The last assignment to an index remains.
    return labels


def _keep_two_rows_of_each_label(
    taken: np.ndarray, groups: np.ndarray, label_ids: np.ndarray, counts: np.ndarray
) -> None:
    """Return texts with several labels to the training rows if a label would otherwise have fewer than two rows."""
    left = counts - np.bincount(label_ids[taken[groups]], minlength=len(counts))
    for label_id in np.flatnonzero(left < np.minimum(counts, 2)):
        taken[groups[label_ids == label_id]] = False
