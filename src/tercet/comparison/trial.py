"""One run of a comparison: load, measure, train with early stopping, save the best state; facts of the run."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from tqdm.contrib.logging import logging_redirect_tqdm
from transformers import EarlyStoppingCallback, set_seed

from tercet._events import collect_warnings
from tercet.comparison.peak_memory import peak_gpu_mib, peak_mib
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import TercetError
from tercet.evaluation import LabelEvaluator
from tercet.runs.run import build_record, build_trainer, checkpoint_dir
from tercet.runs.settings import RunSettings
from tercet.trainer.callbacks import EvaluateEvenly, ProgressBar, StepTimer
from tercet.trainer.record import metrics_by_step

MEASUREMENTS = 5
PATIENCE = 3


@dataclass(frozen=True)
class Trial:
    """What one process is to do; it must be picklable.

    Attributes:
        load: gives the model to start from.
        settings: with `max_steps`, the budget.
        evaluation: held-out data, measured over the run; None trains only, for the clock.
        output: where the model of the best state goes.
        start_seed: for weights that `load` draws at random; the same for all runs.
        before: what the model measures before training, where that is known.
        facts: what else to write under `settings` in metrics.json.
        threads: of PyTorch, since sums depend on them.
        title: for the progress bar.
    """

    load: Callable[[], SentenceTransformer]
    settings: RunSettings
    train: Dataset
    evaluation: Dataset | None
    output: Path
    start_seed: int
    before: dict[str, float] | None
    facts: dict[str, Any]
    threads: int
    title: str


def run_trial(trial: Trial) -> dict[str, Any]:
    """Train in this process and return the facts of the run; without `evaluation` only how long a step takes.

    `no_start` says why there was no model to start from.

    Raises:
        TercetError: the settings do not fit, or embeddings are no longer finite.
    """
    torch.set_num_threads(trial.threads)
    set_seed(trial.start_seed)
    try:
        model = trial.load()
    except TercetError as error:  # it is the same for all runs
        return {"no_start": str(error)}
    start, clock = _digest_of_weights(model), StepTimer()
    callbacks = [ProgressBar(trial.title, leave=False), clock]
    checkpoints = checkpoint_dir(trial.output)
    # Not at each step, which would be timed with it.
    options: dict[str, Any] = {"save_strategy": "no", "logging_steps": max(1, min(10, trial.settings.max_steps // 5))}
    evaluator = None
    if trial.evaluation is not None:
        columns = trial.evaluation[:]
        evaluator = LabelEvaluator(columns["sentence"], columns["label"])
        callbacks += [EvaluateEvenly(MEASUREMENTS), EarlyStoppingCallback(PATIENCE)]
        options |= {
            "eval_strategy": "steps", "eval_steps": trial.settings.max_steps, "metric_for_best_model": "map@r",
            "save_strategy": "best", "save_total_limit": 1, "save_only_model": True, "load_best_model_at_end": True,
        }  # fmt: skip
    with collect_warnings() as warnings, logging_redirect_tqdm():
        trainer = build_trainer(model, trial.train, trial.settings, checkpoints, callbacks, evaluator, **options)
        before = evaluator(model) if evaluator and trial.before is None else trial.before
        trainer.train()
    log = trainer.state.log_history
    facts = {"start": start, "seconds_per_step": clock.median()}
    if evaluator is None:
        return facts
    best = trainer.state.best_global_step
    measured = metrics_by_step(log)
    result = build_record(trainer, trial.settings, before, measured[best], trial.facts, warnings, steps=best)
    model.save_pretrained(trial.output, more_json={"metrics.json": result})
    shutil.rmtree(checkpoints, ignore_errors=True)
    gpu = peak_gpu_mib()
    return facts | {
        "batches": _digest(np.fromiter(trainer._get_train_sampler(), dtype=np.int64)),  # type: ignore[arg-type]
        "before": before,
        "metrics": measured[best],
        "best_step": best,
        "steps": trainer.state.global_step,
        "stopped_early": trainer.state.global_step < trial.settings.max_steps,
        "map@r_by_step": {str(step): metrics["map@r"] for step, metrics in measured.items()},
        "active_fraction": _active_fraction(log),
        "peak_memory_mib": round(peak_mib() if gpu is None else gpu, 1),
        "peak_memory_of": "process" if gpu is None else "GPU",
        "warnings": [warning.to_dict() for warning in warnings],
    }


def _active_fraction(log: list[dict[str, Any]]) -> float | None:
    """The mean over the steps; an entry stands for those since the one before it."""
    entries = [entry for entry in log if "active_fraction" in entry]
    steps = np.diff([0, *(entry["step"] for entry in entries)])
    return round(float(np.average([e["active_fraction"] for e in entries], weights=steps)), 5) if entries else None


def _digest_of_weights(model: SentenceTransformer) -> str:
    tensors = (tensor.detach().cpu().contiguous().reshape(-1) for tensor in model.state_dict().values())
    return _digest(*(tensor.view(torch.uint8).numpy() for tensor in tensors))


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
