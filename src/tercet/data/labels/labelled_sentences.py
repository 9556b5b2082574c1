"""Sentences with the ids and the names of their labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tercet.data.labels.set_counts import rarest_labels
from tercet.data.tables.column_values import take_rows


@dataclass(frozen=True)
class LabelledSentences:
    """Sentences and their labels; the label of sentence `i` is `label_names[label_ids[i]]`.

    Args:
        sentences: the texts; a `TextColumn` if they come from a file.
        label_ids: int64 `(num_sentences,)`, the index of each sentence's label in `label_names`.
        label_names: the name of each label; the position is the id.
        rows: int64 `(num_sentences,)`, the number of each sentence's row in the file or data set that it comes from,
            from 0; None if it comes from none.
        columns: the names of the columns of the sentences and the labels there; empty if they come from none.
        multi_label: the separator of the labels in `label_names`, if a sentence has several; None if it has one.
        num_source_rows: the number of rows of the file or data set, with those that were left out; None if the
            sentences come from none.

    Example:
        >>> from tercet.data.labels.numbering import number_labels
        >>> label_ids, label_names = number_labels(["sport", "food", "sport"], "my data")
        >>> data = LabelledSentences(["the team won", "a warm soup", "a late goal"], label_ids, label_names)
        >>> data.label_ids.tolist(), data.label_names
        ([1, 0, 1], ['food', 'sport'])
    """

    sentences: Sequence[str]
    label_ids: np.ndarray
    label_names: list[str]
    rows: np.ndarray | None = None
    columns: tuple[str, ...] = ()
    multi_label: str | None = None
    num_source_rows: int | None = None

    def __len__(self) -> int:
        return len(self.sentences)

    def take(self, rows: Sequence[int] | np.ndarray) -> "LabelledSentences":
        """Return the given rows, in the given order. Label ids and names do not change."""
        sentences = take_rows(self.sentences, rows)
        of_rows = None if self.rows is None else self.rows[rows]
        return replace(self, sentences=sentences, label_ids=self.label_ids[rows], rows=of_rows)

    @property
    def row_numbers(self) -> np.ndarray:
        """The number of each sentence's row `(num_sentences,)`, from 0; without `rows`, that in these sentences."""
        return np.arange(len(self)) if self.rows is None else self.rows

    def labels(self) -> list[str]:
        """Return the label name of each sentence."""
        return [self.label_names[label_id] for label_id in self.label_ids]

    def strata(self) -> np.ndarray:
        """Return the number of the label of each sentence `(num_sentences,)`, by which rows are split.

        Of several labels, it is the one with the fewest sentences.
        """
        if self.multi_label is None:
            return self.label_ids
        counts = np.bincount(self.label_ids, minlength=len(self.label_names))
        strata: np.ndarray = rarest_labels(self.label_names, counts, self.multi_label)[self.label_ids]
        return strata
