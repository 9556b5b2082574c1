"""Divide the rows of each label into groups of K, and choose the groups of an epoch: steps 1 and 2 of `sampler.py`.

GroupPlan       the numbers of batches and of groups, which are the same in every epoch
plan_groups     computes them from the numbers of rows of the labels
draw_groups     divides all rows into groups, at random
fill_places     chooses the groups of an epoch, and repeats some to fill every place
"""

from dataclasses import dataclass

import numpy as np

# The row number of an empty position in a group.
EMPTY = -1


@dataclass(frozen=True)
class GroupPlan:
    """The numbers of batches and of groups, which are the same in every epoch.

    Attributes:
        batches: the number of batches.
        groups: the number of groups before any is repeated.
        pair_groups: the number of groups that contain two sentences with the same label.
    """

    batches: int
    groups: int
    pair_groups: int


def plan_groups(counts: np.ndarray, labels_per_batch: int, k: int) -> GroupPlan:
    """Return the numbers of batches and of groups of an epoch.

    Args:
        counts: the number of rows of each label.
        labels_per_batch: the number of groups in a batch, at least 2.
        k: the number of rows in a group.
    """
    full = counts[counts >= k]
    pair_groups = int((-(-full // k)).sum())
    # Only sizes that occur, because k may be far larger than any label.
    for size, labels in zip(*np.unique(counts[(counts > 1) & (counts < k)], return_counts=True), strict=True):
        pair_groups += -(-int(labels) // (k // int(size)))
    singleton_groups = -(-int((counts == 1).sum()) // k)  # of labels with one sentence each
    groups = pair_groups + singleton_groups
    largest = int(-(-counts.max() // k)) if counts.max() >= k else 1
    batches = max(
        -(-groups // labels_per_batch),
        -(-largest // (labels_per_batch - 1)),  # In each batch, one place is left for another label than the largest.
        -(-singleton_groups // (labels_per_batch - 1)),  # In each batch, one place is left for a positive pair.
    )
    return GroupPlan(batches, groups, pair_groups)


def draw_groups(
    label_ids: np.ndarray, counts: np.ndarray, k: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Divide all rows into groups.

    Returns:
        The row numbers `(num_groups, k)`, with `EMPTY` in empty positions, and the label of each group
        `(num_groups,)`; for a group of several labels, the first one. Labels with at least k rows are first, then
        smaller labels by descending size; labels with one row are last. Within these parts, the order is random.
    """
    order = rng.permutation(len(label_ids))
    order = order[np.argsort(label_ids[order], kind="stable")]
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    parts, labels = [], []
    full = rng.permutation(np.flatnonzero(counts >= k))
    groups_of = -(-counts[full] // k)
    label = np.repeat(full, groups_of)
    first = np.arange(len(label)) - np.repeat(np.cumsum(groups_of) - groups_of, groups_of)
    # A last group with fewer than k rows starts earlier, so that it repeats rows of the previous group.
    offset = np.minimum(first * k, counts[label] - k)
    parts.append(order[(starts[label] + offset)[:, None] + np.arange(k)])
    labels.append(label)
    for size in np.unique(counts[counts < k])[::-1].tolist():
        labels_of_size = rng.permutation(np.flatnonzero(counts == size))
        labels_per_group = k // size
        rows = order[starts[labels_of_size][:, None] + np.arange(size)]
        num_groups = -(-len(labels_of_size) // labels_per_group)
        part = np.full((num_groups * labels_per_group, size), EMPTY, dtype=rows.dtype)
        part[: len(labels_of_size)] = rows
        padding = np.full((num_groups, k - labels_per_group * size), EMPTY, dtype=rows.dtype)
        parts.append(np.hstack([part.reshape(num_groups, labels_per_group * size), padding]))
        labels.append(labels_of_size[::labels_per_group])
    return np.concatenate(parts), np.concatenate(labels)


def fill_places(
    label_of_group: np.ndarray, counts: np.ndarray, plan: GroupPlan, labels_per_batch: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the groups of an epoch, in the order in which `deal_groups` assigns them.

    Groups are repeated to fill every place. Groups with a positive pair are first, at least one per batch. Groups of
    labels with one sentence are last. Groups of the largest label are repeated only if no other group has a positive
    pair.
    """
    places = plan.batches * labels_per_batch
    pairs = np.arange(plan.pair_groups)
    singletons = np.arange(plan.pair_groups, plan.groups)
    largest = label_of_group == counts.argmax()
    repeatable = pairs[~largest[pairs]]
    missing_pairs = max(0, plan.batches - len(pairs))
    extra_pairs = _cycle(repeatable if len(repeatable) else pairs, missing_pairs, rng)
    remaining = places - plan.groups - missing_pairs
    extra = (
        _cycle_labels(repeatable, label_of_group, remaining, rng)
        if len(repeatable)
        else _cycle(singletons, remaining, rng)
    )
    is_pair = extra < plan.pair_groups
    ordered = np.concatenate([pairs, extra_pairs, extra[is_pair]])
    # `deal_groups` puts consecutive groups into different batches, so keep the groups of each label consecutive.
    position = np.empty(len(counts), dtype=np.int64)
    position[label_of_group[pairs][::-1]] = np.arange(len(pairs))[::-1]
    ordered = ordered[np.argsort(position[label_of_group[ordered]], kind="stable")]
    return np.concatenate([ordered, singletons, extra[~is_pair]])


def _cycle(groups: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return `count` groups in random order. Repeat a group only after all groups were returned."""
    if count <= 0:
        return groups[:0]
    return np.resize(rng.permutation(groups), count)


def _cycle_labels(groups: np.ndarray, label_of_group: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return `count` groups. Take the labels in turn, so that small labels are repeated as often as large labels."""
    if count <= 0:
        return groups[:0]
    shuffled = rng.permutation(groups)
    labels = label_of_group[shuffled]
    by_label = np.argsort(labels, kind="stable")
    _, first, sizes = np.unique(labels[by_label], return_index=True, return_counts=True)
    turns = np.arange(count) // len(first)
    which = rng.permutation(len(first))[np.arange(count) % len(first)]
    return shuffled[by_label[first[which] + turns % sizes[which]]]
