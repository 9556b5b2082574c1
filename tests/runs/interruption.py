"""Interrupt a run at a step, as Ctrl-C does."""

from contextlib import contextmanager

import pytest

from tercet.runs import TrainingInterrupted
from tercet.trainer.logs.callbacks import StopOnInterrupt


@contextmanager
def interrupted_at(step, monkeypatch):
    """Interrupt the run inside the `with` block after this step, and expect that it raises `TrainingInterrupted`."""
    original = StopOnInterrupt.on_step_end

    def interrupt(self, args, state, control, **kwargs):
        if state.global_step == step:
            self.interrupted = True
        original(self, args, state, control, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(StopOnInterrupt, "on_step_end", interrupt)
        with pytest.raises(TrainingInterrupted):
            yield
