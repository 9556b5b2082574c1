"""Find out before the first step whether an evaluation returns the metric that decides which model is the best."""

from collections.abc import Iterable
from typing import Any

from transformers.trainer_utils import IntervalStrategy

from tercet.errors import DataError, did_you_mean, listed
from tercet.evaluation.sentence_evaluator import metric_names_of

_PREFIX = "eval_"
# `transformers` adds these to the metrics of every evaluation.
_TIMES = ("runtime", "samples_per_second", "steps_per_second", "model_preparation_time")
# The packages whose classes do not add metrics of their own.
_KNOWN = ("tercet.", "transformers.")
_METHODS = ("evaluate", "evaluation_loop", "_run_evaluator")


def check_best_metric(trainer: Any) -> None:
    """Check the training argument `metric_for_best_model` of a trainer.

    Nothing is checked if the user wrote an evaluator, a callback or the class of the trainer, which may return any
    metric.

    Args:
        trainer: the trainer, before its first step.

    Raises:
        DataError: no evaluation returns the metric.
    """
    wanted = trainer.args.metric_for_best_model
    if wanted is None or trainer.args.eval_strategy == IntervalStrategy.NO:
        return
    if _may_add_metrics(trainer) or (found := _metrics(trainer)) is None:
        return
    name = wanted.removeprefix(_PREFIX)
    if name in found or name in _TIMES:
        return
    names = sorted(found)
    if name == "loss":  # the default of `transformers`
        raise DataError(
            "load_best_model_at_end compares the loss by default, which no evaluation of this run computes; pass "
            f"metric_for_best_model, one of {listed(names, 20)}"
        )
    hint = did_you_mean(name, names)
    raise DataError(
        f"metric_for_best_model={wanted!r} is not among the metrics of an evaluation; {hint}choose from "
        f"{listed(names, 20)}"
    )


def _may_add_metrics(trainer: Any) -> bool:
    """Return whether code of the user may add metrics to those of the evaluators."""
    owners = [getattr(type(trainer), name).__module__ for name in _METHODS]
    owners += [type(callback).on_evaluate.__module__ for callback in trainer.callback_handler.callbacks]
    return not all(owner.startswith(_KNOWN) for owner in owners)


def _metrics(trainer: Any) -> set[str] | None:
    """Return the metrics of an evaluation without their prefix `eval_`; None if they cannot be known."""
    data = trainer.eval_dataset
    sets = data if isinstance(data, dict) else {None: data}
    found: set[str] = set()
    for name, dataset in sets.items():
        evaluators = trainer.evaluators or trainer._default_evaluators(dataset)
        names = metric_names_of(evaluators) if _are_of_tercet(evaluators) else None
        if names is None:
            return None
        if len(dataset):
            names.add("loss")
        found |= names if name is None else {f"{name}_{metric}" for metric in names}
    return found


def _are_of_tercet(evaluators: Iterable[Any]) -> bool:
    """Return whether all evaluators, and those in a `SequentialEvaluator`, are of classes of Tercet."""
    return all(
        type(evaluator).__module__.startswith(_KNOWN) and _are_of_tercet(getattr(evaluator, "evaluators", ()))
        for evaluator in evaluators
    )
