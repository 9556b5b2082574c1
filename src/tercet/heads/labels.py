"""The labels of the rows that a head is trained on: what a batch, a fold, a loss and a score need of them.

RowLabels     one label per row
SharedLabels  several labels per row: rows that share a label are positives
NestedLabels  labels with levels: at each level, rows with the same ancestor are positives
row_labels    makes one of them of labels in any container; `labels_from_ids` makes such labels of label ids
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from torch import Tensor

from tercet._labels import plain_labels, warn_of_forms
from tercet._multi_labels import number_label_sets, split_set
from tercet._nested_labels import margins_from_finest, normalize_nested, path_of
from tercet._separators import check_separator
from tercet.data.labels.set_counts import num_sharing, rarest_labels
from tercet.data.sampling.multi_label_sampler import SharedLabelSampler
from tercet.data.sampling.sampler import GroupByLabelSampler
from tercet.errors import EmbeddingError
from tercet.evaluation.relevance import are_sets
from tercet.losses import functional, miners
from tercet.losses.functional.nested import (
    WEIGHT_PER_LEVEL_WITH_HEAD,
    levels_of,
    loss_of_levels,
    weights_of_levels,
)
from tercet.losses.relations import LabelTree, SharedLabel

# Labels are few if two random rows have the same one with a higher probability than with this number of equally
# frequent labels.
_FEW_LABELS = 8
# The character between the labels in the name of a set: no label contains it.
_SEPARATOR = "\x1f"

# Maps embeddings `(batch, dim)` and their label ids `(batch,)` to the scalar loss.
LossOfRows = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class RowLabels:
    """One label per row, of n rows.

    Attributes:
        ids: the label ids `(n,)`, from 0.
    """

    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> Self:
        """Return the labels of some rows. Label ids do not change."""
        return replace(self, ids=self.ids[rows])

    def have_triplet(self) -> bool:
        """Return whether one of the rows has a positive and a negative."""
        positives = self.num_positives(self)
        return bool(((positives > 1) & (positives < len(self))).any())

    def strata(self) -> np.ndarray:
        """Return the number of the label `(n,)` by which rows are dealt to folds and sampled."""
        return self.ids

    def counts(self) -> np.ndarray:
        """Return the number of rows of each label that occurs."""
        counts = np.bincount(self.ids)
        return counts[counts > 0]

    def are_few(self) -> bool:
        """Return whether a row has many positives in a batch; see `default_batch_size`."""
        fractions = self.counts() / len(self)
        return bool((fractions**2).sum() > 1 / _FEW_LABELS)

    def num_positives(self, reference: "RowLabels") -> np.ndarray:
        """Return the number of rows of `reference` that are positives of each row `(n,)`, itself included."""
        ids, counts = np.unique(reference.ids, return_counts=True)
        by_id = np.zeros(max(self.ids.max(initial=0), ids.max(initial=0)) + 1, dtype=np.int64)
        by_id[ids] = counts
        positives: np.ndarray = by_id[self.ids]
        return positives

    def sampler(self, batch_size: int, samples_per_label: int, seed: int) -> GroupByLabelSampler:
        """Return a sampler of P×K batches of the rows."""
        return GroupByLabelSampler(self.ids, batch_size, samples_per_label, seed)

    def loss(self, margin: float, *, jaccard_weights: bool = False) -> LossOfRows:
        """Return the semi-hard triplet loss. `jaccard_weights` is for several labels."""
        return lambda embeddings, ids: functional.batch_semi_hard_triplet_loss(embeddings, ids, margin=margin)

    def relevance_labels(self, reference: "RowLabels") -> list[tuple[Any, Any]]:
        """Return the labels of both sets of rows, one pair per level. Rows with equal labels are relevant."""
        return [(self.ids, reference.ids)]


@dataclass(frozen=True, eq=False)
class SharedLabels(RowLabels):
    """Several labels per row, of n rows. `ids` are those of sets of labels.

    Attributes:
        names: the name of each set: its labels, joined by the separator.
    """

    names: list[str]

    @cached_property
    def sets(self) -> list[list[int]]:
        """The numbers of the labels of each set."""
        return number_label_sets(self.names, _SEPARATOR)[0]

    def strata(self) -> np.ndarray:
        """Return the number of the label with the fewest rows; see `RowLabels.strata`."""
        counts = np.bincount(self.ids, minlength=len(self.names))
        strata: np.ndarray = rarest_labels(self.names, counts, _SEPARATOR)[self.ids]
        return strata

    def counts(self) -> np.ndarray:
        """Return the number of rows of each label; see `RowLabels.counts`."""
        counts = np.bincount([label for number in self.ids.tolist() for label in self.sets[number]])
        return counts[counts > 0]

    def are_few(self) -> bool:
        """Return False: that smaller batches are as good was measured with one label per row."""
        return False

    def num_positives(self, reference: RowLabels) -> np.ndarray:
        """Return the number of rows of `reference` that share a label; see `RowLabels.num_positives`."""
        ids, counts = np.unique(reference.ids, return_counts=True)
        others = {self.names[number]: count for number, count in zip(ids.tolist(), counts.tolist(), strict=True)}
        own, number = np.unique(self.ids, return_inverse=True)
        positives: np.ndarray = num_sharing([self.names[set_id] for set_id in own], others, _SEPARATOR)[number]
        return positives

    def sampler(self, batch_size: int, samples_per_label: int, seed: int) -> GroupByLabelSampler:
        """Return a sampler in whose batches K rows share a label."""
        return SharedLabelSampler(self.ids, self.sets, batch_size, samples_per_label, seed)

    def loss(self, margin: float, *, jaccard_weights: bool = False) -> LossOfRows:
        """Return the semi-hard triplet loss in which positives share a label."""
        relation, miner = SharedLabel(self.sets, weighted=jaccard_weights), miners.semi_hard(margin)
        return lambda embeddings, ids: functional.loss_with_miner(embeddings, ids, miner, relation=relation)[0]

    def relevance_labels(self, reference: RowLabels) -> list[tuple[Any, Any]]:
        """Return the labels of each row of both; see `RowLabels.relevance_labels`."""
        own, others = ([self.sets[number] for number in part.ids.tolist()] for part in (self, reference))
        return [(own, others)]


@dataclass(frozen=True, eq=False)
class NestedLabels(RowLabels):
    """The labels of n rows with several levels, such as "billing/refund". `ids` are those of complete labels.

    Attributes:
        paths: the path of each label.
    """

    paths: Sequence[tuple[Hashable, ...]]

    @cached_property
    def tree(self) -> LabelTree:
        """The ancestors of each label."""
        return LabelTree(self.paths)

    def are_few(self) -> bool:
        """Return whether the ancestors are few at the coarsest level with more than one; see `RowLabels.are_few`."""
        levels = self.relevance_labels(self)
        return bool(levels) and RowLabels(levels[0][0]).are_few()

    def loss(self, margin: float, *, jaccard_weights: bool = False) -> LossOfRows:
        """Return the weighted sum over the levels; `margin` is that of the finest level, see `HeadSettings`."""
        depth = len(self.tree)
        margins = margins_from_finest(margin, depth)
        weights = weights_of_levels(depth, WEIGHT_PER_LEVEL_WITH_HEAD)
        levels = levels_of(self.tree, [miners.semi_hard(one) for one in margins], weights)
        return lambda embeddings, ids: loss_of_levels(embeddings, ids, levels)[0]

    def relevance_labels(self, reference: RowLabels) -> list[tuple[Any, Any]]:
        """Return the ancestors at each level, without levels at which all rows of `reference` have the same one."""
        parts = [(ancestors[self.ids], ancestors[reference.ids]) for ancestors in self.tree.ancestors.numpy()]
        return [part for part in parts if (part[1] != part[1][0]).any()]


def row_labels(labels: Any, label_levels: str | None = None) -> RowLabels:
    """Number labels: all integers, all strings, or a list or a set of labels of each row.

    Args:
        labels: the labels of n rows. Labels that were numbered before are returned unchanged.
        label_levels: the separator of the levels of nested labels; None for labels without levels.

    Raises:
        EmbeddingError: a label is missing or has another type, or a row has an empty list.
        DataError: a level is empty, or no label has several levels.
    """
    check_separator(label_levels, "label_levels")
    if isinstance(labels, RowLabels):
        return labels
    if are_sets(labels):
        return _shared(labels, label_levels)
    values = plain_labels(labels)
    warn_of_forms(values, "labels")
    if label_levels is None:
        return RowLabels(np.unique(np.asarray(values), return_inverse=True)[1])
    names = normalize_nested([str(value) for value in values], label_levels, "labels")
    known, ids = np.unique(np.asarray(names), return_inverse=True)
    return NestedLabels(ids, [path_of(name, label_levels) for name in known.tolist()])


def labels_from_ids(
    label_ids: np.ndarray, names: Sequence[str] | None, multi_label: str | None, label_levels: str | None
) -> Any:
    """Return the labels of rows as `row_labels` takes them, from label ids `(n,)` and the name of each id.

    Only several labels and levels need the names. `multi_label` is the separator of several labels.
    """
    if names is None or (multi_label is None and label_levels is None):
        return label_ids
    labels = [names[label_id] for label_id in label_ids]
    return labels if multi_label is None else [split_set(name, multi_label) for name in labels]


def _shared(labels: Sequence[Any], label_levels: str | None) -> SharedLabels:
    if label_levels is not None:
        raise EmbeddingError("label_levels is for one label per row, but labels has lists; pass only one of them")
    rows = [frozenset(row) for row in labels]
    if frozenset() in rows:
        raise EmbeddingError(f"row {rows.index(frozenset())} of labels has no label; leave out the rows without one")
    single = list(dict.fromkeys(label for row in rows for label in row))
    numbers = {label: str(number) for number, label in enumerate(sorted(plain_labels(single)))}
    names = [_SEPARATOR.join(sorted(numbers[label] for label in row)) for row in rows]
    known, ids = np.unique(np.asarray(names), return_inverse=True)
    return SharedLabels(ids, known.tolist())
