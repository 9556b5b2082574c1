"""Every variant from the same start, under the same budget, with several seeds: which is better, beyond noise?

    DIR/compare.json   settings, fingerprint of the data, and all runs so far; the verdict at the end
    DIR/.runs/         a model a variant, of its best seed so far; gone at the end
    DIR/model/         the model of the recommended variant, at the end

Seeds come in the outer loop, so that a comparison that is stopped has seen all variants alike. Each step
leaves what `resume` can go on from: a run counts when it is in compare.json, its model is there before.
"""

import logging
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from tercet.comparison.plan import DEFAULT, Variant
from tercet.comparison.recommendation import METRIC, best_seed, recommend, summarise
from tercet.comparison.store import FILE, environment, fingerprint, open_results, write_results
from tercet.comparison.subprocess_runner import run_in_subprocess
from tercet.comparison.trial import Trial, run_trial
from tercet.data.labels import check_trainable, labels_of
from tercet.data.sampler import GroupByLabelSampler
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError
from tercet.runs.settings import RunSettings, training_arguments

logger = logging.getLogger(__name__)

# Steps to learn how long one takes; the clock leaves out the first of them.
_TIMED = 15
_NOT_SHARED = ("loss", "margin", "distance", "epochs", "max_steps", "seed", "save_every", "keep", "eval_steps")


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes:
        settings: of all runs; their `max_steps`, or else `epochs`, are the budget of each.
        minutes: of training, evaluation left out, in place of them.
        seeds: of batches and dropout; with each seed all variants see the same batches.
    """

    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    settings: RunSettings
    minutes: float | None = None


def compare(
    load: Callable[[], SentenceTransformer],
    train: Dataset,
    evaluation: Dataset,
    output: Path,
    plan: Plan,
    *,
    facts: dict[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    tell: Callable[[str], None] = logger.info,
) -> dict[str, Any]:
    """Run what is missing, each run in a process of its own, and return what stands in compare.json.

    Args:
        load: gives the model that all runs start from; picklable.
        train: columns `sentence` and `label`.
        evaluation: the same columns, held out.
        facts: what else to write under `settings`.
        tell: is given a line for each run.

    Raises:
        DataError: data, settings or the state of `output` do not fit, or every run failed.
        KeyboardInterrupt: as it came; `resume` goes on.
    """
    check_trainable(*labels_of(evaluation, "label", "the held-out data"), "the held-out data")
    work = output / ".runs"
    training_arguments(plan.settings, work, triplets=False)  # what no run takes is told now, and not by each
    steps = _steps_of_budget(plan, train)
    settings = _described(plan, facts or {})
    data = {"train": fingerprint(train), "held_out": fingerprint(evaluation)}
    results = open_results(output, settings, data, resume=resume, overwrite=overwrite)
    if results["finished"]:
        shutil.rmtree(work, ignore_errors=True)  # still there if it was killed after its last word
        return results
    if results["environment"] != environment():
        tell("the runs before this one had another machine or other versions, so times, at least, do not compare")
    results["runs"] = [run for run in results["runs"] if not run.get("failed")]
    if results["runs"] or not (output / FILE).exists():
        write_results(output, results)  # before an hour of work, as it may fail
    bare = Trial(
        load, plan.settings, train, None, output=work / "timing", start_seed=plan.seeds[0], before=None,
        facts=facts or {}, threads=torch.get_num_threads(), title="timing steps",
    )  # fmt: skip
    for number, seed, variant in _missing(plan, results["runs"]):
        title = f"run {number} of {len(plan.seeds) * len(plan.variants)} ({variant.name}, seed {seed})"
        run: dict[str, Any] = {"variant": variant.name, **asdict(variant), "seed": seed}
        run |= {"budget_steps": steps} if plan.minutes is None else _timed(plan.minutes, variant, results, bare)
        if "budget_steps" in run:
            trial = replace(
                bare, settings=replace(variant.of(plan.settings), seed=seed, max_steps=run["budget_steps"]),
                evaluation=evaluation, output=work / _folder(plan, run), before=_before(results["runs"]), title=title,
            )  # fmt: skip
            run |= run_in_subprocess(run_trial, trial)
        _check_start(run, results["runs"], output)
        if not results["runs"]:  # only now, when there is a model to start from, goes what --overwrite gave up
            shutil.rmtree(output / "model", ignore_errors=True)
        results["runs"].append(run)
        write_results(output, results)
        _keep_best(work, plan, results["runs"])
        tell(f"{title}: {_outcome(run)}")
    return _finish(output, plan, results)


def _finish(output: Path, plan: Plan, results: dict[str, Any]) -> dict[str, Any]:
    names = [variant.name for variant in plan.variants]
    order = {(variant, seed): at for at, (seed, variant) in enumerate((s, n) for s in plan.seeds for n in names)}
    results["runs"].sort(key=lambda run: order[run["variant"], run["seed"]])
    results["summary"] = summarise(results["runs"], names)
    results["recommendation"] = recommend(results["runs"], names, DEFAULT.name)
    work = output / ".runs"
    if results["recommendation"] is None:
        shutil.rmtree(work, ignore_errors=True)
        write_results(output, results)
        reason = results["runs"][0]["failed"]
        raise DataError(f"every run failed, the first with: {reason}; see {output / 'compare.json'}")
    best = work / _folder(plan, results["recommendation"])
    if best.exists():
        shutil.rmtree(output / "model", ignore_errors=True)
        best.rename(output / "model")
    elif not (output / "model").exists():  # or it was moved already, and the process ended before it could say so
        raise DataError(f"{best}, the best model, was removed by something else; --overwrite starts anew")
    results["finished"] = True
    write_results(output, results)
    shutil.rmtree(work, ignore_errors=True)
    return results


def _described(plan: Plan, facts: dict[str, Any]) -> dict[str, Any]:
    shared = {name: value for name, value in asdict(plan.settings).items() if name not in _NOT_SHARED}
    budget: dict[str, float] = {"epochs": plan.settings.epochs}
    if plan.minutes is not None:
        budget = {"minutes": plan.minutes}
    elif plan.settings.max_steps > 0:
        budget = {"steps": plan.settings.max_steps}
    variants = [variant.name for variant in plan.variants]
    return {**facts, "variants": variants, "seeds": list(plan.seeds), "budget": budget, **shared}


def _missing(plan: Plan, runs: list[dict[str, Any]]) -> list[tuple[int, int, Variant]]:
    """Number, seed and variant of the runs that are still to do."""
    done = {(run["variant"], run["seed"]) for run in runs}
    every = enumerate(((seed, variant) for seed in plan.seeds for variant in plan.variants), start=1)
    return [(number, seed, variant) for number, (seed, variant) in every if (variant.name, seed) not in done]


def _steps_of_budget(plan: Plan, train: Dataset) -> int:
    settings, labels = plan.settings, labels_of(train, "label", "the training data")[0]
    sampler = GroupByLabelSampler(labels, settings.batch_size, settings.samples_per_label)
    batches = math.ceil(len(sampler) / settings.batch_size)
    return settings.max_steps if settings.max_steps > 0 else max(1, math.ceil(settings.epochs * batches))


def _timed(minutes: float, variant: Variant, results: dict[str, Any], bare: Trial) -> dict[str, Any]:
    """How many steps fit into the minutes; timed once a variant, so that all of its seeds take as many."""
    known: dict[str, int] = results.setdefault("steps_in_budget", {})
    if variant.name not in known:
        timed = run_in_subprocess(
            run_trial, replace(bare, settings=replace(variant.of(bare.settings), max_steps=_TIMED))
        )
        if "seconds_per_step" not in timed:
            return timed
        known[variant.name] = max(1, round(60 * minutes / timed["seconds_per_step"]))
    return {"budget_steps": known[variant.name]}


def _before(runs: list[dict[str, Any]]) -> dict[str, float] | None:
    """What the model measures before training: the same for all runs, so it is measured in the first."""
    return next((run["before"] for run in runs if not run.get("failed")), None)


def _check_start(run: dict[str, Any], runs: list[dict[str, Any]], output: Path) -> None:
    """Without the model, or with another one, there is nothing to compare."""
    if "no_start" in run:
        raise DataError(run["no_start"])
    starts = {other["start"] for other in (*runs, run) if "start" in other}
    if len(starts) > 1:
        raise DataError(
            f"the model has changed since {output / 'compare.json'} was begun; --overwrite starts anew with this one"
        )


def _keep_best(work: Path, plan: Plan, runs: list[dict[str, Any]]) -> None:
    """Remove all models but that of the best seed of each variant, and what a run that failed has left."""
    names = {run["variant"] for run in runs if not run.get("failed")}
    kept = {_folder(plan, {"variant": name, "seed": best_seed(runs, name)}) for name in names}
    for folder in work.glob("*") if work.exists() else ():
        if folder.name not in kept:
            shutil.rmtree(folder, ignore_errors=True)


def _folder(plan: Plan, run: dict[str, Any]) -> str:
    names = [variant.name for variant in plan.variants]
    return f"{names.index(run['variant'])}-seed-{run['seed']}"


def _outcome(run: dict[str, Any]) -> str:
    if run.get("failed"):
        return f"failed: {run['failed']}"
    stopped = f", stopped early after {run['steps']} steps" if run["stopped_early"] else ""
    return f"MAP@R {run['metrics'][METRIC]:.4f} at step {run['best_step']}{stopped}"
