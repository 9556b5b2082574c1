"""Which candidates are the positives of each anchor, in memory and time that follow the sizes of the labels.

Candidates are sorted by label once, so the positives of an anchor are consecutive in that order. Anchors are sorted by
their number of positives, so that the rows of a block need about the same width: one label with 5,000 sentences among
5,000 singletons gives 5,000 wide rows, and the singletons take no memory at all.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# Up to this batch size, comparing all labels with all takes fewer operations than sorting them.
SMALL_BATCH = 128


@dataclass(frozen=True, kw_only=True)
class LabelGroups:
    """Candidates sorted by label, and where each anchor that counts finds its positives there.

    An anchor counts if it has a positive and a negative.

    Attributes:
        candidate_order: the candidates `(C,)`, sorted by label.
        anchor_index: the anchors that count `(A,)`, in ascending order of their number of positives. None if all
            anchors count and keep their order.
        self_index: the candidate that is the anchor itself `(A,)`; one of its positives if it is no candidate.
        label_start: the position in `candidate_order` at which the label of the anchor begins `(A,)`.
        self_position: the position of the anchor itself in `candidate_order` `(A,)`, or C if it is no candidate.
        num_positives: the number of positives of each anchor `(A,)`, ascending.
        equal_num_positives: the number of positives of every anchor, if it is the same for all.
        positive_index: the positives of every anchor `(A, P)`, in small batches only. Then `candidate_order`,
            `label_start` and `self_position` have the right length, and their values are not used.
    """

    candidate_order: Tensor
    anchor_index: Tensor | None = None
    self_index: Tensor
    label_start: Tensor
    self_position: Tensor
    num_positives: Tensor
    equal_num_positives: int | None = None
    positive_index: Tensor | None = None

    @classmethod
    def from_labels(
        cls, labels: Tensor, anchor_labels: Tensor | None = None, self_index: Tensor | None = None
    ) -> "LabelGroups":
        """Return the groups of candidates with labels `(C,)`.

        Args:
            anchor_labels: `(A,)`; without them, the candidates are the anchors.
            self_index: with `anchor_labels`, the candidate that is the anchor itself `(A,)`, −1 if it is no candidate.
        """
        num_candidates = labels.shape[0]
        if anchor_labels is None and num_candidates <= SMALL_BATCH:
            small = _small_batch_of_equal_groups(labels)
            if small is not None:
                return small
        sorted_labels, order = labels.sort(stable=True)
        index = torch.arange(num_candidates, device=labels.device)
        position = torch.empty_like(order).scatter_(0, order, index)
        wanted = labels if anchor_labels is None else anchor_labels
        start = torch.searchsorted(sorted_labels, wanted)
        group_size = torch.searchsorted(sorted_labels, wanted, right=True) - start
        if anchor_labels is None or self_index is None:
            self_index, num_positives = index, group_size - 1
        else:
            is_candidate = self_index >= 0
            position = position[self_index].where(is_candidate, num_candidates)
            self_index = self_index.where(is_candidate, order[start.clamp(max=num_candidates - 1)])
            num_positives = group_size - is_candidate.long()
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
        counts = ((num_positives > 0) & (group_size < num_candidates)).nonzero().flatten()
        counts = counts[num_positives[counts].argsort(stable=True)]
        return cls(
            candidate_order=order,
            anchor_index=counts,
            self_index=self_index[counts],
            label_start=start[counts],
            self_position=position[counts],
            num_positives=num_positives[counts],
        )

    def __len__(self) -> int:
        return self.num_positives.shape[0]

    @property
    def num_negatives(self) -> Tensor:
        """The number of negatives of each anchor `(A,)`."""
        num_candidates = len(self.candidate_order)
        return num_candidates - self.num_positives - (self.self_position < num_candidates).long()

    @property
    def num_positive_pairs(self) -> int:
        """The number of pairs of an anchor and a positive."""
        if self.equal_num_positives is None:
            return int(self.num_positives.sum())
        return self.equal_num_positives * len(self)

    def positives(self, rows: slice) -> tuple[Tensor, Tensor | None]:
        """Return the positives of some anchors, and which entries are padding.

        Returns:
            The candidates `(m, P)`, and a mask `(m, P)`, or None if nothing is padded.
        """
        if self.positive_index is not None:
            return self.positive_index[rows], None
        width = self.equal_num_positives or int(self.num_positives[rows][-1])
        step, padding_mask = torch.arange(width, device=self.candidate_order.device), None
        if not self.equal_num_positives and int(self.num_positives[rows][0]) != width:
            padding_mask = step >= self.num_positives[rows, None]
            step = step.expand_as(padding_mask).masked_fill(padding_mask, 0)
        position = self.label_start[rows, None] + step
        skip_self = position >= self.self_position[rows, None]
        return self.candidate_order[position + skip_self], padding_mask


def _small_batch_of_equal_groups(labels: Tensor) -> LabelGroups | None:
    """Compare all pairs of labels `(C,)` of a small batch; return None unless all labels are equally frequent."""
    same = labels.unsqueeze(1) == labels
    group_size = same.sum(1)
    smallest, largest = (int(bound) for bound in group_size.aminmax())
    if not 1 < smallest == largest < labels.shape[0]:
        return None
    index = torch.arange(labels.shape[0], device=labels.device)
    return LabelGroups(
        candidate_order=index,
        self_index=index,
        label_start=index,
        self_position=index,
        num_positives=group_size - 1,
        equal_num_positives=largest - 1,
        positive_index=same.fill_diagonal_(False).nonzero()[:, 1].view(-1, largest - 1),
    )
