"""Find the positives of each anchor.

Candidates are sorted by label once, so the positives of an anchor are consecutive in this order. Anchors are sorted by
their number of positives, so the anchors of a block have similar numbers and need little padding. Anchors without a
positive are left out: among one label with 5,000 sentences and 5,000 labels with one sentence, only 5,000 sentences are
anchors.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tercet._transfer import to_device


@dataclass(frozen=True)
class SelfColumns:
    """The columns of a block that hold the distances of its m anchors to themselves.

    Attributes:
        index: `(m, 1)`, the column of each anchor.
        is_missing: bool `(m, 1)`, True for anchors that are no candidates, so that their distances are all to others;
            None if every anchor is a candidate.
    """

    index: Tensor
    is_missing: Tensor | None = None

    def fill(self, block: Tensor, value: Tensor | float) -> Tensor:
        """Write `value`, a number or one number for each row `(m, 1)`, into the columns of `block` `(m, C)`."""
        if self.is_missing is not None:
            value = block.gather(1, self.index).where(self.is_missing, value)
        return block.scatter_(1, self.index, value)


# Up to this number of pairs of an anchor and a positive, the index of all positives is made at once.
SMALL_NUM_PAIRS = 1 << 18


@dataclass(frozen=True, kw_only=True)
class LabelGroups:
    """C candidates sorted by label, and the positions of the positives of A anchors in this order.

    Only the anchors that have a positive and a negative are included.

    Attributes:
        candidate_order: `(C,)`, the indices of the candidates, sorted by label.
        anchor_index: `(A,)`, the indices of the included anchors, in ascending order of their number of positives. None
            if all anchors are included in their original order.
        self_index: `(A,)`, the index of the anchor among the candidates; any index if the anchor is not a candidate.
        is_missing: bool `(A,)`, True for anchors that are not candidates; None if the anchors are the candidates.
        label_start: `(A,)`, the first position of the anchor's label in `candidate_order`.
        self_position: `(A,)`, the position of the anchor in `candidate_order`; C if the anchor is not a candidate.
        num_positives: `(A,)`, the number of positives of each anchor, ascending.
        equal_num_positives: the number of positives of each anchor, if all candidates are included as anchors and have
            the same number; else None.
        positive_index: `(A, P)`, the indices of the positives of each anchor. Set only for small batches in which all
            labels are equally frequent; `candidate_order`, `label_start` and `self_position` are then 0 … C−1.
        on_cpu: the same groups on the CPU, if these were copied from there. Numbers are read from them without waiting
            for the device.
    """

    candidate_order: Tensor
    anchor_index: Tensor | None = None
    self_index: Tensor
    is_missing: Tensor | None = None
    label_start: Tensor
    self_position: Tensor
    num_positives: Tensor
    equal_num_positives: int | None = None
    positive_index: Tensor | None = None
    on_cpu: "LabelGroups | None" = None

    @classmethod
    def from_labels(
        cls, labels: Tensor, anchor_labels: Tensor | None = None, self_index: Tensor | None = None
    ) -> "LabelGroups":
        """Group the candidates by label.

        Args:
            labels: `(C,)`, the labels of the candidates.
            anchor_labels: the labels of the anchors, one per anchor; None uses the candidates as anchors.
            self_index: required with `anchor_labels`: the index of each anchor among the candidates; −1 if the anchor
                is not a candidate.
        """
        num_candidates = labels.shape[0]
        if anchor_labels is None and labels.device.type == "cpu":
            small = _small_batch_of_equal_groups(labels)
            if small is not None:
                return small
        sorted_labels, order = labels.sort(stable=True)
        index = torch.arange(num_candidates, device=labels.device)
        position = torch.empty_like(order).scatter_(0, order, index)
        wanted = labels if anchor_labels is None else anchor_labels
        start = _search(sorted_labels, wanted)
        group_size = _search(sorted_labels, wanted, right=True) - start
        is_missing = None
        if anchor_labels is None or self_index is None:
            self_index, num_positives = index, group_size - 1
        else:
            is_missing = self_index < 0
            self_index = self_index.clamp(min=0)
            position = position[self_index].masked_fill(is_missing, num_candidates)
            num_positives = group_size - (~is_missing).long()
        if anchor_labels is None:
            smallest, largest = (int(bound) for bound in num_positives.aminmax())
            if 0 < smallest == largest < num_candidates - 1:
                return cls(
                    candidate_order=order,
                    self_index=self_index,
                    label_start=start,
                    self_position=position,
                    num_positives=num_positives,
                    equal_num_positives=largest,
                )
        kept = ((num_positives > 0) & (group_size < num_candidates)).nonzero().flatten()
        kept = kept[num_positives[kept].argsort(stable=True)]
        return cls(
            candidate_order=order,
            anchor_index=kept,
            self_index=self_index[kept],
            is_missing=None if is_missing is None else is_missing[kept],
            label_start=start[kept],
            self_position=position[kept],
            num_positives=num_positives[kept],
        )

    def __len__(self) -> int:
        return self.num_positives.shape[0]

    def to(self, device: torch.device) -> "LabelGroups":
        """Return the groups on a device, copied together. Groups that are not on the CPU are returned unchanged."""
        if device.type == "cpu" or self.num_positives.device.type != "cpu":
            return self
        tensors = {item.name: getattr(self, item.name) for item in fields(self)}
        tensors = {name: value for name, value in tensors.items() if isinstance(value, Tensor)}
        copies = to_device([value.flatten().long().numpy() for value in tensors.values()], device)
        moved: dict[str, Any] = {
            name: copy.view(value.shape).to(value.dtype)
            for (name, value), copy in zip(tensors.items(), copies, strict=True)
        }
        return replace(self, on_cpu=self, **moved)

    @property
    def num_negatives(self) -> Tensor:
        """The number `(A,)` of negatives of each anchor."""
        num_candidates = len(self.candidate_order)
        return num_candidates - self.num_positives - (self.self_position < num_candidates).long()

    @property
    def num_positive_pairs(self) -> int:
        """The number of pairs of an anchor and one of its positives."""
        if self.equal_num_positives is None:
            return int(self._readable.num_positives.sum())
        return self.equal_num_positives * len(self)

    @property
    def num_triplets(self) -> int:
        """The number of triplets: of each anchor, the positives times the negatives."""
        if self.equal_num_positives is not None:
            return self.equal_num_positives * self.num_negative_pairs
        groups = self._readable
        return int((groups.num_positives * groups.num_negatives).sum())

    @property
    def num_negative_pairs(self) -> int:
        """The number of pairs of an anchor and one of its negatives."""
        if self.equal_num_positives is not None:  # All anchors are candidates.
            return len(self) * (len(self.candidate_order) - self.equal_num_positives - 1)
        return int(self._readable.num_negatives.sum())

    @property
    def _readable(self) -> "LabelGroups":
        return self if self.on_cpu is None else self.on_cpu  # No groups are false.

    def take(self, index: Tensor) -> "LabelGroups":
        """Return the groups of some of the anchors; `index` holds their positions among the included anchors."""
        return LabelGroups(
            candidate_order=self.candidate_order,
            anchor_index=index if self.anchor_index is None else self.anchor_index[index],
            self_index=self.self_index[index],
            is_missing=None if self.is_missing is None else self.is_missing[index],
            label_start=self.label_start[index],
            self_position=self.self_position[index],
            num_positives=self.num_positives[index],
            equal_num_positives=self.equal_num_positives,
            positive_index=None if self.positive_index is None else self.positive_index[index],
        )

    def self_columns(self, rows: slice) -> SelfColumns:
        """Return the columns of the given m anchors in a block of their distances to all candidates."""
        missing = None if self.is_missing is None else self.is_missing[rows, None]
        return SelfColumns(self.self_index[rows, None], missing)

    def positives(self, rows: slice) -> tuple[Tensor, Tensor | None]:
        """Return the positives of the given m anchors.

        Returns:
            The indices of the positives among the candidates `(m, P)`, and a bool mask `(m, P)` that is True for
            padding. The mask is None if there is no padding.
        """
        if self.positive_index is not None:
            return self.positive_index[rows], None
        smallest, width = self.equal_num_positives, self.equal_num_positives
        if smallest is None or width is None:  # The numbers of `take` are in any order.
            smallest, width = (int(bound) for bound in self._readable.num_positives[rows].aminmax())
        step, padding_mask = torch.arange(width, device=self.candidate_order.device), None
        if smallest != width:
            padding_mask = step >= self.num_positives[rows, None]
            step = step.expand_as(padding_mask).masked_fill(padding_mask, 0)
        position = self.label_start[rows, None] + step
        skip_self = position >= self.self_position[rows, None]
        return self.candidate_order[position + skip_self], padding_mask

    def positive_weights(self, rows: slice, candidate_index: Tensor) -> None:
        """Return None: every positive counts 1."""


def _search(ascending: Tensor, values: Tensor, *, right: bool = False) -> Tensor:
    """Return `torch.searchsorted`. On a CPU, NumPy does not wake up threads for it."""
    if values.device.type != "cpu":
        return torch.searchsorted(ascending, values, right=right)
    return torch.from_numpy(np.searchsorted(ascending.numpy(), values.numpy(), "right" if right else "left"))


def _small_batch_of_equal_groups(labels: Tensor) -> LabelGroups | None:
    """Group a batch of labels `(C,)` on the CPU with NumPy, whose calls take less time than those of torch.

    Return None unless there are at least two labels, all labels occur equally often, at least twice, and there are at
    most `SMALL_NUM_PAIRS` pairs of an anchor and a positive.
    """
    if len(labels) == 0:
        return None
    values = labels.numpy()
    order = values.argsort(kind="stable")
    in_order = values[order]
    size = int(in_order.searchsorted(in_order[0], side="right"))
    if not 1 < size < len(values) or len(values) % size or len(values) * (size - 1) > SMALL_NUM_PAIRS:
        return None
    groups = in_order.reshape(-1, size)
    if (groups[:, :1] != groups).any() or (groups[1:, 0] == groups[:-1, 0]).any():
        return None
    rows = order.reshape(-1, size)
    others = np.arange(size - 1) + (np.arange(size - 1) >= np.arange(size).reshape(-1, 1))
    positive_index = np.empty((len(values), size - 1), np.int64)
    positive_index[rows] = rows[:, others]
    index = torch.from_numpy(np.arange(len(values)))
    return LabelGroups(
        candidate_order=index,
        self_index=index,
        label_start=index,
        self_position=index,
        num_positives=torch.from_numpy(np.full(len(values), size - 1)),
        equal_num_positives=size - 1,
        positive_index=torch.from_numpy(positive_index),
    )
