"""From the settings of a run to its parts.

RunSettings → build_loss, training_arguments → build_trainer
evaluation data → build_evaluator
"""

import math
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback
from transformers.utils.import_utils import is_torch_bf16_gpu_available

from tercet._distributed import launched_world_size
from tercet.catalogue import LOSSES, resolve
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError
from tercet.evaluation import LabelEvaluator, TripletEvaluator
from tercet.runs.settings import RunSettings
from tercet.trainer.arguments import BatchSampler, SentenceTransformerTrainingArguments
from tercet.trainer.callbacks import UseCurrentIntervals, default_progress_callback
from tercet.trainer.trainer import SentenceTransformerTrainer

# The learning rate of the first step of a warm-up is 0, so a run shorter than this would train almost nothing.
_SHORTEST_WARM_UP_RUN = 10


def build_loss(settings: RunSettings, model: SentenceTransformer) -> torch.nn.Module:
    """Return the loss of the settings, with its distance, and with its margin if it has one."""
    spec = LOSSES.find(settings.loss, DataError)
    margin = [settings.margin] if spec.has_margin else []
    loss: torch.nn.Module = resolve(spec.cls)(model, settings.distance, *margin)
    return loss


def training_arguments(
    settings: RunSettings, folder: Path, *, triplets: bool, **changes: Any
) -> SentenceTransformerTrainingArguments:
    """Return the trainer's arguments.

    Args:
        settings: of the run.
        folder: where checkpoints go.
        triplets: whether the training data are given triplets, which need no P×K batches.
        changes: other arguments of the trainer, by name.

    Raises:
        DataError: this machine, or the number of processes, does not fit the settings.
    """
    if settings.bf16 and not is_torch_bf16_gpu_available():
        raise DataError("bf16=True needs a GPU with bfloat16, and this machine has none; leave it out")
    processes = launched_world_size()
    if settings.batch_size % processes:
        raise DataError(
            f"batch_size={settings.batch_size} is the size for all {processes} processes together; "
            "choose a multiple of their number"
        )
    short = 0 < settings.max_steps < _SHORTEST_WARM_UP_RUN
    options: dict[str, Any] = {
        "output_dir": str(folder),
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps,
        "per_device_train_batch_size": settings.batch_size // processes,
        "batch_sampler": BatchSampler.BATCH_SAMPLER if triplets else BatchSampler.GROUP_BY_LABEL,
        "samples_per_label": settings.samples_per_label,
        "learning_rate": settings.learning_rate,
        "warmup_steps": 0 if short else settings.warmup_ratio,
        "seed": settings.seed,
        "bf16": settings.bf16,
        "mini_batch_tokens": settings.mini_batch_tokens,
        "cross_batch_memory": settings.cross_batch_memory,
        "save_strategy": "epoch" if settings.save_every is None else "steps",
        "save_steps": settings.save_every or 500,
        "save_total_limit": settings.keep,
        "eval_strategy": "no" if settings.eval_steps is None else "steps",
        "eval_steps": settings.eval_steps,
        "report_to": "none",
        "dataloader_pin_memory": torch.cuda.is_available(),
    }
    return SentenceTransformerTrainingArguments(**{**options, **changes})


def build_trainer(
    model: SentenceTransformer,
    train_data: Dataset,
    settings: RunSettings,
    checkpoints: Path,
    callbacks: list[TrainerCallback],
    evaluator: LabelEvaluator | TripletEvaluator | None = None,
    **changes: Any,
) -> SentenceTransformerTrainer:
    """Return a trainer that prints nothing itself; its callbacks do.

    Args:
        model: to train.
        train_data: columns `sentence` and `label`, or `anchor`, `positive` and `negative`.
        settings: of the run.
        checkpoints: where checkpoints go.
        callbacks: of the trainer.
        evaluator: runs every `eval_steps`.
        changes: other arguments of the trainer, by name.
    """
    steps = settings.max_steps
    if steps < 0:
        steps = math.ceil(settings.epochs * math.ceil(len(train_data) / settings.batch_size))
    changes = {"logging_steps": max(1, min(10, steps // 20)), **changes}  # so that a short run has a curve too
    trainer = SentenceTransformerTrainer(
        model=model,
        args=training_arguments(settings, checkpoints, triplets="anchor" in train_data.column_names, **changes),
        train_dataset=train_data,
        loss=build_loss(settings, model),
        evaluator=evaluator,
        callbacks=[UseCurrentIntervals(), *callbacks],
    )
    trainer.pop_callback(default_progress_callback(trainer))
    return trainer


def build_evaluator(data: Dataset, *, show_progress_bar: bool) -> LabelEvaluator | TripletEvaluator:
    """Return the evaluator for labelled sentences or for triplets, according to the columns of `data`."""
    columns = data[:]
    if "label" in columns:
        return LabelEvaluator(columns["sentence"], columns["label"], show_progress_bar=show_progress_bar)
    texts = (columns[name] for name in ("anchor", "positive", "negative"))
    return TripletEvaluator(*texts, show_progress_bar=show_progress_bar)
