"""Relations between anchors and candidates, which say what candidates are the positives of an anchor.

Every candidate that is neither a positive nor the anchor itself is a negative. The engine uses relations only through
the protocols `Relation` and `Grouping`, so distances and miners do not know which relation they serve:

- `SameLabel`: the label ids are equal. This is the relation of ordinary labels.
- `SameAncestor`: the labels have the same ancestor at one level of a tree of labels.
- `SharedLabel`: each id stands for a set of labels, and the sets have a label in common.

Label ids stay one integer per sentence in all three, so batches, processes and the cross-batch memory treat them alike.
The relation has the table of what an id stands for.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from tercet._jaccard import jaccard_overlap
from tercet.errors import EmbeddingError
from tercet.losses._engine.label_groups import LabelGroups, SelfColumns
from tercet.losses._engine.shared_label_groups import SharedLabelGroups

__all__ = ["SAME_LABEL", "Grouping", "LabelTree", "Relation", "SameAncestor", "SameLabel", "SharedLabel"]

# In the table of `SharedLabel`, the value behind the last label of a set.
_NO_LABEL = -1


class Grouping(Protocol):
    """The positives of those anchors of a batch that have a positive and a negative. See `LabelGroups`."""

    @property
    def anchor_index(self) -> Tensor | None:
        """The indices `(A,)` of the included anchors, or None."""

    @property
    def num_positives(self) -> Tensor:
        """The number `(A,)` of positives of each anchor."""

    @property
    def num_negatives(self) -> Tensor:
        """The number `(A,)` of negatives of each anchor."""

    @property
    def num_positive_pairs(self) -> int:
        """The number of pairs of an anchor and one of its positives."""

    @property
    def num_triplets(self) -> int:
        """The number of triplets: of each anchor, the positives times the negatives."""

    @property
    def num_negative_pairs(self) -> int:
        """The number of pairs of an anchor and one of its negatives."""

    def __len__(self) -> int: ...

    def to(self, device: torch.device) -> "Grouping":
        """Return the grouping on a device."""

    def take(self, index: Tensor) -> "Grouping":
        """Return the grouping of some of the anchors; `index` holds their positions in this grouping."""

    def self_columns(self, rows: slice) -> SelfColumns:
        """Return the columns of the given m anchors in a block of their distances to all candidates."""

    def positives(self, rows: slice) -> tuple[Tensor, Tensor | None]:
        """Return the indices of the positives of the given m anchors `(m, P)`, and a mask of the padding or None.

        A padding entry repeats a positive, because the engine masks the distances at all these indices.
        """

    def positive_weights(self, rows: slice, candidate_index: Tensor) -> Tensor | None:
        """Return the factor of each positive in the loss `(m, P)`; None if all are 1."""


class Relation(Protocol):
    """A relation between anchors and candidates, as a function of their label ids."""

    def group(self, labels: Tensor, anchor_labels: Tensor | None = None, self_index: Tensor | None = None) -> Grouping:
        """Find the positives of each anchor; the arguments are those of `LabelGroups.from_labels`."""

    def positive(self, labels: Tensor, others: Tensor) -> Tensor:
        """Return whether each label of `labels` `(n,)` and each of `others` `(m,)` are a positive pair: bool `(n, m)`.

        A sentence is also paired with itself.
        """


class SameLabel:
    """The relation of ordinary labels: a positive has the label of the anchor."""

    def group(
        self, labels: Tensor, anchor_labels: Tensor | None = None, self_index: Tensor | None = None
    ) -> LabelGroups:
        """Find the positives of each anchor; see `Relation.group`."""
        return LabelGroups.from_labels(labels, anchor_labels, self_index)

    def positive(self, labels: Tensor, others: Tensor) -> Tensor:
        """Return whether each pair is a positive pair `(n, m)`; see `Relation.positive`."""
        return labels.unsqueeze(1) == others


SAME_LABEL = SameLabel()


class SameAncestor:
    """One level of nested labels: a positive has the ancestor of the anchor at this level.

    Args:
        ancestors: int64 `(num_labels,)`, the ancestor of each label id, as any number.
    """

    def __init__(self, ancestors: Tensor) -> None:
        self.ancestors = ancestors

    def group(
        self, labels: Tensor, anchor_labels: Tensor | None = None, self_index: Tensor | None = None
    ) -> LabelGroups:
        """Find the positives of each anchor; see `Relation.group`."""
        anchors = None if anchor_labels is None else self._of(anchor_labels)
        return LabelGroups.from_labels(self._of(labels), anchors, self_index)

    def positive(self, labels: Tensor, others: Tensor) -> Tensor:
        """Return whether each pair is a positive pair `(n, m)`; see `Relation.positive`."""
        return self._of(labels).unsqueeze(1) == self._of(others)

    def _of(self, labels: Tensor) -> Tensor:
        return _look_up(self.ancestors, labels)


class LabelTree:
    """Nested labels: the path of each label from the coarsest level to the finest, such as `("billing", "refund")`.

    Paths may have different lengths. A label without a finer level is its own label at all finer levels: with
    `("billing",)` and `("billing", "refund")`, both are positives at level 0 and negatives at level 1.

    Args:
        paths: the path of each label; the position is the label id.

    Attributes:
        ancestors: int64 `(levels, num_labels)`, the number of the ancestor of each label at each level.
        paths: the paths.

    Example:
        >>> LabelTree([("billing", "refund"), ("billing", "card"), ("account",)]).ancestors.tolist()
        [[0, 0, 1], [0, 1, 2]]
    """

    def __init__(self, paths: Sequence[Sequence[Hashable]]) -> None:
        self.paths = [tuple(path) for path in paths]
        if not all(self.paths):
            raise EmbeddingError("a nested label has an empty path; each label needs one level at least")
        num_levels = max(map(len, self.paths), default=1)
        rows = []
        for level in range(num_levels):
            prefixes = [path[: level + 1] for path in self.paths]
            number = {prefix: at for at, prefix in enumerate(dict.fromkeys(prefixes))}
            rows.append([number[prefix] for prefix in prefixes])
        self.ancestors = torch.tensor(rows, dtype=torch.int64)

    def __len__(self) -> int:
        """Return the number of levels."""
        return len(self.ancestors)

    def levels(self) -> list[SameAncestor]:
        """Return the relation of each level, the coarsest first."""
        return [SameAncestor(ancestors) for ancestors in self.ancestors]


class SharedLabel:
    """The relation of sentences with several labels: a positive shares a label with the anchor.

    Args:
        label_sets: the labels of each set, as numbers from 0; the position is the id of the set. An empty set has no
            positives, and is a negative of every sentence.
        weighted: whether the loss of a pair of an anchor and a positive is multiplied by their Jaccard overlap: the
            number of common labels divided by the number of labels that at least one of them has.

    Example:
        >>> import torch
        >>> relation = SharedLabel([[0], [0, 1], [2]])
        >>> relation.positive(torch.tensor([1]), torch.tensor([0, 2]))
        tensor([[ True, False]])
    """

    def __init__(self, label_sets: Sequence[Sequence[int]], *, weighted: bool = False) -> None:
        sets = [sorted(set(labels)) for labels in label_sets]
        self.table = torch.full((len(sets), max(1, *map(len, sets), 1)), _NO_LABEL)
        for row, labels in enumerate(sets):
            self.table[row, : len(labels)] = torch.tensor(labels, dtype=torch.int64)
        self.weighted = weighted

    def group(
        self, labels: Tensor, anchor_labels: Tensor | None = None, self_index: Tensor | None = None
    ) -> SharedLabelGroups:
        """Find the positives of each anchor; see `Relation.group`."""
        candidates, anchors = self.indicators(labels, labels if anchor_labels is None else anchor_labels)
        if anchor_labels is None or self_index is None:
            self_index = torch.arange(len(labels), device=labels.device)
        return SharedLabelGroups.from_indicators(candidates, anchors, self_index, weighted=self.weighted)

    def positive(self, labels: Tensor, others: Tensor) -> Tensor:
        """Return whether each pair is a positive pair `(n, m)`; see `Relation.positive`."""
        ours, theirs = self.indicators(labels, others)
        return ours @ theirs.T > 0

    def label_sets(self, ids: Iterable[int]) -> list[list[int]]:
        """Return the labels of each of the sets with these ids."""
        return [[label for label in self.table[number].tolist() if label != _NO_LABEL] for number in ids]

    def num_labels(self, ids: Tensor) -> int:
        """Return the number of different labels of the sets `ids` `(n,)`."""
        return self.indicators(ids)[0].shape[1]

    def jaccard(self, labels: Tensor, others: Tensor) -> Tensor:
        """Return the Jaccard overlap of the label sets `labels` `(n,)` and `others` `(m,)`: `(n, m)`; 0 if empty."""
        ours, theirs = self.indicators(labels, others)
        return jaccard_overlap(ours @ theirs.T, ours.sum(1, keepdim=True), theirs.sum(1))

    def indicators(self, *ids: Tensor) -> list[Tensor]:
        """Return float32 `(n, num_labels)` for each tensor of set ids `(n,)`: 1 for the labels that a set has, else 0.

        The columns are the labels that occur in any of them.
        """
        parts = [_look_up(self.table, part) for part in ids]
        present, column = torch.cat(parts).unique(return_inverse=True)
        hot = torch.zeros(len(column), len(present), device=column.device).scatter_(1, column, 1.0)
        if len(present) and int(present[0]) == _NO_LABEL:
            hot = hot[:, 1:]
        return list(hot.split([len(part) for part in parts]))


def _look_up(table: Tensor, labels: Tensor) -> Tensor:
    """Return the row of `table` of each label id.

    Raises:
        EmbeddingError: an id is not in the table.
    """
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(table):
        raise EmbeddingError(
            f"label ids must be from 0 to {len(table) - 1}, the labels that the relation of the loss knows; got "
            f"{int(labels.min())} to {int(labels.max())}"
        )
    return table.to(labels.device)[labels]
