"""The record of a training run for the model card: data, loss, settings, metrics before and after."""

from typing import Any

import numpy as np
import torch
from torch import nn

from tercet.data.tables.dataset_columns import label_ids_of
from tercet.losses.relations import SharedLabel
from tercet.records import EvaluationRecord, TrainingRecord
from tercet.trainer.loss.kinds import loss_settings

# Training arguments that the model card shows, with their titles.
_SETTINGS = {
    "num_train_epochs": "Epochs",
    "max_steps": "Steps",
    "per_device_train_batch_size": "Batch size per device",
    "gradient_accumulation_steps": "Gradient accumulation",
    "mini_batch_tokens": "Tokens embedded at a time",
    "cross_batch_memory": "Past embeddings mined",
    "batch_sampler": "Batches",
    "samples_per_label": "Sentences per label",
    "neighbor_labels": "Fraction of neighbouring labels",
    "learning_rate": "Learning rate",
    "lr_scheduler_type": "Schedule",
    "warmup_steps": "Warm-up",
    "weight_decay": "Weight decay",
    "bf16": "bfloat16",
    "fp16": "float16",
    "train_head": "Linear head trained first",
    "seed": "Seed",
}
_LOSS_SETTINGS = {"distance_metric": "Distance", "margin": "Margin", "triplet_margin": "Margin"}
_TIMING = ("_runtime", "_samples_per_second", "_steps_per_second")


def training_record(
    args: Any,
    loss: nn.Module,
    data: dict[str, Any],
    log_history: list[dict[str, Any]],
    saved_step: int | None = None,
    protocol: str = "evaluators",
) -> TrainingRecord:
    """Return the record of a training run, with the metrics at step 0 and those of the saved model, if there are any.

    Args:
        args: the training arguments.
        loss: the loss. If it has no method `get_config_dict`, the record has no settings of the loss.
        data: the result of `counts_by_title`.
        log_history: `trainer.state.log_history`.
        saved_step: the step of the saved model; None uses the last evaluated step.
        protocol: how the metrics were measured, a key of `tercet.catalogue.PROTOCOLS`.
    """
    metrics = metrics_by_step(log_history)
    last = max(metrics, default=0) if saved_step is None else saved_step
    before, after = metrics.get(0), metrics.get(last) if last else None
    return TrainingRecord(
        loss=type(loss).__name__,
        loss_settings=_titled_settings(loss),
        data=data,
        settings=_settings(args),
        evaluation={protocol: EvaluationRecord(before=before, after=after)} if before or after else {},
    )


def counts_by_title(dataset: Any, relation: SharedLabel | None = None) -> dict[str, Any]:
    """Return the number of training sentences and labels, or of triplets, by title; `{}` without a data set.

    `relation` is that of the loss, if rows have several labels. This reads all labels, so call it once per run and not
    at every checkpoint.
    """
    if dataset is None:
        return {}
    if isinstance(dataset, dict):
        parts = [counts_by_title(part) for part in dataset.values()]
        titles = dict.fromkeys(title for part in parts for title in part)
        return {"Data sets": len(parts), **{title: sum(part.get(title, 0) for part in parts) for title in titles}}
    if "label" not in dataset.column_names:
        return {"Training triplets": len(dataset)}
    found = np.unique(label_ids_of(dataset))
    number = len(found) if relation is None else relation.num_labels(torch.from_numpy(found))
    return {"Training sentences": len(dataset), "Training labels": number}


def metrics_by_step(log_history: list[dict[str, Any]]) -> dict[int, dict[str, float]]:
    """Return the evaluation metrics by step, without the prefix `eval_`.

    Leave out `runtime`, `samples_per_second` and `steps_per_second`.
    """
    by_step: dict[int, dict[str, float]] = {}
    for entry in log_history:
        metrics = {
            name.removeprefix("eval_"): value
            for name, value in entry.items()
            if name.startswith("eval_") and not name.endswith(_TIMING)
        }
        if metrics:
            by_step.setdefault(entry.get("step", 0), {}).update(metrics)
    return by_step


def _settings(args: Any) -> dict[str, Any]:
    settings = {title: _json_value(getattr(args, name)) for name, title in _SETTINGS.items()}
    settings["Processes"] = args.world_size if args.world_size > 1 else None
    # A positive `max_steps` overrides the number of epochs.
    unused = "Epochs" if settings["Steps"] is not None and settings["Steps"] > 0 else "Steps"
    settings[unused] = None
    if settings["Batches"] != "group_by_label":
        settings["Sentences per label"] = None
    if settings["Batches"] == "batch_sampler":
        settings["Batches"] = "random"
    return {name: value for name, value in settings.items() if value not in (None, False)}


def _titled_settings(loss: nn.Module) -> dict[str, Any]:
    settings = loss_settings(loss)
    return {_LOSS_SETTINGS.get(name, name): value for name, value in settings.items()}


def _json_value(value: Any) -> Any:
    """Return the value of an enum member, the name of a class or function, and any other value unchanged."""
    value = getattr(value, "value", value)
    return getattr(value, "__qualname__", value)
