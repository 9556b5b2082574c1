"""The time of a step is measured before a training, within the time that there is, and without warnings."""

import time

from tercet._events import WarningKind, collect_warnings
from tercet.losses import BatchSemiHardTripletLoss
from tercet.trainer.steps.pace import seconds_per_step
from tests.trainer.helpers import make_trainer


def test_slow_steps_are_measured_for_a_limited_time(bert, labelled, tmp_path, monkeypatch):
    trainer = make_trainer(bert, tmp_path, labelled, changes={"per_device_train_batch_size": 4})
    steps, step = [], trainer._training_step

    def slow_step(*args, **kwargs):
        steps.append(None)
        time.sleep(0.2)
        return step(*args, **kwargs)

    monkeypatch.setattr(trainer, "_training_step", slow_step)
    assert seconds_per_step(trainer, most_seconds=0.1) >= 0.2
    assert len(steps) == 1  # Without a measured step, no time would be known.
    assert seconds_per_step(trainer, most_seconds=0.3) >= 0.2
    assert len(steps) == 3
    seconds_per_step(trainer)
    assert len(steps) > 5


def test_the_measured_steps_give_no_warnings_and_the_training_gives_them(bert, labelled, tmp_path):
    def tiny_margin(model, **_):
        return BatchSemiHardTripletLoss(model, margin=1e-9)

    trainer = make_trainer(bert, tmp_path, labelled, tiny_margin)
    with collect_warnings() as measured:
        seconds_per_step(trainer)
    assert not measured
    with collect_warnings() as trained:
        trainer.train()
    assert WarningKind.SMALL_MARGIN in {warning.kind for warning in trained}
