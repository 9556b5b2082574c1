"""The settings of a run by the names of the options, and what they become: a loss, the trainer's arguments."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers.utils import is_torch_bf16_gpu_available

from tercet import losses
from tercet._distributed import launched_world_size
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError, listed
from tercet.trainer.arguments import BatchSampler, SentenceTransformerTrainingArguments

LOSSES = {
    "batch-all": losses.BatchAllTripletLoss,
    "batch-hard": losses.BatchHardTripletLoss,
    "batch-semi-hard": losses.BatchSemiHardTripletLoss,
    "batch-hard-soft-margin": losses.BatchHardSoftMarginTripletLoss,
    "triplet": losses.TripletLoss,
}


@dataclass(frozen=True)
class RunSettings:
    """The settings of a run, by the names of the command line's options."""

    loss: str = "batch-semi-hard"
    margin: float = 0.3
    distance: str = "euclidean"
    epochs: float = 1.0
    max_steps: int = -1
    batch_size: int = 64
    samples_per_label: int = 4
    learning_rate: float = 5e-5
    warmup_ratio: float = 0.1
    seed: int = 0
    bf16: bool = False
    mini_batch_tokens: int | None = None
    cross_batch_memory: int = 0
    save_every: int | None = None
    keep: int = 2
    eval_steps: int | None = None


def make_loss(settings: RunSettings, model: SentenceTransformer) -> torch.nn.Module:
    """The loss by the name of the command line, with its margin where it has one."""
    if settings.loss not in LOSSES:
        raise DataError(f"loss {settings.loss!r} is not known; take one of {listed(LOSSES)}")
    kind = LOSSES[settings.loss]
    if kind is losses.BatchHardSoftMarginTripletLoss:
        return kind(model, settings.distance)
    return kind(model, settings.distance, settings.margin)  # type: ignore[call-arg]


def training_arguments(
    settings: RunSettings, folder: Path, *, triplets: bool, **changes: Any
) -> SentenceTransformerTrainingArguments:
    """What the trainer is told, checkpoints going to `folder`; `changes` are arguments of the trainer by name."""
    # The rate of a warm-up's first step is 0, so a trial of a few steps would train nothing, or less.
    warmup = 0 if 0 < settings.max_steps < 10 else settings.warmup_ratio
    if settings.bf16 and not is_torch_bf16_gpu_available():
        raise DataError("--bf16 needs a GPU that has bfloat16, and there is none here; leave it out")
    processes = launched_world_size()
    if settings.batch_size % processes:
        raise DataError(
            f"--batch-size {settings.batch_size} is that of all {processes} processes together; take a multiple of them"
        )
    options: dict[str, Any] = {
        "output_dir": str(folder),
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps,
        "per_device_train_batch_size": settings.batch_size // processes,
        "batch_sampler": BatchSampler.BATCH_SAMPLER if triplets else BatchSampler.GROUP_BY_LABEL,
        "samples_per_label": settings.samples_per_label,
        "learning_rate": settings.learning_rate,
        "warmup_steps": warmup,
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
