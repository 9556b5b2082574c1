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
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from tercet.data.sampling.assignment import deal_groups, replace_empty_and_repeated
from tercet.data.sampling.groups import draw_groups, fill_places, plan_groups
from tercet.data.sampling.label_space import check_label_means, compact, sibling_codes
from tercet.data.sampling.neighbor_labels import move_neighbours_together
from tercet.errors import DataError, counted

# The length of the code of the ancestors beside a mean of length 1. With 2, the cosine of two siblings is at least 0.6,
# and that of labels without a common ancestor at most 0.2, so siblings come first.
_SIBLING_WEIGHT = 2.0


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
            labels; or its ancestors at several levels, the coarsest first, `(levels, num_labels)`. The labels that
            `neighbor_labels` puts together are then siblings first, then those with a common ancestor, also before the
            first call of `set_label_means`. None for labels without levels.

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
        check_sizes(batch_size, samples_per_label)
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
        self._siblings = None if parents is None else sibling_codes(parents, len(counts))
        self._plan = plan_groups(counts, batch_size // samples_per_label, samples_per_label)

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
            f"an epoch has {counted(self._plan.batches, 'batch', 'batches')} of {self.batch_size} sentences, in groups "
            f"of {k} with the same label{self._small_labels()}. It contains each of the {rows:,} sentences"
            + (f", and repeats {drawn - rows:,} of them to fill the batches" if drawn > rows else " once")
            + (f"; {self._num_near()} of the labels of a batch are near each other" if self.neighbor_labels else "")
        )

    def _small_labels(self) -> str:
        """Return the number of labels that cannot fill a group, for `describe`; "" if there is none."""
        small = int((self.counts < self.samples_per_label).sum())
        verbs = "has fewer and shares" if small == 1 else "have fewer and share"
        return f" ({small:,} of {len(self.counts):,} labels {verbs} groups)" if small else ""

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
        groups, label_of_group = draw_groups(self.label_ids, self.counts, self.samples_per_label, rng)
        chosen = fill_places(label_of_group, self.counts, self._plan, self.batch_size // self.samples_per_label, rng)
        table = deal_groups(label_of_group[chosen], self._plan.batches, rng)
        means = self._means_with_siblings()
        if self.neighbor_labels and means is not None:
            labels = np.where(chosen < self._plan.pair_groups, label_of_group[chosen].astype(np.int64), -1)[table]
            table = table.ravel()[move_neighbours_together(labels, means, self._num_near(), rng)]
        drawn = self._rows(groups[chosen[table]].reshape(self._plan.batches, self.batch_size), rng)
        replace_empty_and_repeated(drawn, rows, rng)
        return drawn


def check_sizes(batch_size: int, samples_per_label: int) -> None:
    """Raise `DataError` unless both give a P×K batch with at least two labels."""
    if samples_per_label < 2:
        raise DataError(f"samples_per_label must be at least 2, got {samples_per_label}: one sentence has no positive")
    if batch_size % samples_per_label or batch_size < 2 * samples_per_label:
        labels = max(2, round(batch_size / samples_per_label))
        raise DataError(
            f"a batch of {batch_size} cannot hold labels with {samples_per_label} sentences each: the batch size must "
            f"be a multiple of samples_per_label and at least twice as large, for example {labels * samples_per_label}"
        )
