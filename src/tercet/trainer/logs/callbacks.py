"""Callbacks of the trainer: progress bar, stop at Ctrl-C, evaluation intervals, step timer."""

import logging
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from tqdm.auto import tqdm
from transformers import Trainer, TrainerCallback

from tercet._display import duration
from tercet._distributed import world_size
from tercet._gather import all_reduce_sum

logger = logging.getLogger(__name__)


def default_progress_callback(trainer: Trainer) -> type[TrainerCallback]:
    """Return the class of the progress callback that `transformers` added to the trainer.

    This callback prints the logs to standard output. Remove it if standard output is for results.
    """
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    added = {type(callback) for callback in trainer.callback_handler.callbacks}
    return ProgressCallback if ProgressCallback in added else PrinterCallback


class ProgressBar(TrainerCallback):
    """A progress bar on standard error with the latest loss, active fraction and MAP@R.

    Args:
        title: the text in front of the bar.
        leave: whether the bar stays on the screen when the run ends.
    """

    _SHOWN = (("loss", "loss", ".4f"), ("active_fraction", "active", ".0%"), ("eval_map@r", "MAP@R", ".4f"))

    def __init__(self, title: str = "Train", *, leave: bool = True) -> None:
        self.bar: Any = None
        self._latest: dict[str, str] = {}
        self._title, self._leave = title, leave

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._latest = {}
        if state.is_world_process_zero:
            start, title = state.global_step, self._title
            self.bar = tqdm(total=state.max_steps, initial=start, desc=title, unit="step", leave=self._leave)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.bar is not None:
            self.bar.update(state.global_step - self.bar.n)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if self.bar is None or not logs:
            return
        for key, name, number_format in self._SHOWN:
            if key in logs:
                self._latest[name] = format(logs[key], number_format)
        self.bar.set_postfix(self._latest)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.close()

    def close(self) -> None:
        """End the bar and its line, so that a message after it starts on a new line."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class ProgressLog(TrainerCallback):
    """A callback that logs the progress at most every 30 seconds, for logs and pipes, where a bar is not readable."""

    SECONDS = 30.0

    def __init__(self, title: str = "training") -> None:
        self._title, self._loss = title, ""
        self._start = self._last = time.monotonic()
        self._first_step = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._start = self._last = time.monotonic()
        self._first_step = state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if logs and "loss" in logs:
            self._loss = f", loss {float(logs['loss']):.4f}"

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        now, done = time.monotonic(), state.global_step - self._first_step
        if now - self._last < self.SECONDS or not state.is_world_process_zero:
            return
        self._last = now
        left = (now - self._start) / done * (state.max_steps - state.global_step)
        logger.info(
            f"{self._title}: step {state.global_step} of {state.max_steps}{self._loss}, about {duration(left)} left"
        )


class UseCurrentIntervals(TrainerCallback):
    """A callback that makes a resumed run use the evaluation, logging and saving intervals of its arguments.

    By default, `transformers` uses the intervals that are stored in the checkpoint.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        state.compute_steps(args, state.max_steps)


class SetEpoch(TrainerCallback):
    """A callback that sets the epoch of the batch sampler.

    In an epoch that is resumed midway, `transformers` skips batches with a batch sampler around this one. Before 5.17
    it sets only the epoch of the outer one, so the rows would be drawn in the order of the first epoch.
    """

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        sampler: Any = getattr(kwargs["train_dataloader"], "batch_sampler", None)
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(int(state.epoch or 0))


class LogByLength(TrainerCallback):
    """A callback that logs about 20 times in a run, at least every 500 steps, so that a short run shows its loss."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        state.logging_steps = max(1, min(500, state.max_steps // 20))


class StopOnInterrupt(TrainerCallback):
    """A callback that stops training at Ctrl-C, after the current step and a checkpoint.

    It acts only inside `handling_interrupts`. A second Ctrl-C raises `KeyboardInterrupt` at once, without a checkpoint.

    Attributes:
        interrupted: whether Ctrl-C was pressed in this process, or (known at the end of a step) in any process.
    """

    def __init__(self) -> None:
        self.interrupted = False

    @contextmanager
    def handling_interrupts(self) -> Iterator[None]:
        """Install the signal handler for Ctrl-C inside the `with` block.

        Do nothing if the parent process ignores Ctrl-C, or outside the main thread.
        """
        previous = signal.getsignal(signal.SIGINT)
        if previous is signal.SIG_IGN:  # The parent ignores Ctrl-C (`nohup`, `&` in a script).
            yield
            return

        def interrupt(number: int, frame: Any) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True

        try:
            signal.signal(signal.SIGINT, interrupt)
        except ValueError:  # Python allows signal handlers only in the main thread.
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if world_size() > 1:  # Processes may receive the signal in different steps, but must stop after the same step.
            self.interrupted = bool(all_reduce_sum(torch.tensor(float(self.interrupted), device=args.device)))
        if self.interrupted:
            control.should_save = True
            control.should_training_stop = True


class LogFirstStep(TrainerCallback):
    """A callback that logs once how long it took from `start`, by `time.monotonic`, to the end of the first step."""

    def __init__(self, start: float) -> None:
        self._start, self._logged = start, False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not self._logged and state.is_world_process_zero:
            logger.info(f"first step of the training after {duration(time.monotonic() - self._start)}")
        self._logged = True


class EvaluateEvenly(TrainerCallback):
    """A callback that evaluates `num_evaluations` times at evenly spaced steps, the last time after the last step.

    If the run has fewer steps, it evaluates after each step.
    """

    def __init__(self, num_evaluations: int) -> None:
        self._num_evaluations = num_evaluations

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        due, due_before = (
            step * self._num_evaluations // state.max_steps for step in (state.global_step, state.global_step - 1)
        )
        if due > due_before:
            control.should_evaluate = True


class StepTimer(TrainerCallback):
    """A callback that measures the seconds from the end of one step to the end of the next.

    After an evaluation, a checkpoint or the start of an epoch, it measures from the beginning of the step instead.
    """

    # The first steps are slower: PyTorch allocates memory and selects kernels, and the encoder tests packing.
    WARMUP_STEPS = 5

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._start: float | None = None

    def median(self) -> float | None:
        """Return the median seconds per step, or None if there was no step.

        It leaves out the first `WARMUP_STEPS` steps, but at most half of all steps.
        """
        warmup = min(self.WARMUP_STEPS, len(self.seconds) // 2)
        return statistics.median(self.seconds[warmup:]) if self.seconds else None

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._start is None:
            self._start = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        now = time.perf_counter()
        if self._start is not None:
            self.seconds.append(now - self._start)
        self._start = now

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._start = None

    on_save = on_epoch_begin = on_evaluate
