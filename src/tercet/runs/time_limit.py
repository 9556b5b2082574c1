"""Fit the number of steps of a training to a time limit, and say how long the training will take."""

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

from transformers import TrainerState

from tercet._durations import in_words
from tercet._gather import number_of_first
from tercet.errors import DataError
from tercet.runs.build import logging_interval, warmup
from tercet.runs.settings import RunSettings
from tercet.trainer.checkpoints.writing import seconds_to_write
from tercet.trainer.steps.pace import MEASURED_STEPS, seconds_per_step
from tercet.trainer.trainer import SentenceTransformerTrainer

logger = logging.getLogger(__name__)

# Shorter trainings end before their time could be measured.
_MIN_STEPS_TO_ESTIMATE = 50
_MIN_STEPS = 10
# The fraction of the remaining time that the measurement of steps may take. If a step takes longer, fewer than
# `_MIN_STEPS` fit.
_MEASURED_FRACTION = 0.2
# A checkpoint has three numbers for each weight: itself and two of AdamW.
_CHECKPOINT = 3
# A step computes its rows forward and backward, which takes about three times as long as embedding them.
EMBEDDING_PER_STEP = 1 / 3


def plan_steps(
    trainer: SentenceTransformerTrainer,
    settings: RunSettings,
    checkpoint: Path | None,
    *,
    elapsed: float,
    reserve: float,
    can_skip: bool,
    rows_after: int = 0,
    rows_per_epoch: int = 0,
    seconds_per_row: float | None = None,
    seconds_to_fit: Callable[[], float] | None = None,
) -> int:
    """Return the number of steps of the training, after logging the expected time. It is unknown with `fsdp`.

    With a time limit, set the number of steps of the trainer to those that fit, so that its schedule ends in time.

    Args:
        trainer: the trainer, before the training.
        settings: the settings of the run.
        checkpoint: the checkpoint to resume from. The run keeps the number of steps that it stores.
        elapsed: the seconds of the run before this call.
        reserve: the seconds that the run needs after the training.
        can_skip: whether 0 may be returned, if the limit leaves no time for the training.
        rows_after: the number of rows that the run embeds after the training, besides those in `reserve`.
        rows_per_epoch: the number of rows that it embeds before the training and after each epoch.
        seconds_per_row: the seconds to embed a row; None estimates them by those of a step.
        seconds_to_fit: estimates the seconds to fit the classifier after the training, if there is one. It is called
            only if the time is estimated, because it fits a small classifier.

    Raises:
        DataError: the time limit is too short for the training, and `can_skip` is False.
    """
    per_epoch = len(trainer.get_train_dataloader())
    assert settings.epochs is not None
    steps = settings.max_steps if settings.max_steps > 0 else math.ceil(settings.epochs * per_epoch)
    if checkpoint is not None:
        if settings.time_limit is not None:
            state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
            _set_steps(trainer, settings, state.max_steps)
            return int(state.max_steps)
        return steps
    # The measurement runs the model before it is sharded, for which one GPU may not have the memory.
    if settings.fsdp or (settings.time_limit is None and steps < _MIN_STEPS_TO_ESTIMATE):
        return steps
    start = time.monotonic()
    if seconds_to_fit is not None:
        reserve += seconds_to_fit()
    left = math.inf if settings.time_limit is None else settings.time_limit - elapsed - reserve
    seconds = seconds_per_step(trainer, max_seconds=left * _MEASURED_FRACTION)
    if seconds_per_row is None:
        seconds_per_row = EMBEDDING_PER_STEP * seconds / settings.batch_size
    # Before the first epoch, and after the last one, which may be incomplete.
    reserve += (rows_after + 2 * rows_per_epoch) * seconds_per_row
    with_epochs = seconds + rows_per_epoch * seconds_per_row / per_epoch
    to_save = seconds_to_write(Path(str(trainer.args.output_dir)), trainer.model.save_pretrained)
    with_epochs += _CHECKPOINT * to_save / (settings.save_every or per_epoch)
    if rows_per_epoch:  # The best state is kept, at first that before the training.
        reserve += to_save
        with_epochs += to_save / per_epoch
    if settings.time_limit is not None:
        elapsed += time.monotonic() - start
        fitting = math.floor((settings.time_limit - elapsed - reserve) / with_epochs)
        # The processes measure other times, but must end after the same step.
        fitting = number_of_first(fitting, trainer.args.device)
        if fitting < min(_MIN_STEPS, steps):
            # With more time, more steps are measured.
            needed = math.ceil(elapsed + reserve + (MEASURED_STEPS + min(_MIN_STEPS, steps)) * with_epochs)
            if not can_skip:
                raise DataError(
                    f"time_limit={settings.time_limit:g} is too short to train the encoder; at least {needed} s "
                    "are needed on this machine"
                )
            logger.warning(
                f"the time limit of {settings.time_limit:g} s leaves no time to train the encoder, for which the run "
                f"needs at least {needed} s; only the head is trained"
            )
            return 0
        steps = min(steps, fitting)
        _set_steps(trainer, settings, steps)
    logger.info(
        f"training the encoder takes about {in_words(steps * with_epochs)}: {steps:,} steps of {seconds:.2g} s "
        f"({steps / per_epoch:.3g} epochs)"
        + (f"; what follows takes about {in_words(reserve)}" if reserve >= 1 else "")
    )
    return steps


def _set_steps(trainer: SentenceTransformerTrainer, settings: RunSettings, steps: int) -> None:
    trainer.args.max_steps = steps
    trainer.args.warmup_steps = warmup(settings, steps)
    trainer.args.logging_steps = logging_interval(steps)
