"""The line of progress for logs."""

import time
from types import SimpleNamespace

from tercet.trainer.logs.callbacks import ProgressLog


def test_the_time_that_is_left_is_never_zero_minutes(caplog, monkeypatch):
    caplog.set_level("INFO", "tercet")
    monkeypatch.setattr(ProgressLog, "SECONDS", 0.0)
    now = iter([100.0, 100.0, 140.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    progress = ProgressLog()
    progress.on_train_begin(None, SimpleNamespace(global_step=0), None)
    progress.on_step_end(None, SimpleNamespace(global_step=40, max_steps=52, is_world_process_zero=True), None)
    assert "training: step 40 of 52, about 12 s left" in caplog.text
