"""Which candidates are whose positives, in memory and time that follow the sizes of the groups.

Candidates are sorted by label once, so the positives of an anchor are a run of that order. Anchors are
taken in the order of how many positives they have, so the rows of a block need about the same width:
one label of 5,000 among 5,000 singletons makes 5,000 rows wide, and the others none at all.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Groups:
    """Who is whose positive: candidates in the order of their labels, and each counted anchor's place there.

    Anchors that have a positive and a negative, in ascending order of the number of positives, so that the
    rows of a block have about the same number of them.

    Attributes:
        order: candidates `(C,)` sorted by label.
        anchors: which anchors count `(A,)`.
        own: the candidate that is the anchor itself `(A,)`; a positive where there is none.
        first: where the anchor's label begins in `order` `(A,)`.
        place: where the anchor itself stands in `order` `(A,)`, or C.
        counts: the number of positives `(A,)`, ascending.
        others: the number of negatives `(A,)`.
    """

    order: Tensor
    anchors: Tensor
    own: Tensor
    first: Tensor
    place: Tensor
    counts: Tensor
    others: Tensor

    @classmethod
    def of(cls, anchor_labels: Tensor, labels: Tensor, own: Tensor) -> "Groups":
        """Groups of anchors `(A,)` among candidates `(C,)`; `own` `(A,)` is −1 where the anchor is not one of them."""
        ascending, order = labels.sort(stable=True)
        first = torch.searchsorted(ascending, anchor_labels)
        size = torch.searchsorted(ascending, anchor_labels, right=True) - first
        is_candidate = own >= 0
        counts, others = size - is_candidate.long(), len(labels) - size
        places = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        place = torch.where(is_candidate, places[own], len(labels))
        anchors = ((counts > 0) & (others > 0)).nonzero().flatten()
        anchors = anchors[counts[anchors].argsort(stable=True)]
        own = torch.where(is_candidate, own, order[first.clamp(max=len(order) - 1)])
        return cls(order, anchors, *(part[anchors] for part in (own, first, place, counts, others)))

    def positives(self, rows: slice) -> tuple[Tensor, Tensor | None]:
        """The candidates `(m, P)` that are positives of some anchors, and which places are empty."""
        counts = self.counts[rows].unsqueeze(1)
        fewest, most = torch.stack([counts[0, 0], counts[-1, 0]]).tolist()
        step = torch.arange(most, device=self.order.device)
        empty = None if fewest == most else step >= counts
        step = step.expand(len(counts), -1) if empty is None else step.masked_fill(empty, 0)
        place = self.first[rows].unsqueeze(1) + step
        return self.order[place + (place >= self.place[rows].unsqueeze(1))], empty
