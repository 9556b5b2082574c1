"""What a run tells about itself: figures of its batches for the log, and a word when it has gone wrong.

Both come from what the loss counted on its way, so they cost no pass of their own.
"""

import logging
import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tercet._distributed import is_first_process, world_size
from tercet._gather import all_reduce_sum
from tercet.losses._engine.stats import LossStats

logger = logging.getLogger(__name__)

# So many batches are looked at together; at the end of a shorter run, as many as there were, if they are enough.
BATCHES = 30
ENOUGH = 8
# Positives that are on average at least so far away, compared to negatives, are not told apart from them …
ALIKE = 0.97
# … if they are not nearer in so many batches either: labels that are hard to learn make a small difference, but always.
MOSTLY = 0.8
# Embeddings that are not told apart have collapsed where they are so much nearer than in the first batch, compared to
# their length. Dropout alone keeps sentences some distance apart.
SHRUNK = 0.25
# What has shrunk by so much is on its way there, which says nothing of the labels.
SHRINKING = 0.5


class BatchStats:
    """Figures of all batches since they were last taken, over all processes."""

    def __init__(self) -> None:
        self._sums = torch.zeros(13, dtype=torch.float64)

    def add(self, statistics: LossStats, embeddings: Tensor) -> float:
        """Put in a batch of this process, embeddings `(batch, dim)`; returns their mean length."""
        # To the CPU first: some devices have no float64, and float32 would make a spread of its rounding.
        norms = torch.linalg.vector_norm(embeddings.detach().float(), dim=1).cpu().double()
        self._sums[:10] += torch.tensor(statistics.sums(), dtype=torch.float64)
        self._sums[10:] += torch.stack([torch.ones_like(norms).sum(), norms.sum(), norms.square().sum()])
        return float(norms.mean())

    def take(self, device: torch.device) -> dict[str, float]:
        """The figures by the names that they have in the log, and start anew; nothing where there was no batch.

        Args:
            device: where processes add up.
        """
        shared = world_size() > 1
        sums = (all_reduce_sum(self._sums.to(device)) if shared else self._sums).tolist()
        self._sums.zero_()
        seen, (rows, total, squares) = LossStats.from_sums(sums[:10]), sums[10:]
        if not rows:
            return {}
        norm = total / rows
        figures = {
            "active_fraction": seen.active_fraction,
            "anchors_without_triplet": 1 - seen.anchors / rows,
            "positive_distance": seen.mean_positive_distance,
            "negative_distance": seen.mean_negative_distance,
            "hardest_positive_distance": seen.mean_hardest_positive_distance,
            "hardest_negative_distance": seen.mean_hardest_negative_distance,
            "norm": norm,
            "norm_std": math.sqrt(max(0.0, squares / rows - norm**2)),
        }
        return {name: round(value, 5) for name, value in figures.items() if math.isfinite(value)}


@contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """The warnings of this library in the block, a collapse for one, as they come; they are logged all the same."""
    told: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    library = logging.getLogger("tercet")
    library.addHandler(handler)
    try:
        yield told
    finally:
        library.removeHandler(handler)


def _together(batches: Sequence[LossStats]) -> LossStats:
    return LossStats.from_sums([sum(parts) for parts in zip(*(batch.sums() for batch in batches), strict=True)])


def _alike(seen: LossStats) -> bool:
    """Whether sentences of one label are about as far apart as those of different labels; all at one point are."""
    return seen.mean_positive_distance >= ALIKE * seen.mean_negative_distance


class TrainingMonitor:
    """Notices runs that have gone wrong, and says each thing once, with what usually helps.

    Args:
        scales: whether distances grow with the length of the embeddings, as the cosine does not.
        hinge: whether a triplet can be without a loss.
        resumed: whether there were batches before, which may have driven all together.
    """

    def __init__(self, *, scales: bool = True, hinge: bool = True, resumed: bool = False) -> None:
        self._scales, self._hinge = scales, hinge
        self._first = math.nan
        self._last: deque[LossStats] = deque(maxlen=BATCHES)
        self._apart: deque[float] = deque(maxlen=BATCHES)
        self._told: set[str] = set()
        self._labels_checked = resumed

    @classmethod
    def of(cls, loss: nn.Module, *, resumed: bool = False) -> "TrainingMonitor":
        """One for this loss; of a distance of the user's own it is not known whether it scales."""
        distance = getattr(loss, "distance_metric", None)
        scales = distance in ("euclidean", "manhattan")
        return cls(scales=scales, hinge=getattr(loss, "has_margin", True), resumed=resumed)

    def see(self, batch: LossStats, norm: float) -> None:
        """Look at the next batch of this process, and the mean length of its embeddings."""
        self._last.append(batch)
        if batch.anchors:
            apart = batch.mean_negative_distance / norm if self._scales and norm else batch.mean_negative_distance
            self._apart.append(apart)
            self._first = apart if math.isnan(self._first) else self._first
        recent = BATCHES // 3
        if len(self._last) >= recent:
            self._tell_collapse(_together(list(self._last)[-recent:]), list(self._apart)[-recent:])
        if len(self._last) == BATCHES:
            self._look_back()

    def finish(self) -> None:
        """Look at a run that has ended, if it was too short to be looked at before."""
        if ENOUGH <= len(self._last) < BATCHES:
            self._look_back()

    def _look_back(self) -> None:
        last = [seen for seen in self._last if seen.anchors]
        if len(last) < len(self._last) / 2:  # of which the loss has told
            return
        if self._hinge and not any(seen.active_triplets for seen in last):
            self._tell(
                "inactive",
                f"no triplet of the last {len(last)} batches has a loss, so nothing is learnt any more: stop here, or "
                "take a larger margin, a larger batch, or a loss that mines harder (batch-hard)",
            )
        self._tell_alike(last)

    def _tell_collapse(self, seen: LossStats, apart: list[float]) -> None:
        if not apart or not _alike(seen):
            return
        now = sum(apart) / len(apart)
        if now < SHRUNK * self._first:
            share = ", as a share of their length," if self._scales else ""
            self._tell(
                "collapse",
                f"the embeddings have collapsed: sentences of different labels were{share} {self._first:.3g} apart in "
                f"the first batch and are {now:.3g} apart now, so nothing more can be learnt. Start anew with a lower "
                "learning rate or a longer warm-up; batch-semi-hard leaves the hardest negatives out",
            )

    def _tell_alike(self, last: list[LossStats]) -> None:
        """Only from the first batches: later ones may have been driven together by the loss."""
        if self._labels_checked:
            return
        self._labels_checked = True
        seen = _together(last)
        nearer = sum(batch.mean_positive_distance < batch.mean_negative_distance for batch in last)
        if not _alike(seen) or nearer >= MOSTLY * len(last) or self._apart[-1] < SHRINKING * self._first:
            return
        self._tell(
            "alike",
            f"sentences of one label are as far apart ({seen.mean_positive_distance:.3g}) as those of different labels "
            f"({seen.mean_negative_distance:.3g}) over {len(last)} batches: see whether labels and texts belong together "
            "(shuffled rows, a wrong column) and whether the learning rate is too high",
        )

    def _tell(self, what: str, message: str) -> None:
        if what not in self._told and is_first_process():
            logger.warning(message)
        self._told.add(what)
