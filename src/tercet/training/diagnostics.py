"""What a run tells about itself: figures of its batches for the log, and a word when it has gone wrong.

Both come from what the loss counted on its way, so they cost no pass of their own.
"""

import logging
import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from tercet.losses.gathering import is_first_process, sum_over_processes
from tercet.losses.statistics import LossStatistics

logger = logging.getLogger(__name__)

# So many batches must agree before anything is said.
BATCHES = 30
# Positives that are on average at least so far away, compared to negatives, are not told apart from them.
ALIKE = 0.97
# Embeddings that are not told apart have collapsed where they are so much nearer than in the first batch, compared to
# their length. Dropout alone keeps sentences some distance apart.
SHRUNK = 0.25


class BatchFigures:
    """Figures of all batches since they were last taken, over all processes."""

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(13, dtype=torch.float64, device=device)

    def add(self, statistics: LossStatistics, embeddings: Tensor) -> float:
        """Put in a batch of this process, embeddings `(batch, dim)`; returns their mean length."""
        norms = torch.linalg.vector_norm(embeddings.detach().double(), dim=1)
        self._sums[:10] += torch.tensor(statistics.sums(), dtype=torch.float64, device=norms.device)
        self._sums[10:] += torch.stack([torch.ones_like(norms).sum(), norms.sum(), norms.square().sum()])
        return float(norms.mean())

    def take(self) -> dict[str, float]:
        """The figures by the names that they have in the log, and start anew; nothing where there was no batch."""
        sums = sum_over_processes(self._sums).tolist()
        self._sums.zero_()
        seen, (rows, total, squares) = LossStatistics.of_sums(sums[:10]), sums[10:]
        if not rows:
            return {}
        norm = total / rows
        figures = {
            "active_share": seen.active_share,
            "anchors_without_triplet": 1 - seen.anchors / rows,
            "positive_distance": seen.mean_positive,
            "negative_distance": seen.mean_negative,
            "hardest_positive_distance": seen.mean_hardest_positive,
            "hardest_negative_distance": seen.mean_hardest_negative,
            "norm": norm,
            "norm_spread": math.sqrt(max(0.0, squares / rows - norm**2)),
        }
        return {name: round(value, 5) for name, value in figures.items() if math.isfinite(value)}


@contextmanager
def warnings_kept() -> Iterator[list[str]]:
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


def _together(batches: Sequence[LossStatistics]) -> LossStatistics:
    return LossStatistics.of_sums([sum(parts) for parts in zip(*(batch.sums() for batch in batches), strict=True)])


def _alike(seen: LossStatistics) -> bool:
    """Whether sentences of one label are about as far apart as those of different labels."""
    return seen.mean_positive > ALIKE * seen.mean_negative > 0


class Watch:
    """Notices runs that have gone wrong, and says each thing once, with what usually helps."""

    def __init__(self) -> None:
        self._first: LossStatistics | None = None
        self._last: deque[LossStatistics] = deque(maxlen=BATCHES)
        self._norms: deque[float] = deque(maxlen=BATCHES // 3)
        self._first_norm = 0.0
        self._told: set[str] = set()
        self._labels_checked = False

    def see(self, batch: LossStatistics, norm: float) -> None:
        """Look at the next batch of this process, and the mean length of its embeddings."""
        self._last.append(batch)
        self._norms.append(norm)
        if batch.anchors and self._first is None:
            self._first, self._first_norm = batch, norm
        last = list(self._last)
        self._tell_collapse(_together(last[-BATCHES // 3 :]))
        if len(last) < BATCHES:
            return
        if sum(seen.anchors > 0 for seen in last) < BATCHES / 2:
            self._tell(
                "no triplet",
                f"of the last {BATCHES} batches {sum(seen.anchors == 0 for seen in last)} held no triplet (two "
                "sentences of one label and one of another): take batch_sampler='group_by_label', or a larger batch",
            )
        elif not any(seen.active_triplets for seen in last):
            self._tell(
                "inactive",
                f"no triplet of the last {BATCHES} batches has a loss, so nothing is learnt any more: stop here, or "
                "take a larger margin, a larger batch, or a loss that mines harder (batch-hard)",
            )
        self._tell_alike(_together(last))

    def _tell_collapse(self, last: LossStatistics) -> None:
        if self._first is None or len(self._norms) < BATCHES // 3 or not _alike(last):
            return
        before, now = self._first.mean_negative, last.mean_negative
        norm = sum(self._norms) / len(self._norms)
        if now * self._first_norm < SHRUNK * before * norm:
            self._tell(
                "collapse",
                f"the embeddings have collapsed: sentences of different labels were {before:.3g} apart in the first "
                f"batch and are {now:.3g} apart now, so nothing more can be learnt. Start anew with a lower learning "
                "rate or a longer warm-up; batch-semi-hard and batch-all collapse less often than batch-hard",
            )

    def _tell_alike(self, seen: LossStatistics) -> None:
        """Only from the first batches: later ones may have been driven together by the loss."""
        if self._labels_checked:
            return
        self._labels_checked = True
        if _alike(seen) and "collapse" not in self._told:
            self._tell(
                "alike",
                f"sentences of one label are as far apart ({seen.mean_positive:.3g}) as those of different labels "
                f"({seen.mean_negative:.3g}) over {BATCHES} batches: see whether labels and texts belong together "
                "(shuffled rows, a wrong column) and whether the learning rate is too high",
            )

    def _tell(self, what: str, message: str) -> None:
        if what not in self._told and is_first_process():
            logger.warning(message)
        self._told.add(what)
