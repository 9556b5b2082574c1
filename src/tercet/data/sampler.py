"""P×K batches: P labels with K sentences each, so that every anchor has positives and negatives.

How an epoch is drawn, with arrays only (no Python object a row):

1. The sentences of each label are shuffled and cut into groups of K. A last, short group is filled up
   with other sentences of its label; labels with fewer than K sentences share a group with others of
   their size (so singletons come K to a group, as negatives).
2. The groups, label by label, are dealt row by row into a table of P rows and one column a batch.
   Within a row the columns are shuffled, but a label that runs on into the next row keeps clear of the
   columns that it already has: a label comes twice in a batch only if it has more groups than there
   are batches.
3. Places left over go to labels drawn again, small ones first in line. There are so many batches that a
   large label cannot fill one alone and that each has a group with a positive pair.
4. A sentence that fell twice into a batch, and a hole in a group, gives way to a random sentence.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from tercet.errors import DataError

_HOLE = -1


@dataclass(frozen=True)
class _Plan:
    """What is the same in every epoch: how many batches, and which labels make which groups."""

    batches: int
    groups: int
    pair_groups: int
    singleton_groups: int


class GroupByLabelSampler(Sampler[int]):
    """Row numbers, in an order that gives P×K batches when cut every `batch_size` rows.

    Every row is drawn in every epoch, some of small labels more than once; every batch holds a valid
    triplet. The order follows from `seed` and the epoch. If there are no more rows than `batch_size`,
    the epoch is one batch of all rows.

    Args:
        labels: integers `(rows,)`.
        batch_size: P × K.
        samples_per_label: K.

    Raises:
        DataError: no batch of this kind can hold a triplet, or the numbers do not fit; says why.
    """

    def __init__(self, labels: Any, batch_size: int, samples_per_label: int = 4, seed: int = 0) -> None:
        _check_sizes(batch_size, samples_per_label)
        names, label_ids, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
        if len(names) < 2 or counts.max() < 2:
            what = "one label only" if len(names) == 1 else "no label with two sentences" if len(names) else "no rows"
            raise DataError(
                f"no batch can hold a triplet: the data have {what}; a triplet needs two sentences of one label "
                "and one of another"
            )
        # The smallest type that fits: sorting by label is the cost of an epoch.
        self.label_ids = label_ids.astype(np.min_scalar_type(len(names)))
        self.counts = counts
        self.batch_size, self.samples_per_label, self.seed = batch_size, samples_per_label, seed
        self.epoch = 0
        self._plan = _plan(counts, batch_size // samples_per_label, samples_per_label)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        rows = len(self.label_ids)
        return rows if rows <= self.batch_size else self._plan.batches * self.batch_size

    def __iter__(self) -> Iterator[int]:
        for batch in self.batches():
            yield from batch.tolist()

    def described(self) -> str:
        """What an epoch holds, in a sentence."""
        rows, drawn, k = len(self.label_ids), len(self), self.samples_per_label
        if rows <= self.batch_size:
            return f"an epoch is one batch of all {rows:,} sentences"
        return (
            f"an epoch is {self._plan.batches:,} batches of {self.batch_size // k} labels × {k} sentences: "
            f"each of {rows:,} sentences, and {drawn - rows:,} drawn again"
        )

    def batches(self) -> np.ndarray:
        """The row numbers of the epoch, `(batches, batch_size)`; each row of the result is one batch."""
        rng = np.random.default_rng([self.seed, self.epoch])
        rows = len(self.label_ids)
        if rows <= self.batch_size:
            return rng.permutation(rows).reshape(1, -1)
        groups, label_of_group = _groups(self.label_ids, self.counts, self.samples_per_label, rng)
        chosen = _fill_up(label_of_group, self.counts, self._plan, self.batch_size // self.samples_per_label, rng)
        table = _deal(label_of_group[chosen], self._plan.batches, rng)
        drawn = groups[chosen[table]].reshape(self._plan.batches, self.batch_size)
        _replace_holes_and_repeats(drawn, rows, rng)
        return drawn


def _check_sizes(batch_size: int, samples_per_label: int) -> None:
    if samples_per_label < 2:
        raise DataError(f"samples_per_label must be at least 2, got {samples_per_label}: one sentence has no positive")
    if batch_size % samples_per_label or batch_size < 2 * samples_per_label:
        labels = max(2, round(batch_size / samples_per_label))
        raise DataError(
            f"a batch of {batch_size} cannot hold labels with {samples_per_label} sentences each: the batch size must "
            f"be a multiple of samples_per_label, at least twice it; take {labels * samples_per_label}"
        )


def _plan(counts: np.ndarray, labels_per_batch: int, k: int) -> _Plan:
    full = counts[counts >= k]
    pair_groups = int((-(-full // k)).sum())
    for size in range(2, k):
        pair_groups += -(-int((counts == size).sum()) // (k // size))
    singleton_groups = -(-int((counts == 1).sum()) // k)
    groups = pair_groups + singleton_groups
    largest = int(-(-counts.max() // k)) if counts.max() >= k else 1
    batches = max(
        -(-groups // labels_per_batch),
        -(-largest // (labels_per_batch - 1)),  # leaves a place a batch to another label
        -(-singleton_groups // (labels_per_batch - 1)),  # and one to a group with a pair
    )
    return _Plan(batches, groups, pair_groups, singleton_groups)


def _groups(
    label_ids: np.ndarray, counts: np.ndarray, k: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """All rows in groups `(groups, k)`, with a number per group that is shared by the groups of one label.

    Groups come label by label in random order, those of singletons last.
    """
    order = rng.permutation(len(label_ids))
    order = order[np.argsort(label_ids[order], kind="stable")]
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    parts, labels = [], []
    full = rng.permutation(np.flatnonzero(counts >= k))
    groups_of = -(-counts[full] // k)
    label = np.repeat(full, groups_of)
    first = np.arange(len(label)) - np.repeat(np.cumsum(groups_of) - groups_of, groups_of)
    # A short last group begins earlier, so it repeats some rows of the group before.
    offset = np.minimum(first * k, counts[label] - k)
    parts.append(order[(starts[label] + offset)[:, None] + np.arange(k)])
    labels.append(label)
    for size in range(k - 1, 0, -1):
        few = rng.permutation(np.flatnonzero(counts == size))
        if not len(few):
            continue
        together = k // size
        rows = order[starts[few][:, None] + np.arange(size)]
        shared = -(-len(few) // together)
        part = np.full((shared * together, size), _HOLE, dtype=rows.dtype)
        part[: len(few)] = rows
        padding = np.full((shared, k - together * size), _HOLE, dtype=rows.dtype)
        parts.append(np.hstack([part.reshape(shared, together * size), padding]))
        labels.append(few[::together])
    return np.concatenate(parts), np.concatenate(labels)


def _fill_up(
    label_of_group: np.ndarray, counts: np.ndarray, plan: _Plan, labels_per_batch: int, rng: np.random.Generator
) -> np.ndarray:
    """The groups of an epoch in the order to deal them, some again so that every place is taken.

    Pairs come first, at least one a batch, then singletons. The largest label is not drawn again.
    """
    places = plan.batches * labels_per_batch
    pairs = np.arange(plan.pair_groups)
    singletons = np.arange(plan.pair_groups, plan.groups)
    largest = label_of_group == counts.argmax()
    again = pairs[~largest[pairs]]
    lacking = max(0, plan.batches - len(pairs))
    extra_pairs = _cycle(again if len(again) else pairs, lacking, rng)
    left = places - plan.groups - lacking
    extra = _cycle_labels(again, label_of_group, left, rng) if len(again) else _cycle(singletons, left, rng)
    is_pair = extra < plan.pair_groups
    ordered = np.concatenate([pairs, extra_pairs, extra[is_pair]])
    # Groups of one label stay side by side, which is what keeps them apart when they are dealt.
    position = np.empty(len(counts), dtype=np.int64)
    position[label_of_group[pairs][::-1]] = np.arange(len(pairs))[::-1]
    ordered = ordered[np.argsort(position[label_of_group[ordered]], kind="stable")]
    return np.concatenate([ordered, singletons, extra[~is_pair]])


def _cycle(groups: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` of the groups, each once before any is drawn again."""
    if count <= 0:
        return groups[:0]
    return np.resize(rng.permutation(groups), count)


