"""Log the statistics of batches, and give them to the monitors, which warn if training fails."""

import math
from typing import Any

from tercet.trainer.batches.collating_ahead import CollatingAheadTrainer
from tercet.trainer.logs.log_stats import LogStats
from tercet.trainer.logs.monitor import TrainingMonitor
from tercet.trainer.logs.unread_stats import UnreadStats
from tercet.trainer.loss.kinds import innermost, loss_of_set, reset_warnings


class MonitoringTrainer(CollatingAheadTrainer):
    """The part of `SentenceTransformerTrainer` that logs what a run has seen."""

    _log_stats: LogStats
    _monitors: dict[str | None, TrainingMonitor]
    _unread_stats: dict[str | None, UnreadStats]
    _ran_a_step: bool
    _chunks: int
    _chunks_with_gradient: int

    def _start_monitoring(self, *, resumed: bool) -> None:
        """Reset the statistics and the once-per-run warnings, because a trainer may run several times."""
        self._log_stats = LogStats()
        # One for each data set, or one under the name None.
        self._monitors = {
            name: TrainingMonitor.for_loss(innermost(loss_of_set(self.loss, name)), resumed=resumed)
            for name in self._training_sets or [None]
        }
        self._unread_stats = {name: UnreadStats() for name in self._monitors}
        reset_warnings(self.loss)

    def _check_finite(self) -> None:
        """Raise an error if a weight is not finite. `CheckpointingTrainer` has it, because it names a checkpoint."""
        raise NotImplementedError

    def _defers_reading(self) -> bool:
        """Return whether statistics and checks stay on the device, because reading them would wait for it."""
        return self.args.device.type == "cuda"

    def _read_stats(self) -> None:
        for name, unread in self._unread_stats.items():
            for batch in unread.read():
                self._monitors[name].observe(batch[0], norm=self._log_stats.add(*batch))

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log as in `transformers.Trainer.log`. Add the statistics of the batches since the last entry with a loss."""
        if "train_loss" in logs and not self._ran_a_step:
            del logs["train_loss"]
        if "loss" in logs:
            self._read_stats()
        if any(name in logs and not math.isfinite(logs[name]) for name in ("loss", "grad_norm")):
            self._check_finite()
        if "loss" in logs:
            logs.update(self._log_stats.compute_and_reset(self.args.device))
            if self._chunks:
                logs["chunks_skipped"] = round(1 - self._chunks_with_gradient / self._chunks, 4)
                self._chunks = self._chunks_with_gradient = 0
        super().log(logs, *args, **kwargs)
