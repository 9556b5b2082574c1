"""Report a run to experiment trackers: its settings, the log of the trainer, and the metrics before and after training.

The callbacks of `transformers` do the work. They are run by one callback, because they would start after the first
evaluation and end before the last one, and because an error of a tracker must not end a run.
"""

import copy
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl
from transformers.integrations.integration_utils import default_logdir, get_reporting_integration_callbacks

from tercet._events import WarningKind, emit_warning
from tercet._files import beside, expand_path, home_of, resolve_path
from tercet.errors import DataError
from tercet.runs.measurement import Measurement
from tercet.runs.trackers import tracker_names


def _forward(event: str) -> Callable[..., None]:
    """Return a method of `Trackers` that passes an event of the trainer on to all trackers."""

    def handle(self: "Trackers", args: Any, state: Any, control: Any, **options: Any) -> None:
        self._send(event, **options)

    return handle


def logs_dir(output: Path) -> Path:
    """Return the folder for the files of trackers: `OUTPUT.logs` beside the model, or inside of a mounted folder."""
    target = resolve_path(output)
    return expand_path(output) / "logs" if home_of(target) == target else beside(output, ".logs")


class Trackers(TrainerCallback):
    """A callback that runs the experiment trackers of a run.

    A tracker that fails after its start is turned off, with a warning.

    Args:
        report_to: the names of the trackers, separated by commas; None for no tracker.
        output: the folder for the model. The files of TensorBoard are written to `logs_dir(output)`.
    """

    def __init__(self, report_to: str | None, output: Path) -> None:
        self._names, self._output = tracker_names(report_to), output
        self._has_first_metrics = False
        self._active: dict[str, Any] = {}
        self._owns_wandb = False
        self._call: Callable[..., tuple[Any, ...]] = tuple

    def start(self, trainer: Any, config: Mapping[str, Any]) -> None:
        """Start the trackers.

        Args:
            trainer: the trainer of the run.
            config: the settings of the run, which the trackers show.

        Raises:
            DataError: a tracker cannot start.
        """
        if not self._names:
            return
        logs = logs_dir(self._output)
        args = copy.copy(trainer.args)
        args.run_name = args.run_name or self._output.name
        # The trackers show `to_dict`, and `transformers` derives the other forms from it.
        args.to_dict = lambda: dict(config)
        at_start = copy.copy(args)
        at_start.output_dir = str(logs)
        self._call = lambda: (args, copy.copy(trainer.state), TrainerControl())
        for name, create in zip(self._names, get_reporting_integration_callbacks(self._names), strict=True):
            try:
                tracker = create()
                self._owns_wandb = self._owns_wandb or (name == "wandb" and sys.modules["wandb"].run is None)
                if getattr(tracker, "logging_dir", "") is None:  # TensorBoard
                    tracker.logging_dir = str(logs / Path(default_logdir()).name)
                tracker.on_init_end(at_start, *self._call()[1:], model=trainer.model)
                tracker.on_train_begin(*self._call(), model=trainer.model)
            except Exception as error:  # Each tracker has its own exceptions.
                raise DataError(
                    f"report_to={name!r} cannot start: {_reason(error)}; correct that, or leave out report_to"
                ) from error
            self._active[name] = tracker

    def log_evaluation(self, measured: Measurement | None) -> None:
        """Report the metrics of an evaluation before or after training, by protocol, at the current step.

        Those after training are reported at step 1 if only a head was trained, which has no steps of the trainer.
        """
        by_protocol = measured.metrics if measured is not None else {}
        logs = {f"eval_{key}_{name}": value for key, part in by_protocol.items() for name, value in part.items()}
        self._send("on_log", first_step=int(self._has_first_metrics), logs=logs)
        self._has_first_metrics = True

    def finish(self) -> None:
        """End the trackers, which may send what they have kept."""
        self._send("on_train_end")
        if self._owns_wandb and "wandb" in self._active:
            sys.modules["wandb"].finish()  # The callback leaves its run open, so that the next run would join it.
        self._active.clear()

    # `start` and `finish` send on_train_begin and on_train_end.
    on_epoch_begin, on_epoch_end = _forward("on_epoch_begin"), _forward("on_epoch_end")
    on_step_begin, on_step_end = _forward("on_step_begin"), _forward("on_step_end")
    on_evaluate, on_save, on_log = _forward("on_evaluate"), _forward("on_save"), _forward("on_log")

    def _send(self, event: str, *, first_step: int = 0, **options: Any) -> None:
        if options.get("logs"):  # Some trackers refuse the character @ in names.
            options["logs"] = {name.replace("@", "_at_"): value for name, value in options["logs"].items()}
        for name, tracker in list(self._active.items()):
            args, state, control = self._call()
            state.global_step = max(first_step, state.global_step)
            try:
                getattr(tracker, event)(args, state, control, **options)
            except Exception as error:
                del self._active[name]
                emit_warning(
                    WarningKind.TRACKER_FAILED,
                    f"the tracker {name} failed and gets no more metrics of this run: {_reason(error)}",
                )


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]
