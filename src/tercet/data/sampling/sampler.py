"""Sample P×K batches: P labels with K sentences each, so that most anchors have positives and negatives.

An epoch is drawn with array operations, without a Python object per row:

1. Shuffle the sentences of each label and divide them into groups of K. If the last group of a label has fewer than K
   sentences, add other sentences of the label. If a label has n < K sentences in total, it shares a group with other
   labels that have n sentences. For example, K labels with one sentence each form a group; its sentences serve as
   negatives.
2. The epoch is a table with one row per batch and P places per row, and each place takes one group. Choose the number
   of batches so that the largest label never fills a batch alone and every batch gets a group with a positive pair. If
   there are more places than groups, repeat groups, those of the largest label only if there are no others with a
   positive pair. Take the labels in turn, so that small labels are repeated as often as large labels.
3. Put the groups of each label next to each other, and assign them to the table: first to the first place of all
   batches, then to the second place, and so on. Shuffle the batches for each place. If the groups of a label continue
   at the next place, use batches that do not contain the label yet. So a label is twice in a batch only if it has more
   groups than there are batches.
4. With `neighbor_labels`, exchange groups between batches, so that this fraction of the labels of each batch are near
   each other (see `tercet.data.sampling.neighbor_labels`). Only groups with a positive pair are exchanged, each for
   another one, and no label gets twice into a batch. So every batch keeps its positive pair and its negatives.
5. A group of small labels may have fewer than K sentences. Fill its empty positions with random sentences, and replace
   sentences that are twice in a batch by random sentences.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from tercet.data.sampling.neighbor_labels import move_neighbours_together
from tercet.errors import DataError

EMPTY = -1
# The length of the code of a parent beside a mean of length 1. With 2, the cosine of two siblings is at least 0.6, and
# that of other labels at most 0.2, so siblings come first.
_SIBLING_WEIGHT = 2.0


@dataclass(frozen=True)
class _Plan:
    """The numbers of batches and of groups, which are the same in every epoch.

    Attributes:
        batches: the number of batches.
        groups: the number of groups before any is repeated.
        pair_groups: the number of groups that contain two sentences with the same label.
        singleton_groups: the number of groups of labels with one sentence each.
    """

    batches: int
    groups: int
    pair_groups: int
    singleton_groups: int


class GroupByLabelSampler(Sampler[int]):
    """A sampler that yields row numbers: the rows of the first P×K batch, then those of the second, and so on.

    Every epoch contains every row, and may contain a row more than once. Every batch contains a triplet. The order
    depends only on the arguments, the epoch and the label means. If the number of rows is at most `batch_size`, the
    epoch is one batch with all rows.

    Args:
        labels: `(num_rows,)`, the label of each row.
        batch_size: the number of rows per batch, P × K, with P ≥ 2.
        samples_per_label: K, the number of rows per label in a batch, at least 2.
        seed: the seed of the random order.
        neighbor_labels: the fraction of the P labels of a batch that are near each other in the space of the
            embeddings, at least 2 of them; the others are random. Before the first call of `set_label_means`, and with
            0, all labels are random.

        parents: for nested labels, the parent of each label `(num_labels,)` as a number, in the sorted order of the
            labels. The labels that `neighbor_labels` puts together are then siblings first, also before the first call
            of `set_label_means`. None for labels without levels.

    Raises:
        DataError: no batch can contain a triplet, `samples_per_label` is below 2, `batch_size` is not a multiple of
            it or is less than twice as large, or `neighbor_labels` is not between 0 and 1.

    Example:
        >>> sampler = GroupByLabelSampler([0, 0, 1, 1, 2, 2], batch_size=4, samples_per_label=2)
        >>> sampler.batches().shape
        (2, 4)
    """

    def __init__(
        self,
        labels: Any,
        batch_size: int,
        samples_per_label: int = 4,
        seed: int = 0,
        neighbor_labels: float = 0.0,
        parents: Any = None,
    ) -> None:
        _check_sizes(batch_size, samples_per_label)
        if not 0 <= neighbor_labels <= 1:
            raise DataError(f"neighbor_labels must be at least 0 and at most 1, got {neighbor_labels}")
        label_ids, counts = compact(np.asarray(labels))
        if len(counts) < 2 or counts.max() < 2:
            what = "one label only" if len(counts) == 1 else "no label with two sentences" if len(counts) else "no rows"
            raise DataError(
                f"no batch can hold a triplet: the data have {what}; a triplet needs two sentences with one label "
                "and one with another label"
            )
        # Use the smallest integer type, because sorting by label takes most of the time of `batches`.
        self.label_ids = label_ids.astype(np.min_scalar_type(len(counts)))
        self.counts = counts
        self.batch_size, self.samples_per_label, self.seed = batch_size, samples_per_label, seed
        self.epoch, self.neighbor_labels = 0, neighbor_labels
        self._label_means: np.ndarray | None = None
        self._siblings = None if parents is None else _sibling_codes(parents, len(counts))
        self._plan = _plan(counts, batch_size // samples_per_label, samples_per_label)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines the order of the next iteration."""
        self.epoch = epoch

    def set_label_means(self, means: Any) -> None:
        """Set the mean embedding of each label, for the batches of `neighbor_labels`. Call it before each epoch.

        The norm of a mean does not matter. Pass the same means in every process, and when an epoch is resumed.

        Args:
            means: `(num_labels, dim)`, in the sorted order of the labels; None for random batches. A label whose mean
                is zero is only among the random labels of a batch.

        Raises:
            DataError: the means have another number of rows than there are labels, or are not finite.
        """
        self._label_means = None if means is None else check_label_means(means, len(self.counts))

    @property
    def num_rows(self) -> int:
        """The number of rows of the data."""
        return len(self.label_ids)

    def __len__(self) -> int:
        rows = self.num_rows
        return rows if rows <= self.batch_size else self._plan.batches * self.batch_size

    def __iter__(self) -> Iterator[int]:
        for batch in self.batches():
            yield from batch.tolist()

    def describe(self) -> str:
        """Describe an epoch in one sentence, for the log."""
        rows, drawn, k = self.num_rows, len(self), self.samples_per_label
        if rows <= self.batch_size:
            return f"an epoch is one batch with all {rows:,} sentences"
        return (
            f"an epoch has {self._plan.batches:,} batches of {self.batch_size} sentences, in groups of {k} with the "
            f"same label. It contains each of the {rows:,} sentences"
            + (f", and repeats {drawn - rows:,} of them to fill the batches" if drawn > rows else " once")
            + (f"; {self._num_near()} of the labels of a batch are near each other" if self.neighbor_labels else "")
        )

    def _rows(self, entries: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the rows of the entries that were drawn.

        A subclass may number entries that are not rows; it maps them to rows here.
        """
        return entries

    def _means_with_siblings(self) -> np.ndarray | None:
        """Return rows whose directions are near for siblings, and then for labels with near means; None for random."""
        means = self._label_means
        if self._siblings is None or means is None:
            return self._siblings if means is None else means
        norms = np.linalg.norm(means, axis=1, keepdims=True)
        return np.hstack([_SIBLING_WEIGHT * self._siblings, means / np.where(norms > 0, norms, 1)])

    def _num_near(self) -> int:
        """Return the number of groups of a batch whose labels are near each other."""
        return max(2, round(self.neighbor_labels * (self.batch_size // self.samples_per_label)))

    def batches(self) -> np.ndarray:
        """Return the row numbers of the epoch, `(num_batches, batch_size)`. Each row of the array is one batch.

        If there are at most `batch_size` rows, the result is one batch `(1, num_rows)`.
        """
        rng = np.random.default_rng([self.seed, self.epoch])
        rows = self.num_rows
        if rows <= self.batch_size:
            return rng.permutation(rows).reshape(1, -1)
        groups, label_of_group = _groups(self.label_ids, self.counts, self.samples_per_label, rng)
        chosen = _fill_up(label_of_group, self.counts, self._plan, self.batch_size // self.samples_per_label, rng)
        table = _deal(label_of_group[chosen], self._plan.batches, rng)
        means = self._means_with_siblings()
        if self.neighbor_labels and means is not None:
            labels = np.where(chosen < self._plan.pair_groups, label_of_group[chosen].astype(np.int64), -1)[table]
            table = table.ravel()[move_neighbours_together(labels, means, self._num_near(), rng)]
        drawn = self._rows(groups[chosen[table]].reshape(self._plan.batches, self.batch_size), rng)
        _replace_empty_and_repeated(drawn, rows, rng)
        return drawn


def check_label_means(means: Any, num_labels: int, *, of_sets: bool = False) -> np.ndarray:
    """Return the mean embeddings of the labels, or of the sets of labels, as float32 `(num_labels, dim)`.

    Raises:
        DataError: the shape is another, or a value is NaN or infinite.
    """
    values = np.asarray(means, dtype=np.float32)
    if values.ndim != 2 or len(values) != num_labels:
        each = "set of labels in the order of the set ids" if of_sets else "label in sorted order"
        raise DataError(
            f"the label means must have the shape ({num_labels}, dim), one row for each {each}, got {values.shape}"
        )
    broken = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(broken):
        what = "set" if of_sets else "label"
        raise DataError(f"the mean of {what} number {broken[0]}, counted from 0, is NaN or infinite")
    return values


def compact(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the labels from 0 in sorted order. Return the ids `(num_rows,)`, and the number of rows of each id.

    If the labels are already such ids, return them unchanged.
    """
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


def _sibling_codes(parents: Any, num_labels: int) -> np.ndarray:
    """Return float32 `(num_labels, num_parents)` with equal rows for siblings, and zeros for an only child."""
    _, number, counts = np.unique(np.asarray(parents), return_inverse=True, return_counts=True)
    if len(number) != num_labels:
        raise DataError(f"parents must have one number for each of the {num_labels} labels, got {len(number)}")
    codes = np.eye(len(counts), dtype=np.float32)[number]
    codes[counts[number] == 1] = 0
    return codes


def _check_sizes(batch_size: int, samples_per_label: int) -> None:
    if samples_per_label < 2:
        raise DataError(f"samples_per_label must be at least 2, got {samples_per_label}: one sentence has no positive")
    if batch_size % samples_per_label or batch_size < 2 * samples_per_label:
        labels = max(2, round(batch_size / samples_per_label))
        raise DataError(
            f"a batch of {batch_size} cannot hold labels with {samples_per_label} sentences each: the batch size must "
            f"be a multiple of samples_per_label and at least twice as large, for example {labels * samples_per_label}"
        )


def _plan(counts: np.ndarray, labels_per_batch: int, k: int) -> _Plan:
    full = counts[counts >= k]
    pair_groups = int((-(-full // k)).sum())
    # Only sizes that occur, because k may be far larger than any label.
    for size, labels in zip(*np.unique(counts[(counts > 1) & (counts < k)], return_counts=True), strict=True):
        pair_groups += -(-int(labels) // (k // int(size)))
    singleton_groups = -(-int((counts == 1).sum()) // k)
    groups = pair_groups + singleton_groups
    largest = int(-(-counts.max() // k)) if counts.max() >= k else 1
    batches = max(
        -(-groups // labels_per_batch),
        -(-largest // (labels_per_batch - 1)),  # In each batch, one place is left for another label than the largest.
        -(-singleton_groups // (labels_per_batch - 1)),  # In each batch, one place is left for a positive pair.
    )
    return _Plan(batches, groups, pair_groups, singleton_groups)


def _groups(
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


def _fill_up(
    label_of_group: np.ndarray, counts: np.ndarray, plan: _Plan, labels_per_batch: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the groups of an epoch in the order in which `_deal` assigns them. Repeat groups to fill every place.

    Groups with a positive pair are first, at least one per batch. Groups of labels with one sentence are last. Groups
    of the largest label are repeated only if no other group has a positive pair.
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
    # `_deal` puts consecutive groups into different batches, so keep the groups of each label consecutive.
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


def _deal(labels: np.ndarray, batches: int, rng: np.random.Generator) -> np.ndarray:
    """Assign groups to batches.

    Args:
        labels: `(num_groups,)`, the label of each group. Groups with a positive pair and the same label are
            consecutive.
        batches: the number of batches. The number of groups must be a multiple of it.
        rng: the random number generator.

    Returns:
        `(num_batches, num_places)`, the index in `labels` of the group at each place.
    """
    places = len(labels) // batches
    table = np.empty((batches, places), dtype=np.int64)
    # The label of the last group at the previous place, and the batches that contain this label.
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
    """Return the number of labels at the start that are equal to the first label."""
    other = labels != labels[0]
    return int(other.argmax()) if other.any() else len(labels)


def _replace_empty_and_repeated(drawn: np.ndarray, rows: int, rng: np.random.Generator) -> None:
    """Modify `drawn` in place: replace empty positions and repeated rows of a batch by random rows not yet in it."""
    pending = np.arange(len(drawn))
    while len(pending):
        batches = drawn[pending]
        order = np.argsort(batches, axis=1, kind="stable")
        ranked = np.take_along_axis(batches, order, axis=1)
        replaced = np.zeros(batches.shape, dtype=bool)
        np.put_along_axis(replaced, order[:, 1:], ranked[:, 1:] == ranked[:, :-1], axis=1)
        replaced |= batches == EMPTY
        batches[replaced] = rng.integers(0, rows, int(replaced.sum()))
        drawn[pending] = batches
        pending = pending[replaced.any(axis=1)]
