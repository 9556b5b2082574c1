"""What a run does beside its steps: a bar for the user, a good end at Ctrl-C, a clock, when to measure."""

import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from tqdm.auto import tqdm
from transformers import Trainer, TrainerCallback

from tercet._distributed import world_size
from tercet._gather import all_reduce_sum


def default_progress_callback(trainer: Trainer) -> type[TrainerCallback]:
    """The progress bar that the trainer adds by itself; it writes logs to standard output, which is for results."""
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    added = {type(callback) for callback in trainer.callback_handler.callbacks}
    return ProgressCallback if ProgressCallback in added else PrinterCallback


class ProgressBar(TrainerCallback):
    """A bar on standard error, with the latest loss, share of active triplets and MAP@R."""

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
        for key, name, form in self._SHOWN:
            if key in logs:
                self._latest[name] = format(logs[key], form)
        self.bar.set_postfix(self._latest)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.bar is not None:
            self.bar.close()


class UseCurrentIntervals(TrainerCallback):
    """Measures, logs and saves as often as this run was asked to, where a checkpoint remembers another rhythm."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        state.compute_steps(args, state.max_steps)


class StopOnInterrupt(TrainerCallback):
    """At Ctrl-C, end the step, write a checkpoint and stop; at the second one, stop at once."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle Ctrl-C in this way while the block runs."""
        before = signal.getsignal(signal.SIGINT)
        if before is signal.SIG_IGN:  # as `nohup` and a shell's `&` ask
            yield
            return

        def ask(number: int, frame: Any) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True

        try:
            signal.signal(signal.SIGINT, ask)
        except ValueError:  # not in the main thread, where no signal arrives
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if world_size() > 1:  # the signal reaches them in different steps, and they must stop after the same
            self.asked = bool(all_reduce_sum(torch.tensor(float(self.asked), device=args.device)))
        if self.asked:
            control.should_save = True
            control.should_training_stop = True


class EvaluateEvenly(TrainerCallback):
    """Evaluates so many times over the whole run, evenly, at the last step too."""

    def __init__(self, times: int) -> None:
        self._times = times

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        done = state.global_step * self._times // state.max_steps
        if done > (state.global_step - 1) * self._times // state.max_steps:
            control.should_evaluate = True


class StepTimer(TrainerCallback):
    """Seconds from the end of one step to the end of the next, where nothing but the step was in between."""

    # Memory is laid out, kernels are chosen and packing is tried in the first steps.
    FIRST = 5

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._since: float | None = None

    def median(self) -> float | None:
        """Seconds a step, without the first steps (of a short run without its first half)."""
        return statistics.median(self.seconds[min(self.FIRST, len(self.seconds) // 2) :]) if self.seconds else None

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._since is None:
            self._since = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        now = time.perf_counter()
        if self._since is not None:
            self.seconds.append(now - self._since)
        self._since = now

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._since = None

    on_save = on_epoch_begin = on_evaluate
