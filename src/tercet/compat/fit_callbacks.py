"""Callbacks of `model.fit`: evaluate, call the function of the user, save the model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback


class FitEvaluation(TrainerCallback):
    """A callback that evaluates after each epoch and every few steps of it, and saves the best model.

    Args:
        model: the model.
        evaluator: a function from the model to a number or a dictionary of metrics.
        steps: the number of steps between evaluations within an epoch; 0 for none.
        best_path: the folder of the best model; None does not save it.
        output_path: the folder in which `eval` is for files of the evaluator; None for none.
        callback: a function that is called with score, epoch and steps; None for none.
    """

    def __init__(
        self,
        model: Any,
        evaluator: Any,
        steps: int,
        best_path: str | Path | None,
        output_path: str | Path | None,
        callback: Callable[[float, float, int], None] | None,
    ) -> None:
        self._model, self._evaluator, self._steps, self._best_path = model, evaluator, steps, best_path
        self._callback, self._folder = callback, None if output_path is None else Path(output_path) / "eval"
        self._best: float | None = None
        self._first_step = 0

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count the steps from here."""
        self._first_step = state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate if it is time to."""
        if self._steps > 0 and (state.global_step - self._first_step) % self._steps == 0:
            self._evaluate(state)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate."""
        self._evaluate(state)

    def _evaluate(self, state: Any) -> None:
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        was_training = self._model.training
        self._model.eval()
        folder = None if self._folder is None else str(self._folder)
        result = self._evaluator(self._model, output_path=folder, epoch=state.epoch, steps=state.global_step)
        self._model.train(was_training)
        score = _score(result, getattr(self._evaluator, "primary_metric", None))
        if self._callback is not None:
            self._callback(score, state.epoch, state.global_step)
        better = self._best is None or (
            score > self._best if getattr(self._evaluator, "greater_is_better", True) else score < self._best
        )
        if better:
            self._best = score
            if self._best_path is not None:
                self._model.save_pretrained(self._best_path)


class SaveAtEnd(TrainerCallback):
    """A callback that saves the model at the end of the training."""

    def __init__(self, model: Any, path: str | Path) -> None:
        self._model, self._path = model, path

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save the model."""
        self._model.save_pretrained(self._path)


def _score(result: Any, primary: str | None) -> float:
    """Return the score of an evaluation: a number, the primary metric of a dictionary, or else its first metric."""
    if not isinstance(result, dict):
        return float(result)
    found = [value for name, value in result.items() if primary is not None and name.endswith(primary)]
    return float(found[0] if found else next(iter(result.values())))
