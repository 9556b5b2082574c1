"""Run a comparison: each variant with each seed, from the same initial weights and with the same budget.

    DIR/compare.json   the record: settings, fingerprints of the data, all runs so far; at the end, the recommendation
    DIR/.runs/         one model per variant, of its best seed so far; removed at the end
    DIR/model/         the model of the recommended variant; exists at the end, unless every run failed

An interrupted comparison can be resumed. A successful run is done once it is in compare.json. Its model is saved before
that. A failed run is recorded with the reason, has no model, and runs again on resume. If every run failed, there is no
recommendation.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from tercet._durations import SHORTEST_FORECAST, in_words
from tercet._events import TrainingWarning, collect_warnings
from tercet.catalogue import metric_title
from tercet.comparison.baselines import check_same_start, measure_baselines
from tercet.comparison.budget import budget_steps, steps_in_minutes
from tercet.comparison.files import FILE, publish_model, remove_model, remove_run, remove_runs
from tercet.comparison.plan import DEFAULT_VARIANT, Plan, Variant
from tercet.comparison.recommendation import METRIC, PROTOCOL, best_seed, recommend, summarize
from tercet.comparison.store import open_record, write_record
from tercet.comparison.subprocess_runner import run_in_subprocess
from tercet.comparison.trial import Trial, run_trial
from tercet.data.fingerprint import fingerprint
from tercet.data.labels.numbering import labels_of
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError
from tercet.records import ComparisonRecord, TrialRecord
from tercet.runs.build import training_arguments
from tercet.runs.environment import environment
from tercet.runs.evaluation_plan import plan_evaluation
from tercet.runs.measurement import Measurement
from tercet.runs.source_names import DEFAULT_NAMES, Names

logger = logging.getLogger(__name__)


def run_comparison(
    load: Mapping[str | None, Callable[[], SentenceTransformer]],
    train_data: Dataset,
    eval_data: Dataset,
    output: Path,
    plan: Plan,
    *,
    names: Names = DEFAULT_NAMES,
    extra_settings: Mapping[str, Any] | None = None,
    warnings: Sequence[TrainingWarning] = (),
    resume: bool = False,
    overwrite: bool = False,
    report_progress: Callable[[str], None] = logger.info,
) -> ComparisonRecord:
    """Run all missing and failed runs, each in its own subprocess, and return the content of `compare.json`.

    Args:
        load: for each model of the plan, a picklable function that returns it. The key None is the model that all runs
            start from.
        train_data: training data with the columns `sentence` and `label`.
        eval_data: evaluation data with the same columns.
        output: the folder for `compare.json` and the model.
        plan: the variants, the seeds and the budget.
        names: the names of the data in messages.
        extra_settings: more items for `settings` in `compare.json`, such as the names of the data and the model.
        warnings: the warnings from reading the data, for the record.
        resume: continue the comparison in `output`, if there is one.
        overwrite: start a new comparison, which replaces the one in `output`.
        report_progress: a function that is called with a line of text after each run, and with a notice if the machine
            or the library versions have changed.

    Raises:
        DataError: a setting or the data are invalid, there is a comparison in `output` but `resume` and `overwrite` are
            False, the settings or data differ from those the comparison was started with, the model cannot be loaded or
            has changed, `compare.json` cannot be read or written, or every run failed.
        KeyboardInterrupt: Ctrl-C stopped the comparison. Continue it with `resume=True`.
    """
    extra_settings = extra_settings or {}
    # The training sentences would have to be embedded at each evaluation of each run to be ranked.
    with collect_warnings() as found:
        evaluation = plan_evaluation(eval_data, train_data, names=names, label_levels=plan.label_levels)
    if PROTOCOL not in evaluation.counts:
        raise DataError(
            f"{names.evaluation} needs two labels, one of which has two rows with different texts, because a "
            "comparison ranks the evaluation sentences among themselves; pass other evaluation data"
        )
    rows = evaluation.counts[PROTOCOL]
    work = output / ".runs"
    for variant in plan.variants:  # Raise errors now instead of in each run.
        training_arguments(variant.apply_to(plan.settings), work, triplets=False)
    label_ids = labels_of(train_data, "label", "the training data")[0]
    steps = {variant.name: budget_steps(variant.apply_to(plan.settings), label_ids) for variant in plan.variants}
    data = {"train": fingerprint(train_data), "eval": fingerprint(eval_data)}
    settings = {**extra_settings, **plan.describe()}
    record = open_record(output, settings, data, rows, resume=resume, overwrite=overwrite)
    if record.finished:
        remove_runs(work)  # There are some if the process was killed after the last write.
        return record
    record.warnings = [warning.to_dict() for warning in (*warnings, *found)]
    if record.environment != environment():
        report_progress(
            "the earlier runs used a different machine or different library versions, so do not compare their seconds "
            "per step and their memory with those of the new runs"
        )
    record.runs = [run for run in record.runs if run.failed is None]
    if record.runs or not (output / FILE).exists():
        write_record(output, record)  # Raise write errors before the first run, which may take an hour.
    bases = {}
    for model in plan.models:
        of_model = extra_settings if model is None else {**extra_settings, "model": model}
        bases[model] = Trial(
            load=load[model], settings=plan.settings, train_data=train_data, evaluation=evaluation, output=work,
            start_seed=plan.seeds[0], threads=torch.get_num_threads(), extra_settings=of_model,
        )  # fmt: skip
    done = {(run.seed, run.variant) for run in record.runs}
    missing = [(seed, variant) for seed, variant in plan.runs() if (seed, variant.name) not in done]
    needed = {variant.model for _, variant in missing}
    untouched = measure_baselines({model: base for model, base in bases.items() if model in needed}, record, output)
    seconds: list[float] = []
    for done_now, (seed, variant) in enumerate(missing, start=1):
        clock, number = time.monotonic(), plan.runs().index((seed, variant)) + 1
        title = f"run {number} of {len(plan.runs())} ({variant.name}, seed {seed})"
        base = replace(bases[variant.model], output=work / plan.run_folder(variant.name, seed), title=title)
        result = _run(plan, variant, seed, steps[variant.name], record, base, untouched[variant.model])
        run = _record_of_run(variant, base.extra_settings.get("model"), seed, result)
        check_same_start(run, record, output)
        if not record.runs:  # The first run could load its model, so the old model can be removed now.
            remove_model(output / "model")
        record.runs.append(run)
        write_record(output, record)
        _remove_all_but_best(work, plan, record.runs)
        seconds += [] if run.failed else [time.monotonic() - clock]
        report_progress(f"{title}: {_describe_outcome(run)}{_forecast(seconds, len(missing) - done_now)}")
    return _finish(output, plan, record)


def _run(
    plan: Plan,
    variant: Variant,
    seed: int,
    steps: int,
    record: ComparisonRecord,
    base: Trial,
    untouched: Measurement | str,
) -> dict[str, Any]:
    """Run a variant with a seed in a subprocess, and return the fields of its `TrialRecord` that are known then.

    Args:
        plan: the plan of the comparison.
        variant: the variant.
        seed: the seed.
        steps: the number of steps by the budget in steps or epochs; 0 if only a head is trained.
        record: the record, which keeps the number of steps of a budget in minutes.
        base: the input of the run, except for its settings.
        untouched: the measurement of the model before training, or why it failed.
    """
    if isinstance(untouched, str):
        return {"failed": untouched}
    result: dict[str, Any] = {"budget_steps": steps}
    if plan.minutes is not None and steps:
        result = steps_in_minutes(plan.minutes, variant, record, base)
        if "budget_steps" not in result:
            return result
    settings = replace(variant.apply_to(plan.settings), seed=seed, max_steps=result["budget_steps"] or -1)
    return result | run_in_subprocess(run_trial, replace(base, settings=settings, untouched=untouched))


def _finish(output: Path, plan: Plan, record: ComparisonRecord) -> ComparisonRecord:
    """Add the summary and the recommendation to the record, and move the recommended model to `model/`."""
    order = {(seed, variant.name): position for position, (seed, variant) in enumerate(plan.runs())}
    record.runs.sort(key=lambda run: order[run.seed, run.variant])
    record.summary = summarize(record.runs, plan.names)
    record.recommendation = recommend(
        record.runs,
        plan.names,
        (plan.default or DEFAULT_VARIANT).name,
        resolution=1 / max(1, record.data["eval"]["rows"]),
    )
    work = output / ".runs"
    if record.recommendation is None:
        remove_runs(work)
        write_record(output, record)
        raise DataError(
            f"every run failed, the first with: {record.runs[0].failed}; {output / FILE} has the reason of each failure"
        )
    best = work / plan.run_folder(record.recommendation.variant, record.recommendation.seed)
    if best.exists():
        publish_model(best, output / "model")
    elif not (output / "model").exists():  # It exists if the process was killed between the move and the last write.
        raise DataError(f"the recommended model is missing in {best}; start a new comparison with overwrite=True")
    record.finished = True
    write_record(output, record)
    remove_runs(work)
    return record


def _record_of_run(variant: Variant, model: str | None, seed: int, result: Mapping[str, Any]) -> TrialRecord:
    """Return the record of a run. Raise `DataError` if the initial model could not be loaded."""
    if "not_loaded" in result:
        raise DataError(result["not_loaded"])
    return TrialRecord(
        variant=variant.name, loss=variant.loss, margin=variant.margin, distance=variant.distance, model=model,
        settings=dict(variant.changes), seed=seed, **result,
    )  # fmt: skip


def _remove_all_but_best(work: Path, plan: Plan, runs: list[TrialRecord]) -> None:
    """Remove all models except that of the best seed of each variant. Remove the files of failed runs too."""
    ended = {run.variant for run in runs if run.failed is None}
    kept = {plan.run_folder(variant, best_seed(runs, variant)) for variant in ended}
    for folder in work.iterdir() if work.exists() else ():
        if folder.name not in kept:
            remove_run(folder)


def _forecast(seconds: Sequence[float], remaining: int) -> str:
    """Return a clause about the time of the remaining runs, by the seconds of those without an error; "" if short."""
    expected = remaining * sum(seconds) / max(1, len(seconds))
    return f"; the remaining runs take about {in_words(expected)}" if expected >= SHORTEST_FORECAST else ""


def _describe_outcome(run: TrialRecord) -> str:
    if run.metrics is None:
        return f"failed: {run.failed}"
    stopped = f", stopped early after {run.steps} steps" if run.stopped_early else ""
    return f"{metric_title(METRIC)} {run.metrics[METRIC]:.4f} at step {run.best_step}{stopped}"
