"""Find the number of steps of each run, for a budget in steps, epochs or minutes."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from tercet.comparison.plan import DEFAULT_EPOCHS, Variant
from tercet.comparison.subprocess_runner import run_in_subprocess
from tercet.comparison.trial import Trial, run_trial
from tercet.data.sampling.sampler import GroupByLabelSampler
from tercet.records import ComparisonRecord
from tercet.runs.settings import RunSettings

# The number of steps in which the seconds per step are measured. The timer leaves out the first ones, which are slower.
_TIMED_STEPS = 15


def budget_steps(settings: RunSettings, label_ids: np.ndarray) -> int:
    """Return the number of steps of a run whose budget is in steps or epochs; 0 if it trains a head only.

    Raises:
        DataError: no batch can be drawn.
    """
    if settings.train == "head":
        return 0
    sampler = GroupByLabelSampler(label_ids, settings.batch_size, settings.samples_per_label)
    if settings.max_steps > 0:
        return settings.max_steps
    batches = math.ceil(len(sampler) / settings.batch_size)
    epochs = DEFAULT_EPOCHS if settings.epochs is None else settings.epochs
    return max(1, math.ceil(epochs * batches))


def steps_in_minutes(minutes: float, variant: Variant, record: ComparisonRecord, base: Trial) -> dict[str, Any]:
    """Return `{"budget_steps": n}`, with the number of steps that take `minutes`, or the failed result of the timing.

    Measure the time per step once per variant, so that all of its seeds get the same number of steps. The time to train
    a head is taken off the budget.
    """
    known = record.steps_in_budget
    if variant.name not in known:
        settings = replace(variant.apply_to(base.settings), max_steps=_TIMED_STEPS)
        output = base.output.with_name("timing")
        timing = replace(base, settings=settings, evaluation=None, output=output, title="timing steps")
        timed = run_in_subprocess(run_trial, timing)
        if "seconds_per_step" not in timed:
            return timed
        left = 60 * minutes - (timed.get("head_seconds") or 0.0)
        known[variant.name] = max(1, round(left / timed["seconds_per_step"]))
    return {"budget_steps": known[variant.name]}
