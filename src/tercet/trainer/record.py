"""What a model remembers of its training, for its card: data, loss, settings, metrics before and after."""

from typing import Any

import numpy as np
from torch import nn

from tercet.records import TrainingRecord

_SETTINGS = {
    "num_train_epochs": "Epochs",
    "max_steps": "Steps",
    "per_device_train_batch_size": "Batch size per device",
    "gradient_accumulation_steps": "Gradient accumulation",
    "mini_batch_tokens": "Tokens embedded at a time",
    "cross_batch_memory": "Past embeddings mined",
    "batch_sampler": "Batches",
    "samples_per_label": "Sentences per label",
    "learning_rate": "Learning rate",
    "lr_scheduler_type": "Schedule",
    "warmup_steps": "Warm-up",
    "weight_decay": "Weight decay",
    "bf16": "bfloat16",
    "fp16": "float16",
    "seed": "Seed",
}


def training_record(
    args: Any,
    loss: nn.Module,
    data: dict[str, Any],
    log_history: list[dict[str, Any]],
    measured_at: int | None = None,
) -> TrainingRecord:
    """A record of JSON values; `before` is what was measured at step 0, `after` at the last step.

    Args:
        data: what `data_facts` says of the training data.
        measured_at: the step of the model that was kept, where that is not the last one.
    """
    settings = {name: _plain(getattr(args, field)) for field, name in _SETTINGS.items()}
    settings["Processes"] = args.world_size if args.world_size > 1 else None
    if settings["Steps"] is not None and settings["Steps"] > 0:
        settings["Epochs"] = None
    else:
        settings["Steps"] = None
    if settings["Batches"] == "batch_sampler":
        settings["Batches"], settings["Sentences per label"] = "random", None
    measured = metrics_by_step(log_history)
    last = max(measured, default=0) if measured_at is None else measured_at
    return TrainingRecord(
        loss=type(loss).__name__,
        loss_settings=_loss_settings(loss),
        data=data,
        settings={name: value for name, value in settings.items() if value not in (None, False)},
        before=measured.get(0),
        after=measured.get(last) if last else None,
    )


def data_facts(dataset: Any) -> dict[str, Any]:
    """How much there is to train on; it reads all labels, so a trainer asks once and not at each save."""
    if dataset is None:
        return {}
    if "label" not in dataset.column_names:
        return {"Training triplets": len(dataset)}
    return {"Training sentences": len(dataset), "Training labels": len(np.unique(dataset["label"][:]))}


def _loss_settings(loss: nn.Module) -> dict[str, Any]:
    settings = loss.get_config_dict() if hasattr(loss, "get_config_dict") else {}  # type: ignore[operator]
    names = {"distance_metric": "Distance", "margin": "Margin", "triplet_margin": "Margin"}
    return {names.get(name, name): value for name, value in settings.items()}


def metrics_by_step(log_history: list[dict[str, Any]]) -> dict[int, dict[str, float]]:
    """What the evaluations of a run measured, without their timing."""
    timing = ("_runtime", "_samples_per_second", "_steps_per_second")
    measured: dict[int, dict[str, float]] = {}
    for entry in log_history:
        metrics = {
            name.removeprefix("eval_"): value
            for name, value in entry.items()
            if name.startswith("eval_") and not name.endswith(timing)
        }
        if metrics:
            measured.setdefault(entry.get("step", 0), {}).update(metrics)
    return measured


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)
