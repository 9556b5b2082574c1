"""Build the loss and the trainer of a run from its settings and data."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import ClassLabel, Dataset
from transformers import TrainerCallback

from tercet._distributed import launched_world_size
from tercet._multi_labels import number_label_sets
from tercet._nested_labels import margins_of_levels, num_levels, path_of
from tercet.catalogue import DEFAULT_MARGIN, LOSSES, resolve
from tercet.encoder.devices import check_bfloat16
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError
from tercet.evaluation import LabelEvaluator, TripletEvaluator
from tercet.losses import BatchLoss, NestedTripletLoss
from tercet.losses.functional.nested import WEIGHT_PER_LEVEL_WITH_HEAD, weights_of_levels
from tercet.runs.recipe import choose_schedule, has_few_rows
from tercet.runs.settings import DEFAULT_DISTANCE, RunSettings
from tercet.trainer.arguments import BatchSamplers, SentenceTransformerTrainingArguments
from tercet.trainer.logs.callbacks import UseCurrentIntervals, default_progress_callback
from tercet.trainer.trainer import SentenceTransformerTrainer

# Runs with fewer steps have no warm-up: it starts with a learning rate of 0, so they would hardly train.
_SHORTEST_WARM_UP_RUN = 10


def build_loss(
    settings: RunSettings, model: SentenceTransformer, label_names: Sequence[str] | None = None
) -> torch.nn.Module:
    """Return the loss that `settings` names, with the distance and, if the loss has one, the margin.

    `tercet.runs.margin` chooses those that are None; without it, they are those for embeddings of length 1. With
    `settings.label_levels`, the result is a `NestedTripletLoss` of the labels with the given names. With
    `settings.multi_label`, the names are those of sets of labels, and sentences that share a label are positives.
    """
    spec = LOSSES.find(settings.loss, DataError)
    cls, distance = resolve(spec.cls), settings.distance or DEFAULT_DISTANCE
    margin = DEFAULT_MARGIN if settings.margin is None else settings.margin
    if settings.label_levels is None or label_names is None:
        loss: torch.nn.Module = cls(model, distance, *([margin] if spec.has_margin else []))
        if label_names is not None and settings.multi_label is not None:
            if not isinstance(loss, BatchLoss):
                raise DataError(f"multi_label needs a loss that mines batches, but {settings.loss!r} does not")
            loss.jaccard_weights = settings.jaccard_weights
            loss.set_label_sets(number_label_sets(label_names, settings.multi_label)[0])
        return loss
    if not issubclass(cls, BatchLoss):
        raise DataError(f"label_levels needs a loss that mines batches of labels, but {settings.loss!r} does not")
    margins = margins_of_levels(margin, num_levels(label_names, settings.label_levels))
    losses = [cls(None, distance, *([value] if spec.has_margin else [])) for value in margins]
    paths = [path_of(name, settings.label_levels) for name in label_names]
    weights = None if settings.train == "encoder" else weights_of_levels(len(losses), WEIGHT_PER_LEVEL_WITH_HEAD)
    return NestedTripletLoss(model, losses, paths, weights)


def training_arguments(
    settings: RunSettings, folder: Path, *, triplets: bool, steps: int = -1, **changes: Any
) -> SentenceTransformerTrainingArguments:
    """Return the arguments of the trainer.

    Args:
        settings: the settings of the run.
        folder: the folder for checkpoints.
        triplets: whether the training data are triplets, which are drawn at random instead of in P×K batches.
        steps: the approximate number of steps; -1 uses `settings.max_steps`.
        changes: more training arguments by name; they override the arguments from `settings`.

    Raises:
        DataError: `bf16` is set but the device of the training does not compute in bfloat16, `batch_size` is not a
            multiple of the number of processes, or an argument is invalid.
    """
    if settings.bf16:
        use_cpu = changes.get("use_cpu", False)
        accelerator = None if use_cpu else torch.accelerator.current_accelerator(check_available=True)
        check_bfloat16(accelerator or torch.device("cpu"), "this training", DataError)
    processes = launched_world_size()
    if settings.batch_size % processes:
        raise DataError(
            f"batch_size must be a multiple of {processes}, because {processes} processes share each batch; "
            f"got {settings.batch_size}"
        )
    options: dict[str, Any] = {
        "output_dir": str(folder),
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps,
        "per_device_train_batch_size": settings.batch_size // processes,
        "batch_sampler": BatchSamplers.BATCH_SAMPLER if triplets else BatchSamplers.GROUP_BY_LABEL,
        **({} if triplets else {name: getattr(settings, name) for name in ("samples_per_label", "neighbor_labels")}),
        "learning_rate": settings.learning_rate,
        "warmup_steps": warmup(settings, max(steps, settings.max_steps)),
        "seed": settings.seed,
        "bf16": settings.bf16,
        "mini_batch_tokens": settings.mini_batch_tokens,
        "cross_batch_memory": settings.cross_batch_memory,
        "fsdp": settings.fsdp,
        "save_strategy": "epoch" if settings.save_every is None else "steps",
        "save_steps": settings.save_every or 500,
        "save_total_limit": settings.keep,
        "eval_strategy": "no" if settings.eval_steps is None else "steps",
        "eval_steps": settings.eval_steps,
        "report_to": "none",
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
    """Return a trainer without the default progress callback, so that only `callbacks` print.

    Args:
        model: the model to train.
        train_data: data with the columns `sentence` and `label`, or `anchor`, `positive` and `negative`.
        settings: the settings of the run.
        checkpoints: the folder for checkpoints.
        callbacks: the callbacks of the trainer.
        evaluator: computes the metrics of each evaluation during training; None if there are no such evaluations.
        changes: more training arguments by name; they override the arguments from `settings`.
    """
    if settings.epochs is None or settings.learning_rate is None:
        settings = choose_schedule(
            settings, few_rows=has_few_rows(train_data, settings.multi_label), width=model.input_module.hidden_size
        )
        assert settings.epochs is not None
    changes = {"use_cpu": _stays_on_cpu(model), **changes}
    steps = settings.max_steps
    if steps < 0:
        steps = math.ceil(settings.epochs * math.ceil(len(train_data) / settings.batch_size))
    changes = {"logging_steps": logging_interval(steps), **changes}
    trainer = SentenceTransformerTrainer(
        model=model,
        args=training_arguments(
            settings, checkpoints, triplets="anchor" in train_data.column_names, steps=steps, **changes
        ),
        train_dataset=train_data,
        loss=build_loss(settings, model, label_names_of(train_data)),
        evaluator=evaluator,
        callbacks=[UseCurrentIntervals(), *callbacks],
    )
    trainer.pop_callback(default_progress_callback(trainer))
    return trainer


def label_names_of(data: Dataset) -> list[str] | None:
    """Return the names of the labels of a data set whose label column is a `ClassLabel`; else None."""
    feature = data.features.get("label")
    return list(feature.names) if isinstance(feature, ClassLabel) else None


def warmup(settings: RunSettings, steps: int) -> float:
    """Return the training argument `warmup_steps` for a run of about `steps` steps."""
    return 0 if 0 < steps < _SHORTEST_WARM_UP_RUN else settings.warmup_ratio


def logging_interval(steps: int) -> int:
    """Return the number of steps between log entries: at least 20 points for the loss curve, if there are 20 steps."""
    return max(1, min(10, steps // 20))


def _stays_on_cpu(model: SentenceTransformer) -> bool:
    """Return whether to train on the CPU: the model was put there, although there is a CUDA GPU.

    Raises:
        DataError: the model is on another GPU than the one that a single process trains on.
    """
    if not torch.cuda.is_available():
        return False
    device = model.device
    if device.type == "cuda" and device.index and launched_world_size() == 1:
        raise DataError(
            f"device='{device}': a training in one process uses the first GPU; set the environment variable "
            f"CUDA_VISIBLE_DEVICES={device.index} and leave out device"
        )
    return device.type == "cpu"