def _cycle_labels(groups: np.ndarray, label_of_group: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` of the groups, taking turns by label, so that small labels are drawn again as often as large ones."""
    if count <= 0:
        return groups[:0]
    shuffled = rng.permutation(groups)
    labels = label_of_group[shuffled]
    by_label = np.argsort(labels, kind="stable")
    _, first, sizes = np.unique(labels[by_label], return_index=True, return_counts=True)
    turns = np.arange(count) // len(first)
    which = rng.permutation(len(first))[np.arange(count) % len(first)]
    return shuffled[by_label[first[which] + turns % sizes[which]]]


def _deal(labels: np.ndarray, batches: int, rng: np.random.Generator) -> np.ndarray:
    """Which group goes where: labels of the groups in dealing order → `(batches, places)` positions in that order."""
    places = len(labels) // batches
    table = np.empty((batches, places), dtype=np.int64)
    # The label that runs on across the start of a row, and the columns that it has in its first row.
    running, taken = -1, np.empty(0, dtype=np.int64)
    for row in range(places):
        start, end = row * batches, (row + 1) * batches
        columns = rng.permutation(batches)
        if labels[start] == running:
            head = _run_length(labels[start:end])
            free = columns[~np.isin(columns, taken)]
            columns = np.concatenate([free[:head], rng.permutation(np.concatenate([free[head:], taken]))])
        table[columns, row] = np.arange(start, end)
        last = labels[end - 1]
        if last != running:
            tail = _run_length(labels[start:end][::-1])
            running, taken = last, columns[batches - tail :]
    return table


def _run_length(labels: np.ndarray) -> int:
    """How many of the first labels are the same."""
    other = labels != labels[0]
    return int(other.argmax()) if other.any() else len(labels)


def _replace_holes_and_repeats(drawn: np.ndarray, rows: int, rng: np.random.Generator) -> None:
    """Put random rows, new to their batch, where a batch has a hole or a row for the second time; in place."""
    open_batches = np.arange(len(drawn))
    while len(open_batches):
        part = drawn[open_batches]
        order = np.argsort(part, axis=1, kind="stable")
        ranked = np.take_along_axis(part, order, axis=1)
        again = np.zeros(part.shape, dtype=bool)
        np.put_along_axis(again, order[:, 1:], ranked[:, 1:] == ranked[:, :-1], axis=1)
        again |= part == _HOLE
        part[again] = rng.integers(0, rows, int(again.sum()))
        drawn[open_batches] = part
        open_batches = open_batches[again.any(axis=1)]
