"""Execute one run of a comparison: load the model, train a head, train with early stopping, save the best state."""

import hashlib
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from tqdm.contrib.logging import logging_redirect_tqdm
from transformers import EarlyStoppingCallback, set_seed

from tercet._events import collect_warnings
from tercet._files import atomic_directory, list_files
from tercet._files.model_files import ENTRY_FILES, METRICS_FILE, is_model_file
from tercet.comparison.peak_memory import peak_gpu_mib, peak_mib
from tercet.comparison.recommendation import METRIC, PROTOCOL
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import TercetError
from tercet.heads import HeadChoice
from tercet.records import EvaluationRecord
from tercet.runs.build import build_trainer
from tercet.runs.evaluation import Evaluation
from tercet.runs.measurement import Measurement
from tercet.runs.model_changes import change_model
from tercet.runs.output import checkpoint_dir, remove_checkpoints
from tercet.runs.run_record import build_record, describe_choices, extend_training_record
from tercet.runs.settings import RunSettings
from tercet.runs.stages import Stages, add_head, plan_stages, store_record_without_encoder
from tercet.trainer.checkpoints.record import metrics_by_step
from tercet.trainer.logs.callbacks import EvaluateEvenly, ProgressBar, StepTimer
from tercet.trainer.trainer import SentenceTransformerTrainer

