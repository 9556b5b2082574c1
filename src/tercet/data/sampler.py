"""P×K batches: P labels with K sentences each, so that every anchor has positives and negatives.

An epoch is drawn with array operations only, without a Python object per row:

1. Shuffle the sentences of each label and divide them into groups of K. A last group with fewer than K sentences
   repeats other sentences of its label. Labels with n < K sentences are put into groups together with other labels of n
   sentences. So K singletons (labels with one sentence) form a group, which serves as negatives.
2. Order the groups by label and deal them, place by place, into a table with a row per batch and P places in each row.
   The batches are shuffled for each place. A label whose groups continue from one place to the next skips the batches
   that it is already in. So a label comes twice in a batch only if it has more groups than there are batches.
3. Fill the remaining places with groups drawn again, in turns by label, so that small labels are drawn again as often
   as large ones. The number of batches is large enough that the largest label never fills a batch alone and that each
   batch gets a group with a positive pair.
4. Replace every empty place in a group, and every sentence that comes twice in a batch, by a random sentence.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from tercet.errors import DataError

_EMPTY = -1


@dataclass(frozen=True)
class _Plan:
    """The numbers that are the same in every epoch: of batches, and of groups with and without a positive pair."""

    batches: int
    groups: int
    pair_groups: int
    singleton_groups: int


class GroupByLabelSampler(Sampler[int]):
    """A sampler that yields row numbers in an order that gives P×K batches when it is split every `batch_size` rows.

    Every row is drawn in every epoch, rows of small labels more than once; every batch contains a valid triplet. The
    order depends on `seed` and on the epoch only. If there are no more rows than `batch_size`, the epoch is one batch
    of all rows.

    Args:
        labels: integers `(rows,)`.
        batch_size: P × K.
        samples_per_label: K.
        seed: the seed of the order.

    Raises:
        DataError: no batch can contain a triplet, or `batch_size` is not a multiple of `samples_per_label`.

    Example:
        >>> sampler = GroupByLabelSampler([0, 0, 1, 1, 2, 2], batch_size=4, samples_per_label=2)
        >>> sampler.batches().shape
        (2, 4)
    """

    def __init__(self, labels: Any, batch_size: int, samples_per_label: int = 4, seed: int = 0) -> None:
        _check_sizes(batch_size, samples_per_label)
        label_ids, counts = _compact(np.asarray(labels))
        if len(counts) < 2 or counts.max() < 2:
            what = "one label only" if len(counts) == 1 else "no label with two sentences" if len(counts) else "no rows"
            raise DataError(
                f"no batch can hold a triplet: the data have {what}; a triplet needs two sentences of one label "
                "and one of another"
            )
        # The smallest type that fits, because an epoch spends most of its time on sorting by label.
        self.label_ids = label_ids.astype(np.min_scalar_type(len(counts)))
        self.counts = counts
        self.batch_size, self.samples_per_label, self.seed = batch_size, samples_per_label, seed
        self.epoch = 0
        self._plan = _plan(counts, batch_size // samples_per_label, samples_per_label)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which chooses the order of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        rows = len(self.label_ids)
        return rows if rows <= self.batch_size else self._plan.batches * self.batch_size

    def __iter__(self) -> Iterator[int]:
        for batch in self.batches():
            yield from batch.tolist()

    def describe(self) -> str:
        """Return a sentence that says what an epoch consists of."""
        rows, drawn, k = len(self.label_ids), len(self), self.samples_per_label
        if rows <= self.batch_size:
            return f"an epoch is one batch of all {rows:,} sentences"
        return (
            f"an epoch is {self._plan.batches:,} batches of {self.batch_size // k} labels × {k} sentences: "
            f"each of {rows:,} sentences, and {drawn - rows:,} drawn again"
        )

    def batches(self) -> np.ndarray:
        """Return the row numbers of the epoch, `(batches, batch_size)`; each row of the result is one batch."""
        rng = np.random.default_rng([self.seed, self.epoch])
        rows = len(self.label_ids)
        if rows <= self.batch_size:
            return rng.permutation(rows).reshape(1, -1)
        groups, label_of_group = _groups(self.label_ids, self.counts, self.samples_per_label, rng)
        chosen = _fill_up(label_of_group, self.counts, self._plan, self.batch_size // self.samples_per_label, rng)
        table = _deal(label_of_group[chosen], self._plan.batches, rng)
        drawn: np.ndarray = groups[chosen[table]].reshape(self._plan.batches, self.batch_size)
        _replace_empty_and_repeated(drawn, rows, rng)
        return drawn


def _compact(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ids 0…n−1 in the order of the labels, and the number of rows of each; numbers only what is not so yet."""
    if (
        np.issubdtype(labels.dtype, np.signedinteger)
        and len(labels)
        and labels.min() == 0
        and labels.max() < len(labels)
    ):
        counts = np.bincount(labels)
        if counts.all():
            return labels, counts
    _, label_ids, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return label_ids, counts


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
        -(-largest // (labels_per_batch - 1)),  # Each batch keeps a place for another label,
        -(-singleton_groups // (labels_per_batch - 1)),  # and one for a group with a positive pair.
    )
    return _Plan(batches, groups, pair_groups, singleton_groups)


def _groups(
    label_ids: np.ndarray, counts: np.ndarray, k: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return all rows in groups `(groups, k)`, and for each group its label, or the first of its labels.

    Labels come in random order, those of singletons last.
    """
    order = rng.permutation(len(label_ids))
    order = order[np.argsort(label_ids[order], kind="stable")]
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    parts, labels = [], []
    full = rng.permutation(np.flatnonzero(counts >= k))
    groups_of = -(-counts[full] // k)
    label = np.repeat(full, groups_of)
    first = np.arange(len(label)) - np.repeat(np.cumsum(groups_of) - groups_of, groups_of)
    # A last group with fewer than k rows begins earlier, so that it repeats rows of the group before it.
    offset = np.minimum(first * k, counts[label] - k)
    parts.append(order[(starts[label] + offset)[:, None] + np.arange(k)])
    labels.append(label)
    for size in range(k - 1, 0, -1):
        labels_of_size = rng.permutation(np.flatnonzero(counts == size))
        if not len(labels_of_size):
            continue
        labels_per_group = k // size
        rows = order[starts[labels_of_size][:, None] + np.arange(size)]
        num_groups = -(-len(labels_of_size) // labels_per_group)
        part = np.full((num_groups * labels_per_group, size), _EMPTY, dtype=rows.dtype)
        part[: len(labels_of_size)] = rows
        padding = np.full((num_groups, k - labels_per_group * size), _EMPTY, dtype=rows.dtype)
        parts.append(np.hstack([part.reshape(num_groups, labels_per_group * size), padding]))
        labels.append(labels_of_size[::labels_per_group])
    return np.concatenate(parts), np.concatenate(labels)


def _fill_up(
    label_of_group: np.ndarray, counts: np.ndarray, plan: _Plan, labels_per_batch: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the groups of an epoch in dealing order, some of them repeated so that every place is filled.

    Groups with a pair come first, at least one per batch, then those of singletons. The largest label is not repeated.
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
    # Dealing puts neighbours in this order into different batches, so the groups of one label stay side by side.
    position = np.empty(len(counts), dtype=np.int64)
    position[label_of_group[pairs][::-1]] = np.arange(len(pairs))[::-1]
    ordered = ordered[np.argsort(position[label_of_group[ordered]], kind="stable")]
    return np.concatenate([ordered, singletons, extra[~is_pair]])


def _cycle(groups: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return `count` of the groups in random order, each once before any of them comes again."""
    if count <= 0:
        return groups[:0]
    return np.resize(rng.permutation(groups), count)


def _cycle_labels(groups: np.ndarray, label_of_group: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return `count` of the groups in turns by label, so that small labels are repeated as often as large ones."""
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
    """Assign groups to batches.

    Args:
        labels: the label of each group, in dealing order.
        batches: the number of batches, which divides the number of groups.
        rng: the random numbers.

    Returns:
        `(batches, places)`, the position of each place's group in dealing order.
    """
    places = len(labels) // batches
    table = np.empty((batches, places), dtype=np.int64)
    # The label whose groups continue from the place before, and the batches that it has there.
    continued, its_batches = -1, np.empty(0, dtype=np.int64)
    for place in range(places):
        start, end = place * batches, (place + 1) * batches
        order = rng.permutation(batches)
        if labels[start] == continued:
            head = _run_length(labels[start:end])
            free = order[~np.isin(order, its_batches)]
            order = np.concatenate([free[:head], rng.permutation(np.concatenate([free[head:], its_batches]))])
        table[order, place] = np.arange(start, end)
        last = labels[end - 1]
        if last != continued:
            tail = _run_length(labels[start:end][::-1])
            continued, its_batches = last, order[batches - tail :]
    return table


def _run_length(labels: np.ndarray) -> int:
    """Return how many labels at the start are equal to the first."""
    other = labels != labels[0]
    return int(other.argmax()) if other.any() else len(labels)


def _replace_empty_and_repeated(drawn: np.ndarray, rows: int, rng: np.random.Generator) -> None:
    """Replace, in place, the empty places and the repeated rows of each batch by random rows that are new to it."""
    pending = np.arange(len(drawn))
    while len(pending):
        batches = drawn[pending]
        order = np.argsort(batches, axis=1, kind="stable")
        ranked = np.take_along_axis(batches, order, axis=1)
        replaced = np.zeros(batches.shape, dtype=bool)
        np.put_along_axis(replaced, order[:, 1:], ranked[:, 1:] == ranked[:, :-1], axis=1)
        replaced |= batches == _EMPTY
        batches[replaced] = rng.integers(0, rows, int(replaced.sum()))
        drawn[pending] = batches
        pending = pending[replaced.any(axis=1)]
