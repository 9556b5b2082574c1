"""Keep the best state of a model on disk: measure it on validation rows before training and after each epoch."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from tercet._distributed import is_first_process, wait_for_all
from tercet._files import atomic_file, parse_json, write_json
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError
from tercet.trainer.checkpoints.weights import load_weights
from tercet.trainer.steps.sharding import gathered_model

logger = logging.getLogger(__name__)

# The training stops after this number of epochs in a row without improvement.
_PATIENCE = 2


class KeepBest(TrainerCallback):
    """A callback that keeps the best state of the model in a folder, and stops when it no longer improves.

    All processes must get the same score. The scores are stored with the state, so that a resumed run continues them.

    Args:
        model: the model that is trained.
        score: returns the score of the model in its current state; higher is better.
        folder: the folder for the state of the model and the scores.

    Attributes:
        scores: the score by step; step 0 is the state before the training.
    """

    def __init__(self, model: SentenceTransformer, score: Callable[[], float], folder: Path) -> None:
        self._model, self._score = model, score
        self._state, self._stored = folder / "model", folder / "scores.json"
        self.scores: dict[int, float] = {}

    @property
    def best_step(self) -> int:
        """The step of the best state, the first one of equal scores."""
        return max(self.scores, key=lambda step: self.scores[step])

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure the state before the training, or read the scores of the run that is resumed."""
        self.scores = {}
        if state.global_step:
            stored = self._stored_scores()
            # A later score belongs to steps after the checkpoint, which are repeated with the same result.
            self.scores = {int(step): score for step, score in stored.items() if int(step) <= state.global_step}
        else:
            self._measure(0, "before the training of the encoder")

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure the model, keep it if it is the best so far, and stop the training if it no longer improves."""
        # Ctrl-C ends an epoch early. The resumed run measures it when it is complete.
        complete = math.isclose(state.epoch, round(state.epoch), abs_tol=1e-6) or state.global_step >= state.max_steps
        if state.global_step in self.scores or not complete:
            return
        self._measure(state.global_step, f"after epoch {state.epoch:.3g}")
        since_best = sum(step > self.best_step for step in self.scores)
        if since_best >= _PATIENCE and state.global_step < state.max_steps:
            logger.info(f"the training ends early: {since_best} epochs in a row without improvement")
            control.should_training_stop = True

    def _measure(self, step: int, when: str) -> None:
        with gathered_model(self._model):
            self._measure_whole(step, when)

    def _measure_whole(self, step: int, when: str) -> None:
        was_training = self._model.training
        self.scores[step] = float(self._score())
        self._model.train(was_training)
        logger.info(f"validation rows {when}: MAP@R {self.scores[step]:.4f}")
        if is_first_process():
            if step == self.best_step:
                self._model.save_pretrained(self._state)
            with atomic_file(self._stored) as partial:
                write_json(partial, self.scores)
        wait_for_all()

    def _stored_scores(self) -> dict[str, float]:
        try:
            stored: dict[str, float] = parse_json(self._stored.read_bytes())
        except (OSError, ValueError) as error:
            raise DataError(
                f"cannot resume: {self._stored}, the scores of the run so far, cannot be read ({error}); remove "
                f"{self._stored.parent.parent} to start a new run"
            ) from None
        return stored

    def load_best(self) -> int:
        """Load the best state into the model, and return its step.

        The folder stays: if the model cannot be saved after the training, the run is resumed with it.
        """
        step = self.best_step
        if step != max(self.scores):
            load_weights(self._model, self._state)
            self._model.remember_weights()
        return step
