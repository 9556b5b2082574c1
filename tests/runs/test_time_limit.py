"""The number of steps of a run, and the time that is logged for them."""

import logging

import pytest

from tercet.runs import RunSettings
from tercet.runs.time_limit import plan_steps
from tests.trainer.helpers import make_trainer


@pytest.mark.parametrize("fsdp", [False, True])
def test_the_time_of_a_model_that_has_to_be_sharded_is_not_measured(fsdp, bert, labelled, tmp_path, caplog):
    """Measuring it would need the memory of the whole model with its optimizer, in each process."""
    caplog.set_level(logging.INFO, logger="tercet")
    settings = RunSettings(fsdp=fsdp, max_steps=60, epochs=1)
    trainer = make_trainer(bert, tmp_path, labelled)
    assert plan_steps(trainer, settings, None, elapsed=0.0, reserve=0.0, can_skip=False) == 60
    assert ("training the encoder takes about" in caplog.text) is not fsdp
