"""Warn if training fails, by the statistics of the batches.

The loss collects the statistics while it computes, so no second pass over the batch is needed.
"""

import logging
import math
from collections import deque
from collections.abc import Sequence

import torch
from torch import nn

from tercet._distributed import is_first_process, world_size
from tercet._events import WarningKind, emit_warning
from tercet._gather import all_reduce_sum
from tercet.catalogue import LOSSES, loss_name
from tercet.distances import get_distance
from tercet.errors import EmbeddingError, counted
from tercet.losses._engine.stats import LossStats

logger = logging.getLogger(__name__)

# The number of batches that a check uses together (a third of it for a collapse). A single batch is too noisy.
WINDOW = 30
# A run that ends before `WINDOW` batches is checked at its end if it has at least this number of batches.
MIN_BATCHES = 8
# Labels are not separated if the mean positive distance is at least this fraction of the mean negative distance.
NOT_SEPARATED = 0.97
# Exception: in at least this fraction of the batches, the positives are nearer than the negatives on average. If labels
# are hard to learn, the difference is small, but nearly every batch shows it.
CONSISTENTLY_NEARER = 0.8
# Collapse: labels are not separated, and the mean negative distance (relative to the norm) has fallen below this
# fraction of its value in the first batch. The limit is above 0, because dropout keeps even collapsed embeddings apart.
COLLAPSED = 0.25
# A run has learned nothing if it changed the weights by less than this fraction of their norm. A random change of this
# size moves the embeddings of all-MiniLM-L6-v2 by 4e-5 of their norm, and MAP@R on BANKING77 by less than 1e-6.
MIN_RELATIVE_CHANGE = 1e-5
# Below this fraction of the first value, a collapse has begun. The labels are then not checked.
COLLAPSING = 0.5


