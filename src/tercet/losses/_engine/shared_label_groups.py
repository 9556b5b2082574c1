"""Find the positives of anchors with several labels: the candidates that share a label with the anchor."""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from tercet._jaccard import jaccard_overlap
from tercet.losses._engine.label_groups import SelfColumns

# The number of rows whose overlaps with all candidates are in memory at the same time, when positives are counted.
_ROWS_PER_COUNT = 1024


@dataclass(frozen=True, kw_only=True)
class SharedLabelGroups:
    """The positives of A anchors among C candidates that share a label with them.

    Only the anchors that have a positive and a negative are included, in ascending order of their number of positives.

    Attributes:
        candidates: float32 `(C, num_labels)`, 1 for the labels of each candidate, else 0.
        anchors: float32 `(A, num_labels)`, the same for the anchors.
        anchor_index: `(A,)`, the indices of the included anchors.
        self_index: `(A,)`, the index of the anchor among the candidates; −1 if the anchor is not a candidate.
        all_candidates: whether every anchor is a candidate.
        num_positives: `(A,)`.
        weighted: see `SharedLabel`.
    """

    candidates: Tensor
    anchors: Tensor
    anchor_index: Tensor
    self_index: Tensor
    all_candidates: bool
    num_positives: Tensor
    weighted: bool

    @classmethod
    def from_indicators(
        cls, candidates: Tensor, anchors: Tensor, self_index: Tensor, *, weighted: bool
    ) -> "SharedLabelGroups":
        """Count the positives of each anchor, and leave out anchors without a positive or a negative."""
        is_candidate = (self_index >= 0).long()
        # An anchor that is a candidate shares its labels with itself, unless it has none.
        shares_with_itself = is_candidate * (anchors.amax(1) > 0 if anchors.shape[1] else 0)
        parts = [(part @ candidates.T > 0).sum(1) for part in anchors.split(_ROWS_PER_COUNT)]
        num_positives = torch.cat(parts) - shares_with_itself
        num_negatives = len(candidates) - num_positives - is_candidate
        kept = ((num_positives > 0) & (num_negatives > 0)).nonzero().flatten()
        kept = kept[num_positives[kept].argsort(stable=True)]
        return cls(
            candidates=candidates,
            anchors=anchors[kept],
            anchor_index=kept,
            self_index=self_index[kept],
            all_candidates=bool(is_candidate.all()),
            num_positives=num_positives[kept],
            weighted=weighted,
        )

    def __len__(self) -> int:
        return len(self.num_positives)

    @property
    def num_negatives(self) -> Tensor:
        """The number `(A,)` of negatives of each anchor."""
        return len(self.candidates) - self.num_positives - (self.self_index >= 0).long()

    @property
    def num_positive_pairs(self) -> int:
        """The number of pairs of an anchor and one of its positives."""
        return int(self.num_positives.sum())

    @property
    def num_triplets(self) -> int:
        """The number of triplets: of each anchor, the positives times the negatives."""
        return int((self.num_positives * self.num_negatives).sum())

    @property
    def num_negative_pairs(self) -> int:
        """The number of pairs of an anchor and one of its negatives."""
        return int(self.num_negatives.sum())

    def to(self, device: torch.device) -> "SharedLabelGroups":
        """Return the groups on a device."""
        tensors = {item.name: getattr(self, item.name) for item in fields(self)}
        moved: dict[str, Any] = {k: v.to(device) for k, v in tensors.items() if isinstance(v, Tensor)}
        return replace(self, **moved)

    def take(self, index: Tensor) -> "SharedLabelGroups":
        """Return the grouping of some of the anchors; `index` holds their positions in this grouping."""
        return SharedLabelGroups(
            candidates=self.candidates,
            anchors=self.anchors[index],
            anchor_index=self.anchor_index[index],
            self_index=self.self_index[index],
            all_candidates=self.all_candidates,
            num_positives=self.num_positives[index],
            weighted=self.weighted,
        )

    def self_columns(self, rows: slice) -> SelfColumns:
        """Return the columns of the given m anchors in a block of their distances to all candidates."""
        index = self.self_index[rows, None]
        return SelfColumns(index) if self.all_candidates else SelfColumns(index.clamp(min=0), index < 0)

    def positives(self, rows: slice) -> tuple[Tensor, Tensor | None]:
        """Return the positives of the given m anchors; see `LabelGroups.positives`."""
        shares = self.self_columns(rows).fill(self._overlap(rows), 0.0) > 0
        num_positives = self.num_positives[rows, None]
        real = torch.arange(int(num_positives.max()), device=shares.device) < num_positives
        index = torch.zeros(real.shape, dtype=torch.int64, device=shares.device)
        index[real] = shares.nonzero()[:, 1]  # Both are in the order of the rows.
        if bool(real.all()):
            return index, None
        return index.where(real, index[:, :1]), ~real  # Padding repeats a positive, which the engine masks.

    def positive_weights(self, rows: slice, candidate_index: Tensor) -> Tensor | None:
        """Return the Jaccard overlap of each anchor and each of its positives `(m, P)`; None if not weighted."""
        if not self.weighted:
            return None
        anchors = self.anchors[rows]
        return jaccard_overlap(
            self._overlap(rows).gather(1, candidate_index),
            anchors.sum(1, keepdim=True),
            self.candidates.sum(1)[candidate_index],
        )

    def _overlap(self, rows: slice) -> Tensor:
        """Return the number of common labels of the given anchors and all candidates, float32 `(m, C)`."""
        return self.anchors[rows] @ self.candidates.T
