"""Which candidates are whose positives, in memory and time that follow the sizes of the groups.

Candidates are sorted by label once, so the positives of an anchor are a run of that order. Anchors are
taken in the order of how many positives they have, so the rows of a block need about the same width:
one label of 5,000 among 5,000 singletons makes 5,000 rows wide, and the others none at all.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# In batches up to this size comparing all labels with all takes fewer operations than sorting them.
FEW_CANDIDATES = 128


@dataclass(frozen=True)
class Groups:
    """Candidates in the order of their labels, and where each counted anchor finds its positives there.

    Attributes:
        order: candidates `(C,)` sorted by label.
        anchors: which anchors count `(A,)`: those with a positive and a negative, in ascending order of the
            number of positives. None where all count in the order in which they came.
        own: the candidate that is the anchor itself `(A,)`; a positive of it where there is none.
        first: where the anchor's label begins in `order` `(A,)`.
        place: where the anchor itself stands in `order` `(A,)`, or C.
        counts: the number of positives `(A,)`, ascending.
        alike: the number of positives of every anchor, where it is the same for all.
        listed: the positives of every anchor `(A, P)`, where the batch is so small that they are listed at once;
            then `order`, `first` and `place` only count candidates.
    """

    order: Tensor
    anchors: Tensor | None
    own: Tensor
    first: Tensor
    place: Tensor
    counts: Tensor
    alike: int | None
    listed: Tensor | None = None

    @classmethod
    def of(cls, labels: Tensor, anchor_labels: Tensor | None = None, own: Tensor | None = None) -> "Groups":
        """Groups of candidates `(C,)`, which are the anchors too unless there are `anchor_labels` `(A,)`.

        Then `own` `(A,)` says which candidate the anchor itself is, −1 where it is none.
        """
        number = labels.shape[0]
        small = _of_small_batch(labels) if anchor_labels is None and number <= FEW_CANDIDATES else None
        if small is not None:
            return small
        ascending, order = labels.sort(stable=True)
        each = torch.arange(number, device=labels.device)
        place = torch.empty_like(order).scatter_(0, order, each)
        sought = labels if anchor_labels is None else anchor_labels
        first = torch.searchsorted(ascending, sought)
        size = torch.searchsorted(ascending, sought, right=True) - first
        if anchor_labels is None or own is None:
            own, counts = each, size - 1
        else:
            inside = own >= 0
            own, place = own.where(inside, order[first.clamp(max=number - 1)]), place[own].where(inside, number)
            counts = size - inside.long()
        if anchor_labels is None:
            fewest, most = (int(bound) for bound in counts.aminmax())
            if 0 < fewest == most < number - 1:
                return cls(order, None, own, first, place, counts, alike=most)
        anchors = ((counts > 0) & (size < number)).nonzero().flatten()
        anchors = anchors[counts[anchors].argsort(stable=True)]
        own, first, place, counts = (part[anchors] for part in (own, first, place, counts))
        return cls(order, anchors, own, first, place, counts, alike=None)

    def __len__(self) -> int:
        return self.counts.shape[0]

    @property
    def others(self) -> Tensor:
        """The number of negatives of each anchor `(A,)`."""
        return len(self.order) - self.counts - (self.place < len(self.order)).long()

    @property
    def pairs(self) -> int:
        """The number of pairs of anchor and positive."""
        return int(self.counts.sum()) if self.alike is None else self.alike * len(self)

    def positives(self, rows: slice) -> tuple[Tensor, Tensor | None]:
        """The candidates `(m, P)` that are positives of some anchors, and which places are empty, if any."""
        if self.listed is not None:
            return self.listed[rows], None
        most = self.alike or int(self.counts[rows][-1])
        step, empty = torch.arange(most, device=self.order.device), None
        if not self.alike and int(self.counts[rows][0]) != most:
            empty = step >= self.counts[rows, None]
            step = step.expand_as(empty).masked_fill(empty, 0)
        place = self.first[rows, None] + step
        return self.order[place + (place >= self.place[rows, None])], empty


def _of_small_batch(labels: Tensor) -> Groups | None:
    """The groups of a small batch `(C,)` from comparisons of all pairs, if all have the same size."""
    same = labels.unsqueeze(1) == labels
    size = same.sum(1)
    fewest, most = (int(bound) for bound in size.aminmax())
    if not 1 < fewest == most < labels.shape[0]:
        return None
    columns = same.fill_diagonal_(False).nonzero()[:, 1].view(-1, most - 1)
    each = torch.arange(labels.shape[0], device=labels.device)
    return Groups(each, None, each, each, each, size - 1, alike=most - 1, listed=columns)