class TrainingMonitor:
    """A monitor that detects failing training runs. It warns once per kind of problem, with a remedy.

    Args:
        scales_with_norm: whether the distances grow with the norm of the embeddings; the cosine distance does not.
        has_margin: whether the loss of a triplet that satisfies the margin is exactly 0.
        resumed: whether the run continues from a checkpoint. The check of the labels is then skipped, because it needs
            the first batches of the training.
        after_head: whether a linear head was trained before. It may separate all triplets by the margin; then there is
            nothing left to learn, which is no problem.
    """

    def __init__(
        self, *, scales_with_norm: bool = True, has_margin: bool = True, resumed: bool = False, after_head: bool = False
    ) -> None:
        self._scales_with_norm, self._has_margin, self._after_head = scales_with_norm, has_margin, after_head
        self._batches: deque[LossStats] = deque(maxlen=WINDOW)
        # The mean negative distance of each batch, relative to the norm if the distance scales with it.
        self._negative_distances: deque[float] = deque(maxlen=WINDOW)
        self._first_negative_distance = math.nan
        self._emitted: set[WarningKind] = set()
        self._num_batches = 0
        self._run = LossStats.empty()
        self._labels_checked = resumed

    @classmethod
    def for_loss(cls, loss: nn.Module, *, resumed: bool = False, after_head: bool = False) -> "TrainingMonitor":
        """Return a monitor for training with `loss`."""
        name = loss_name(loss)
        has_margin = LOSSES[name].has_margin if name else getattr(loss, "has_margin", True)
        return cls(
            scales_with_norm=_scales_with_norm(loss), has_margin=has_margin, resumed=resumed, after_head=after_head
        )

    def observe(self, stats: LossStats, norm: float) -> None:
        """Add a batch of this process, and run the checks.

        Args:
            stats: the statistics that the loss collected on the batch.
            norm: the mean norm of the embeddings of the batch.
        """
        self._batches.append(stats)
        self._num_batches += 1
        self._run = _combine([self._run, stats])
        if stats.anchors:
            distance = stats.mean_negative_distance
            if self._scales_with_norm and norm:
                distance /= norm
            self._negative_distances.append(distance)
            if math.isnan(self._first_negative_distance):
                self._first_negative_distance = distance
        recent = WINDOW // 3
        if len(self._batches) >= recent:
            self._check_collapse(_combine(list(self._batches)[-recent:]), list(self._negative_distances)[-recent:])
        if len(self._batches) == WINDOW:
            self._check_window()

    def finish(
        self,
        *,
        is_complete: bool = True,
        unchanged: bool = False,
        restored: bool = False,
        relative_change: float = math.nan,
        device: torch.device | None = None,
    ) -> None:
        """Check the run as a whole.

        A complete run with at least `MIN_BATCHES` but fewer than `WINDOW` batches is checked as a window. Any run is
        checked for active triplets and changed weights.

        Args:
            is_complete: whether the run has ended after its last step.
            unchanged: whether the weights are those before the run, bit by bit.
            restored: whether the run changed them, but the best state, which is loaded at its end, has those before it.
            relative_change: the norm of the change of the weights, divided by their norm; NaN if it is unknown.
            device: the device of the all-reduce in distributed training.
        """
        sums = torch.tensor([*self._run.sums(), self._num_batches], dtype=torch.float64)
        if world_size() > 1:
            sums = all_reduce_sum(sums.to(device))
        *of_run, num_batches = sums.tolist()
        stats = LossStats.from_sums(of_run)
        problem = self._why_nothing_was_learned(stats, round(num_batches))
        if self._after_head and stats.valid_triplets and (problem or restored):
            batches = counted(round(num_batches), "batch", "batches")
            reason = (
                f"all mined triplets of the {batches} satisfy the margin already"
                if problem
                else "the best state is the one before the first change of a weight"
            )
            if is_first_process():
                logger.info(f"the encoder was not trained further: after the head, {reason}")
            problem = None
        elif restored:
            problem = problem or (
                "the best state, which was loaded at the end, was saved before the first change of a weight. Evaluate "
                "more often (eval_steps), or use a lower learning rate"
            )
        elif unchanged:
            cause = problem or (
                "although triplets were active. Use a higher learning rate or more steps (the first steps of a warm-up "
                "have a learning rate near 0)"
            )
            problem = f"no weight has changed since the start of the run{': ' if problem else ', '}{cause}"
        elif not problem and relative_change < MIN_RELATIVE_CHANGE:
            problem = (
                f"the weights have changed by {relative_change:.1g} of their norm only, which no metric can see. Use a "
                "higher learning rate or more steps"
            )
        if problem:
            self._emitted.add(WarningKind.INACTIVE_TRIPLETS)  # It would say the same.
            self._warn_once(WarningKind.NOTHING_LEARNED, f"the model has learned nothing: {problem}")
        if is_complete and MIN_BATCHES <= len(self._batches) < WINDOW:
            self._check_window()

    def _why_nothing_was_learned(self, stats: LossStats, num_batches: int) -> str | None:
        """Return why no batch of the run had a gradient, and what to do; None if one had."""
        if not num_batches or not self._has_margin or stats.active_triplets:
            return None
        batches = counted(num_batches, "batch", "batches")
        if not stats.valid_triplets:
            return (
                f"none of the {batches} of the run held a triplet. Use batch_sampler='group_by_label' or a larger batch"
            )
        return (
            f"not one triplet of the {batches} of the run had a loss above 0 (mean distance to positives "
            f"{stats.mean_positive_distance:.3g}, to negatives {stats.mean_negative_distance:.3g}). Use a larger margin"
            f"{', the cosine distance' if self._scales_with_norm else ''}, a larger batch, or a loss that mines harder "
            "triplets (batch-hard)"
        )

    def _check_window(self) -> None:
        batches = [stats for stats in self._batches if stats.anchors]
        if len(batches) < len(self._batches) / 2:  # The loss itself warns of batches without a triplet.
            return
        if self._has_margin and not self._after_head and not any(stats.active_triplets for stats in batches):
            self._warn_once(
                WarningKind.INACTIVE_TRIPLETS,
                f"no mined triplet of the last {len(self._batches)} batches has a loss above 0, so the model no longer "
                "learns. Stop the run, or use a larger margin, a larger batch, or a loss that mines harder triplets "
                "(batch-hard)",
            )
        self._check_labels(batches)

    def _check_collapse(self, stats: LossStats, negative_distances: list[float]) -> None:
        if not negative_distances or not _not_separated(stats):
            return
        now = sum(negative_distances) / len(negative_distances)
        if now < COLLAPSED * self._first_negative_distance:
            relative = " relative to their norm" if self._scales_with_norm else ""
            self._warn_once(
                WarningKind.COLLAPSE,
                "the embeddings have collapsed: the mean distance between sentences with different labels"
                f"{relative} was {self._first_negative_distance:.3g} in the first batch and is {now:.3g} now, so the "
                "model no longer learns. Start again with a lower learning rate, a longer warm-up, or (if "
                "another loss collapsed) batch-semi-hard, which prefers negatives that are not the hardest",
            )

    def _check_labels(self, batches: list[LossStats]) -> None:
        """Warn if positives are about as far from the anchors as negatives, unless a collapse has begun.

        Check only once, early: training changes the distances.
        """
        if self._labels_checked:
            return
        self._labels_checked = True
        stats = _combine(batches)
        nearer = sum(batch.mean_positive_distance < batch.mean_negative_distance for batch in batches)
        if not _not_separated(stats) or nearer >= CONSISTENTLY_NEARER * len(batches):
            return
        if self._negative_distances[-1] < COLLAPSING * self._first_negative_distance:
            return
        self._warn_once(
            WarningKind.LABELS_NOT_SEPARATED,
            f"in {len(batches)} batches, the anchors are about as far from the positives (mean distance "
            f"{stats.mean_positive_distance:.3g}) as from the negatives ({stats.mean_negative_distance:.3g}). Check "
            "that the labels or the triplets are right (wrong column? rows shuffled?), and that the learning rate is "
            "not too high",
        )

    def _warn_once(self, kind: WarningKind, message: str) -> None:
        if kind not in self._emitted:
            self._emitted.add(kind)
            emit_warning(kind, message)


def _scales_with_norm(loss: nn.Module) -> bool:
    """Return whether the distance of the loss scales with the norm. False if a custom loss has no known distance."""
    try:
        return get_distance(getattr(loss, "distance_metric", None)).scales_with_norm  # type: ignore[arg-type]
    except EmbeddingError:
        return False


def _combine(batches: Sequence[LossStats]) -> LossStats:
    """Return the statistics of several batches together."""
    return LossStats.from_sums([sum(column) for column in zip(*(stats.sums() for stats in batches), strict=True)])


def _not_separated(stats: LossStats) -> bool:
    """Return whether positives are about as far from the anchors as negatives. True if all embeddings are equal."""
    return stats.mean_positive_distance >= NOT_SEPARATED * stats.mean_negative_distance
