"""The loop of a comparison: every variant from the same start, under the same budget, with several seeds.

    DIR/compare.json   the record: settings, fingerprints of the data, all runs so far; at the end the recommendation
    DIR/.runs/         one model per variant, of its best seed so far; removed at the end
    DIR/model/         the model of the recommended variant, at the end

A comparison can be resumed after every step: a run counts once it is in compare.json, and its model is saved before.
"""

import logging
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from tercet.catalogue import metric_title
from tercet.comparison.plan import DEFAULT_VARIANT, Plan, Variant
from tercet.comparison.recommendation import METRIC, best_seed, recommend, summarize
from tercet.comparison.store import FILE, environment, fingerprint, open_record, write_record
from tercet.comparison.subprocess_runner import run_in_subprocess
from tercet.comparison.trial import Trial, run_trial
from tercet.data.labels import check_trainable, labels_of
from tercet.data.sampler import GroupByLabelSampler
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError
from tercet.records import ComparisonRecord, TrialRecord
from tercet.runs.build import training_arguments

logger = logging.getLogger(__name__)

# Number of steps to measure the seconds per step; the timer leaves out the first ones, which are slower.
_TIMED_STEPS = 15


def run_comparison(
    load: Callable[[], SentenceTransformer],
    train_data: Dataset,
    eval_data: Dataset,
    output: Path,
    plan: Plan,
    *,
    extra_settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    report_progress: Callable[[str], None] = logger.info,
) -> ComparisonRecord:
    """Run what is missing, each run in its own process, and return the content of `compare.json`.

    Args:
        load: returns the model that all runs start from; picklable.
        train_data: columns `sentence` and `label`.
        eval_data: the same columns.
        output: the folder for `compare.json` and the model.
        plan: variants, seeds and budget.
        extra_settings: more items for `settings` in `compare.json`, such as the names of the data and the model.
        resume: continue the comparison in `output`.
        overwrite: start a new comparison, whatever is in `output`.
        report_progress: called with a line of text after each run.

    Raises:
        DataError: data, settings or the state of `output` do not fit, or every run failed.
        KeyboardInterrupt: Ctrl-C; `resume` continues.
    """
    extra_settings = extra_settings or {}
    check_trainable(*labels_of(eval_data, "label", "the evaluation data"), "the evaluation data")
    work = output / ".runs"
    training_arguments(plan.settings, work, triplets=False)  # fail now, not in each run
    steps = _budget_steps(plan, train_data)
    data = {"train": fingerprint(train_data), "eval": fingerprint(eval_data)}
    settings = {**extra_settings, **plan.describe()}
    record = open_record(output, settings, data, resume=resume, overwrite=overwrite)
    if record.finished:
        shutil.rmtree(work, ignore_errors=True)  # exists if the process was killed after the last write
        return record
    if record.environment != environment():
        report_progress("earlier runs had another machine or other versions, so at least their times are different")
    record.runs = [run for run in record.runs if run.failed is None]
    if record.runs or not (output / FILE).exists():
        write_record(output, record)  # now, because it may fail, and a run may take an hour
    base = Trial(
        load=load, settings=plan.settings, train_data=train_data, output=work / "timing", start_seed=plan.seeds[0],
        threads=torch.get_num_threads(), extra_settings=extra_settings, title="timing steps",
    )  # fmt: skip
    done = {(run.seed, run.variant) for run in record.runs}
    for number, (seed, variant) in enumerate(plan.runs(), start=1):
        if (seed, variant.name) in done:
            continue
        title = f"run {number} of {len(plan.runs())} ({variant.name}, seed {seed})"
        budget = {"budget_steps": steps}
        if plan.minutes is not None:
            budget = _steps_in_minutes(plan.minutes, variant, record, base)
        result: dict[str, Any] = dict(budget)
        if "budget_steps" in budget:
            trial = replace(
                base,
                settings=replace(variant.apply_to(plan.settings), seed=seed, max_steps=budget["budget_steps"]),
                eval_data=eval_data,
                output=work / plan.run_folder(variant.name, seed),
                before=record.before,
                title=title,
            )
            result |= run_in_subprocess(run_trial, trial)
        run = _record_of_run(variant, seed, result)
        _check_same_start(run, record.runs, output)
        if not record.runs:  # the model could be loaded, so the model that `overwrite` gives up may go
            shutil.rmtree(output / "model", ignore_errors=True)
        record.runs.append(run)
        write_record(output, record)
        _remove_all_but_best(work, plan, record.runs)
        report_progress(f"{title}: {_describe_outcome(run)}")
    return _finish(output, plan, record)


