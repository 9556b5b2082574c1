"""The time of a step is measured before a training, within the time that there is, and without warnings."""

import pytest
import torch

from tercet._events import WarningKind, collect_warnings
from tercet.losses import BatchSemiHardTripletLoss
from tercet.trainer.steps import pace
from tests.trainer.helpers import make_trainer


@pytest.mark.parametrize(("max_seconds", "steps"), [(1.0, 2), (22.0, 2), (27.0, 3), (60.0, 3)])
def test_the_measurement_ends_in_time_but_not_after_the_first_step(
    max_seconds, steps, bert, labelled, tmp_path, monkeypatch
):
    trainer = make_trainer(bert, tmp_path, labelled, changes={"per_device_train_batch_size": 4})
    # The clock is read at the start and at the end of each step: the first one takes 20 s, the others 5 s.
    ends = [20.0, 5.0, 5.0, 5.0, 5.0]
    readings = iter([reading for number, end in enumerate(ends) for reading in (100.0 * number, 100.0 * number + end)])
    monkeypatch.setattr(pace.time, "perf_counter", lambda: next(readings))
    assert pace.seconds_per_step(trainer, max_seconds=max_seconds) == 5.0
    assert len(list(readings)) == 10 - 2 * steps


def test_the_measured_steps_give_no_warnings_and_the_training_gives_them(bert, labelled, tmp_path):
    def tiny_margin(model, **_):
        return BatchSemiHardTripletLoss(model, margin=1e-9)

    trainer = make_trainer(bert, tmp_path, labelled, tiny_margin)
    with collect_warnings() as measured:
        pace.seconds_per_step(trainer)
    assert not measured
    with collect_warnings() as trained:
        trainer.train()
    assert WarningKind.SMALL_MARGIN in {warning.kind for warning in trained}


@pytest.mark.parametrize("bf16", [False, True])
def test_steps_are_measured_in_the_precision_of_the_training(bf16, bert, labelled, tmp_path):
    trainer = make_trainer(bert, tmp_path, labelled, changes={"bf16": bf16, "use_cpu": True})
    seen = []
    trainer.model.input_module.register_forward_pre_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    pace.seconds_per_step(trainer)
    measured, seen[:] = set(seen), []
    trainer.train()
    assert measured == set(seen) == {bf16}