# The evaluations of a run are evenly spaced.
EVALUATIONS_PER_RUN = 5
# A run stops after this number of evaluations in a row without improvement.
EARLY_STOPPING_PATIENCE = 3


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The input of `run_trial`. It must be picklable, because the run is a subprocess.

    Attributes:
        load: a function that returns the model to start from.
        settings: the settings of the run; `max_steps` is the budget.
        train_data: training data with the columns `sentence` and `label`.
        evaluation: the evaluation rows, and how they are measured; None if the run only measures its times.
        output: the folder for the model with the best metric.
        start_seed: the seed for weights that `load` initializes at random, the same for all runs.
        threads: the number of threads of PyTorch, the same for all runs because it changes rounding errors.
        untouched: the measurement of the model before training; None if the run is not evaluated.
        extra_settings: more items for `settings` in the model's `metrics.json`.
        title: the text in front of the progress bar.
    """

    load: Callable[[], SentenceTransformer]
    settings: RunSettings
    train_data: Dataset
    evaluation: Evaluation | None = None
    output: Path
    start_seed: int
    threads: int
    untouched: Measurement | None = None
    extra_settings: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""


def run_trial(trial: Trial) -> dict[str, Any]:
    """Train in this process, and return fields of a `TrialRecord` by name.

    Without `evaluation`, return only `start`, `batches` and the seconds. If the model cannot be loaded, return only the
    reason, as `not_loaded`; no other run could load it either.

    Raises:
        TercetError: a setting or the data are invalid, or the embeddings contain NaN or infinite values.
    """
    try:
        model = load_start(trial)
    except TercetError as error:
        return {"not_loaded": str(error)}
    start, timer = digest_weights(model), StepTimer()
    change_model(model, trial.settings, seed=trial.start_seed)
    checkpoints = checkpoint_dir(trial.output)
    with collect_warnings() as warnings, logging_redirect_tqdm():
        stages = plan_stages(trial.settings, trial.train_data)
        trainer = _build_trainer(trial, model, stages, timer)
        choice, head_seconds = _train_head(trial, trainer, stages) if stages.head else (None, None)
        # The order of the first epoch. With `neighbor_labels`, that of later epochs depends on the embeddings.
        order = trainer._get_train_sampler() if stages.encoder else None
        batches = None if order is None else _digest(np.fromiter(order, dtype=np.int64))
        if stages.encoder:
            trainer.train()
        best = trainer.state.best_global_step if stages.encoder else 0
        if best == 0:
            store_record_without_encoder(trainer, choice)
        result: dict[str, Any] = {
            "start": start, "batches": batches, "seconds_per_step": timer.median(), "head_seconds": head_seconds,
            "seconds": round((head_seconds or 0.0) + sum(timer.seconds), 3),
        }  # fmt: skip
        if trial.evaluation is None:
            return result
        measured = trial.evaluation.measure(trial.evaluation.embed(model))
    assert trial.untouched is not None
    before, state = trial.untouched.metrics[PROTOCOL], trainer.state
    # Without steps, there is no evaluation by the trainer.
    by_step = metrics_by_step(state.log_history) if stages.encoder else {0: measured.metrics[PROTOCOL]}
    assert best is not None
    metrics = measured.metrics[PROTOCOL] | by_step[best]  # The evaluations during training have no levels of labels.
    gain = trial.evaluation.gain(trial.untouched, measured)
    record = build_record(
        trainer, trial.settings,
        {PROTOCOL: EvaluationRecord(before=before, after=metrics, rows=trial.evaluation.counts[PROTOCOL])},
        extra_settings=trial.extra_settings, warnings=warnings, steps=best,
    )  # fmt: skip
    record.gain = gain
    record.choices = describe_choices(
        choice, trained_encoder=best > 0, scores={}, best_step=best, validation_rows=[], time_limit=None
    )
    extend_training_record(model, record)
    with atomic_directory(trial.output, owns=is_model_file, last=ENTRY_FILES) as staging:
        model.save_pretrained(staging, more_files={METRICS_FILE: record.to_dict()})
        list_files(staging)  # so that the comparison removes these files only
    remove_checkpoints(checkpoints)
    gpu = peak_gpu_mib()
    return result | {
        "before": before,
        "metrics": metrics,
        "gain": gain,
        "best_step": best,
        "steps": state.global_step,
        "stopped_early": stages.encoder and state.global_step < trial.settings.max_steps,
        "map_at_r_by_step": {str(step): metrics[METRIC] for step, metrics in by_step.items()},
        "active_fraction": _mean_active_fraction(state.log_history),
        "peak_memory_mib": round(peak_mib() if gpu is None else gpu, 1),
        "peak_memory_of": "process" if gpu is None else "GPU",
        "warnings": [warning.to_dict() for warning in warnings],
    }


def _build_trainer(
    trial: Trial, model: SentenceTransformer, stages: Stages, timer: StepTimer
) -> SentenceTransformerTrainer:
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    callbacks = [*([ProgressBar(trial.title, leave=False)] if on_terminal else []), timer]
    steps = trial.settings.max_steps
    options: dict[str, Any] = {
        "save_strategy": "no",
        # Do not log at each step, because the timer would include the logging.
        "logging_steps": max(1, min(10, steps // 5)),
    }
    evaluator = None
    if trial.evaluation is not None and stages.encoder:
        evaluator = trial.evaluation.evaluator()
        callbacks += [EvaluateEvenly(EVALUATIONS_PER_RUN), EarlyStoppingCallback(EARLY_STOPPING_PATIENCE)]
        options |= {
            "eval_strategy": "steps", "eval_steps": steps, "metric_for_best_model": METRIC, "save_strategy": "best",
            "save_total_limit": 1, "save_only_model": True, "load_best_model_at_end": True,
        }  # fmt: skip
    rows = stages.rows_to_train_on(trial.train_data)
    return build_trainer(model, rows, trial.settings, checkpoint_dir(trial.output), callbacks, evaluator, **options)


def _train_head(trial: Trial, trainer: SentenceTransformerTrainer, stages: Stages) -> tuple[HeadChoice, float]:
    """Train the head of the model. Return it and the seconds it took, with those to embed the training rows."""
    clock = time.perf_counter()
    embeddings = trainer.model.encode(trial.train_data["sentence"][:], convert_to_tensor=True)
    choice = add_head(trainer, embeddings, trial.train_data, trial.settings, stages)
    return choice, round(time.perf_counter() - clock, 3)


def _mean_active_fraction(log: list[dict[str, Any]]) -> float | None:
    """Return the mean active fraction over all steps. A log entry covers the steps since the previous entry."""
    entries = [entry for entry in log if "active_fraction" in entry]
    if not entries:
        return None
    steps = np.diff([0, *(entry["step"] for entry in entries)])
    return round(float(np.average([entry["active_fraction"] for entry in entries], weights=steps)), 5)


def load_start(trial: Trial) -> SentenceTransformer:
    """Return the model that a trial starts from, after setting the threads and the seed.

    Raises:
        TercetError: the model cannot be loaded.
    """
    torch.set_num_threads(trial.threads)
    set_seed(trial.start_seed)
    return trial.load()


def digest_weights(model: SentenceTransformer) -> str:
    """Return a digest of the weights of a model."""
    tensors = (tensor.detach().cpu().contiguous().reshape(-1) for tensor in model.state_dict().values())
    return _digest(*(tensor.view(torch.uint8).numpy() for tensor in tensors))


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