def _finish(output: Path, plan: Plan, record: ComparisonRecord) -> ComparisonRecord:
    """Add summary and recommendation, and move the recommended model to its place."""
    order = {(seed, variant.name): position for position, (seed, variant) in enumerate(plan.runs())}
    record.runs.sort(key=lambda run: order[run.seed, run.variant])
    record.summary = summarize(record.runs, plan.names)
    record.recommendation = recommend(record.runs, plan.names, DEFAULT_VARIANT.name)
    work = output / ".runs"
    if record.recommendation is None:
        shutil.rmtree(work, ignore_errors=True)
        write_record(output, record)
        raise DataError(f"every run failed, the first with: {record.runs[0].failed}; see {output / FILE}")
    best = work / plan.run_folder(record.recommendation.variant, record.recommendation.seed)
    if best.exists():
        shutil.rmtree(output / "model", ignore_errors=True)
        best.rename(output / "model")
    elif not (output / "model").exists():  # if it exists, the process ended between the move and the last write
        raise DataError(f"{best}, the best model, is missing; start a new comparison with overwrite=True")
    record.finished = True
    write_record(output, record)
    shutil.rmtree(work, ignore_errors=True)
    return record


def _record_of_run(variant: Variant, seed: int, result: Mapping[str, Any]) -> TrialRecord:
    """Return the record of a run, or raise `DataError` if there was no model to start from."""
    if "not_loaded" in result:
        raise DataError(result["not_loaded"])
    return TrialRecord(
        variant=variant.name, loss=variant.loss, margin=variant.margin, distance=variant.distance, seed=seed, **result
    )


def _budget_steps(plan: Plan, train_data: Dataset) -> int:
    settings = plan.settings
    label_ids = labels_of(train_data, "label", "the training data")[0]
    sampler = GroupByLabelSampler(label_ids, settings.batch_size, settings.samples_per_label)
    batches = math.ceil(len(sampler) / settings.batch_size)
    return settings.max_steps if settings.max_steps > 0 else max(1, math.ceil(settings.epochs * batches))


def _steps_in_minutes(minutes: float, variant: Variant, record: ComparisonRecord, base: Trial) -> dict[str, Any]:
    """Return `budget_steps`, the number of steps that fit into the minutes, or what the timing returned if it failed.

    Steps are timed once per variant, so that all of its seeds take the same number of steps.
    """
    known = record.steps_in_budget
    if variant.name not in known:
        settings = replace(variant.apply_to(base.settings), max_steps=_TIMED_STEPS)
        timed = run_in_subprocess(run_trial, replace(base, settings=settings))
        if "seconds_per_step" not in timed:
            return timed
        known[variant.name] = max(1, round(60 * minutes / timed["seconds_per_step"]))
    return {"budget_steps": known[variant.name]}


def _check_same_start(run: TrialRecord, runs: list[TrialRecord], output: Path) -> None:
    if len({other.start for other in (*runs, run) if other.start is not None}) > 1:
        raise DataError(
            f"the model has changed since {output / FILE} was started; start a new comparison with overwrite=True"
        )


def _remove_all_but_best(work: Path, plan: Plan, runs: list[TrialRecord]) -> None:
    """Remove all models except that of the best seed of each variant, and everything that a failed run has left."""
    ended = {run.variant for run in runs if run.failed is None}
    kept = {plan.run_folder(variant, best_seed(runs, variant)) for variant in ended}
    for folder in work.glob("*") if work.exists() else ():
        if folder.name not in kept:
            shutil.rmtree(folder, ignore_errors=True)


def _describe_outcome(run: TrialRecord) -> str:
    if run.metrics is None:
        return f"failed: {run.failed}"
    stopped = f", stopped early after {run.steps} steps" if run.stopped_early else ""
    return f"{metric_title(METRIC)} {run.metrics[METRIC]:.4f} at step {run.best_step}{stopped}"
