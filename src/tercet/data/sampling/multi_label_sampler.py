"""Sample batches of rows with several labels: a batch draws P labels, then K rows that have each.

Each epoch assigns every row to one of its labels. With the labels that the rows are assigned to, a batch is a P×K batch
of `GroupByLabelSampler`:

1. Draw one of its labels for each row, once. A label is more likely the fewer rows have it, so that a label of most
   rows does not fill the batches. A label with one row is chosen only if the row has no other.
2. If fewer than K rows are assigned to a label, add other rows that have it, so that K rows of it meet.
3. In each epoch, exchange the labels of random pairs of rows that both have both labels. The number of rows of each
   label stays the same, and with it the number of batches.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tercet.data.sampling.groups import EMPTY
from tercet.data.sampling.label_space import check_label_means, compact
from tercet.data.sampling.sampler import GroupByLabelSampler
from tercet.errors import DataError

# The passes over all rows that exchange labels. With 3,000 rows of one to three of 10 (or 30) labels, 58 % (52 %) of
# the rows with several labels have another label than in the first draw after six passes, and not more after 24.
_EXCHANGES = 6
_FIRST_DRAW = 2**32  # No epoch has this number.


class SharedLabelSampler(GroupByLabelSampler):
    """A sampler that yields the rows of P×K batches, in which K rows have a label in common.

    Every epoch contains every row; a row may occur more than once, but not in one batch. The order depends only on the
    arguments, the epoch and the label means. A batch has a positive pair. It also has a negative pair, unless all its
    rows share a label, as may happen if most rows have this label.

    Args:
        set_ids: `(num_rows,)`, the id of the set of labels of each row.
        label_sets: the labels of each set, as numbers from 0; the position is the id of the set.
        batch_size: as for `GroupByLabelSampler`, and so are `samples_per_label`, `seed` and `neighbor_labels`.
        samples_per_label: K.
        seed: the seed of the random order.
        neighbor_labels: the fraction of the P labels of a batch that are near each other.

    Raises:
        DataError: as for `GroupByLabelSampler`, or the set of a row is empty.

    Example:
        >>> sampler = SharedLabelSampler([0, 1, 2, 0], [[0], [0, 1], [2]], batch_size=4, samples_per_label=2)
        >>> sorted(sampler)
        [0, 1, 2, 3]
    """

    def __init__(
        self,
        set_ids: Any,
        label_sets: Sequence[Sequence[int]],
        batch_size: int,
        samples_per_label: int = 4,
        seed: int = 0,
        neighbor_labels: float = 0.0,
    ) -> None:
        set_numbers, self._set_of_row = np.unique(np.asarray(set_ids), return_inverse=True)
        sets = [np.unique(label_sets[number]) for number in set_numbers.tolist()]
        empty = np.flatnonzero([not len(labels) for labels in sets])
        if len(empty):
            row = int(np.argmax(self._set_of_row == empty[0]))
            raise DataError(
                f"row {row} has no label: its set, label_sets[{set_numbers[empty[0]]}], is empty; leave out the rows "
                "without a label"
            )
        # Pairs of a row and one of its labels, in the order of the rows. Labels are numbered without gaps.
        self._sizes = np.array([len(labels) for labels in sets], dtype=np.int64)[self._set_of_row]
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._row = np.repeat(np.arange(len(self._sizes)), self._sizes)
        labels = np.concatenate([np.zeros(0, dtype=np.int64), *(sets[number] for number in self._set_of_row)])
        self._label, counts = compact(labels)
        self._num_sets = len(sets)
        self._assigned = self._draw_labels(counts, np.random.default_rng([seed, _FIRST_DRAW]))
        assigned = np.bincount(self._assigned, minlength=len(counts))
        self._num_added = np.maximum(np.minimum(samples_per_label, counts) - assigned, 0)
        every = np.arange(len(counts))
        of_entries = np.concatenate([np.repeat(every, assigned), np.repeat(every, self._num_added)])
        super().__init__(of_entries, batch_size, samples_per_label, seed, neighbor_labels)

    @property
    def num_rows(self) -> int:
        """The number of rows of the data."""
        return len(self._set_of_row)

    def set_label_means(self, means: Any) -> None:
        """Set the mean embedding of each set of labels `(num_sets, dim)`; see `GroupByLabelSampler`.

        There is one row for each set that a row of the data has, in the order of the set ids. The mean of a label is
        the sum of those of its sets.
        """
        if means is None:
            super().set_label_means(None)
            return
        of_sets = check_label_means(means, self._num_sets, of_sets=True)
        of_labels = np.zeros((len(self.counts), of_sets.shape[1]), dtype=np.float32)
        pairs = np.unique(np.stack([self._set_of_row[self._row], self._label]), axis=1)
        np.add.at(of_labels, pairs[1], of_sets[pairs[0]])
        super().set_label_means(of_labels)

    def _rows(self, entries: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Replace the numbers of entries by those of rows: those of the rows assigned to each label, then the added."""
        assigned = self._exchange_labels(rng)
        free = rng.permutation(np.flatnonzero(assigned[self._row] != self._label))
        free = free[np.argsort(self._label[free], kind="stable")]
        label = self._label[free]
        place = np.arange(len(free)) - np.searchsorted(label, label)  # among the pairs of the label
        added = self._row[free[place < self._num_added[label]]]
        row_of_entry = np.concatenate([np.argsort(assigned, kind="stable"), added])
        rows: np.ndarray = np.where(entries == EMPTY, EMPTY, row_of_entry[entries])
        return rows

    def _draw_labels(self, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a random label of each row `(num_rows,)`, of labels with few rows more often."""
        if not len(self._sizes):
            return self._label
        weights = np.where(counts > 1, 1 / counts, 1e-9)[self._label]
        # The largest of these has the probability of its weight (Efraimidis and Spirakis 2006).
        keys = np.log(rng.random(len(weights))) / weights
        largest = np.repeat(np.maximum.reduceat(keys, self._starts), self._sizes)
        return self._label[np.flatnonzero(keys == largest)]

    def _exchange_labels(self, rng: np.random.Generator) -> np.ndarray:
        """Return the label of each row in an epoch `(num_rows,)`: as many rows of each label as in `_assigned`."""
        assigned = self._assigned.copy()
        for _ in range(_EXCHANGES):
            wanted = self._label[self._starts + rng.integers(0, self._sizes)]
            rows = rng.permutation(np.flatnonzero(wanted != assigned))
            low, high = np.minimum(assigned, wanted)[rows], np.maximum(assigned, wanted)[rows]
            pair, upward = low * len(self.counts) + high, assigned[rows] == low
            # The number of each row among those that need the same exchange; rows with equal numbers exchange labels.
            exchange = 2 * pair + upward
            order = np.argsort(exchange, kind="stable")
            place = np.empty(len(rows), dtype=np.int64)
            place[order] = np.arange(len(rows)) - np.searchsorted(exchange[order], exchange[order])
            number = np.unique(pair, return_inverse=True)[1]
            most = np.bincount(number, weights=upward)
            fewest = np.minimum(most, np.bincount(number) - most)[number]
            moved = rows[place < fewest]
            assigned[moved] = wanted[moved]
        return assigned
