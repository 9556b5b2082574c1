"""Log the statistics of batches, and give them to the monitors, which warn if training fails."""

import math
from typing import Any

from torch import Tensor, nn

from tercet.catalogue import DEFAULT_MARGIN
from tercet.trainer.batches.collating_ahead import CollatingAheadTrainer
from tercet.trainer.logs.log_stats import LogStats
from tercet.trainer.logs.monitor import TrainingMonitor
from tercet.trainer.logs.unread_stats import UnreadStats
from tercet.trainer.logs.weight_changes import relative_change, sample_weights, weight_sums
from tercet.trainer.loss.kinds import innermost, loss_of_set, reset_warnings


class MonitoringTrainer(CollatingAheadTrainer):
    """The part of `SentenceTransformerTrainer` that logs what a run has seen."""

    _log_stats: LogStats
    _monitors: dict[str | None, TrainingMonitor]
    _unread_stats: dict[str | None, UnreadStats]
    _ran_a_step: bool
    _chunks: int
    _chunks_with_gradient: int
    # The sums and a sample of the weights before the training, and whether they had changed before the best ones were
    # loaded; False if none are.
    _start_weights: tuple[list[float], dict[str, Tensor]]
    _changed_weights: bool
    # True from the training of a linear head to the end of the training of the encoder.
    _has_new_head: bool = False

    def _start_monitoring(self, *, resumed: bool) -> None:
        """Reset the statistics and the once-per-run warnings, because a trainer may run several times."""
        self._log_stats = LogStats()
        # One for each data set, or one under the name None.
        losses = {name: innermost(loss_of_set(self.loss, name)) for name in self._training_sets or [None]}
        self._monitors = {
            name: TrainingMonitor.for_loss(loss, resumed=resumed, after_head=self._has_new_head)
            for name, loss in losses.items()
        }
        self._unread_stats = {name: UnreadStats() for name in self._monitors}
        reset_warnings(
            self.loss, small_margin=not (self._has_new_head and all(map(_has_usual_margin, losses.values())))
        )

    def _remember_weights(self, model: nn.Module) -> None:
        """Remember the weights, to find out at the end whether the training has changed them."""
        self._start_weights = weight_sums(model), sample_weights(model)

    def _finalize_training(self, *args: Any, **kwargs: Any) -> Any:
        """Find out whether a weight has changed, before the best weights are loaded."""
        self._changed_weights = self.args.load_best_model_at_end and self._has_changed_weights()
        return super()._finalize_training(*args, **kwargs)  # type: ignore[no-untyped-call]

    def _has_changed_weights(self) -> bool:
        sums, _ = self._start_weights
        return not sums or weight_sums(self.model) != sums

    def _finish_monitoring(self) -> None:
        """Check the run as a whole, after its last step."""
        unchanged = not self._has_changed_weights()
        change = relative_change(self.model, self._start_weights[1])
        for number, monitor in enumerate(self._monitors.values()):
            monitor.finish(
                is_complete=self.state.global_step == self.state.max_steps,
                unchanged=unchanged and number == 0,
                restored=unchanged and self._changed_weights and number == 0,
                relative_change=change if number == 0 else math.nan,
                device=self.args.device,
            )

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


def _has_usual_margin(loss: nn.Module) -> bool:
    """Return whether the margin is at least the default one: a head may satisfy it, and a smaller one is a mistake."""
    margin = getattr(loss, "margin", 0.0)
    return isinstance(margin, (int, float)) and margin >= DEFAULT_MARGIN
