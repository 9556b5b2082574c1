"""`model.fit`, the way to train of sentence-transformers before version 3, on Tercet's trainer.

`fit` draws the batches of all epochs from the data loaders (`fit_batches.py`), makes a data set of the examples, and
passes both to the trainer.
"""

import logging
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset
from torch import nn

from tercet._events import WarningKind, emit_warning
from tercet.compat.fit_batches import BatchesByDataSet, BatchesInTurn, draw_batches, is_shuffled
from tercet.compat.fit_callbacks import FitEvaluation, SaveAtEnd
from tercet.errors import DataError, listed
from tercet.trainer import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from tercet.trainer.checkpoints.whole_checkpoints import latest_checkpoint
from tercet.trainer.loss.parameters import loss_parameters

logger = logging.getLogger("tercet")

_NO_DECAY = ("bias", "LayerNorm.bias", "LayerNorm.weight")
_COLUMNS = {1: ("sentence",), 3: ("anchor", "positive", "negative")}
_warned: set[str] = set()


def fit(
    model: Any,
    train_objectives: Iterable[tuple[Any, nn.Module]],
    evaluator: Any = None,
    epochs: int = 1,
    steps_per_epoch: int | None = None,
    scheduler: str = "WarmupLinear",
    warmup_steps: int = 10000,
    optimizer_class: type[torch.optim.Optimizer] = torch.optim.AdamW,
    optimizer_params: dict[str, Any] | None = None,
    weight_decay: float = 0.01,
    evaluation_steps: int = 0,
    output_path: str | Path | None = None,
    save_best_model: bool = True,
    max_grad_norm: float = 1,
    use_amp: bool = False,
    callback: Callable[[float, float, int], None] | None = None,
    show_progress_bar: bool = True,
    checkpoint_path: str | Path | None = None,
    checkpoint_save_steps: int = 500,
    checkpoint_save_total_limit: int = 0,
    resume_from_checkpoint: bool = False,
) -> None:
    """Train a model with data loaders of `InputExample`. This is the old way; new code uses the trainer.

    Args:
        model: the model.
        train_objectives: pairs of a data loader and a loss. With several pairs, each takes a batch in turn.
        evaluator: a function from the model to a number or a dictionary of metrics. It runs after each epoch.
        epochs: the number of epochs.
        steps_per_epoch: the number of batches of each data loader in an epoch; None or 0 takes the length of the
            shortest one. The next epoch continues with the next batch.
        scheduler: "ConstantLR", "WarmupConstant", "WarmupLinear", "WarmupCosine" or "WarmupCosineWithHardRestarts".
        warmup_steps: the number of steps of the warm-up.
        optimizer_class: the class of the optimizer.
        optimizer_params: the arguments of the optimizer; by default a learning rate of 2e-5.
        weight_decay: the weight decay of all weights but biases and layer norms.
        evaluation_steps: the number of steps between evaluations within an epoch; 0 for none.
        output_path: the folder of the model. With an evaluator it is written after each evaluation with the best score
            so far, else at the end.
        save_best_model: whether to write `output_path` if there is an evaluator.
        max_grad_norm: the norm to which gradients are clipped.
        use_amp: whether to use mixed precision: float16 on a GPU, bfloat16 on a CPU.
        callback: a function that is called with score, epoch and steps after each evaluation.
        show_progress_bar: whether to show a progress bar.
        checkpoint_path: the folder of the checkpoints; None writes none.
        checkpoint_save_steps: the number of steps between checkpoints.
        checkpoint_save_total_limit: the number of checkpoints to keep; 0 keeps all.
        resume_from_checkpoint: whether to continue from the newest checkpoint in `checkpoint_path`, if there is one.

    Raises:
        DataError: a data loader has no batch, its elements are no `InputExample` with one or three texts, the scheduler
            is unknown, or the trainer refuses the data.
    """
    _warn_once()
    objectives = list(train_objectives)
    if not objectives:
        raise DataError("train_objectives is empty; pass [(data loader, loss)]")
    loaders, losses = [loader for loader, _ in objectives], [loss for _, loss in objectives]
    per_epoch = steps_per_epoch or min(map(len, loaders))
    sources = [f"data loader {place}" for place in range(1, len(loaders) + 1)]
    drawn = draw_batches(loaders, sources, per_epoch, epochs)
    datasets = [_dataset(one.examples, source) for one, source in zip(drawn, sources, strict=True)]
    names = [f"objective {place}" for place in range(1, len(objectives) + 1)]
    several = len(objectives) > 1
    optimizer = _optimizer(model, losses, optimizer_class, optimizer_params or {"lr": 2e-5}, weight_decay)
    if not steps_per_epoch and all(map(is_shuffled, loaders)):  # sentence-transformers 6 counts full batches only.
        per_epoch = min(one.full_batches for one in drawn)
    schedule = _schedule(scheduler, optimizer, warmup_steps, per_epoch * epochs * len(objectives))
    with nullcontext(str(checkpoint_path)) if checkpoint_path else tempfile.TemporaryDirectory() as folder:
        on_cpu = model.device.type == "cpu"
        arguments = SentenceTransformerTrainingArguments(
            folder,
            num_train_epochs=epochs,
            per_device_train_batch_size=drawn[0].batch_size,
            batch_sampler=BatchesByDataSet(dict(zip(map(id, datasets), drawn, strict=True))),
            multi_dataset_batch_sampler=BatchesInTurn,
            max_grad_norm=max_grad_norm,
            fp16=use_amp and not on_cpu,
            bf16=use_amp and on_cpu,
            use_cpu=on_cpu,
            disable_tqdm=not show_progress_bar,
            save_strategy="steps" if checkpoint_path else "no",
            save_steps=checkpoint_save_steps,
            save_total_limit=checkpoint_save_total_limit or None,
        )
        callbacks: list[transformers.TrainerCallback] = []
        if evaluator is not None:
            best = output_path if save_best_model else None
            callbacks.append(FitEvaluation(model, evaluator, evaluation_steps, best, output_path, callback))
        elif output_path is not None:
            callbacks.append(SaveAtEnd(model, output_path))
        trainer = SentenceTransformerTrainer(
            model=model,
            args=arguments,
            train_dataset=dict(zip(names, datasets, strict=True)) if several else datasets[0],
            loss=dict(zip(names, losses, strict=True)) if several else losses[0],
            optimizers=(optimizer, schedule),
            callbacks=callbacks,
        )
        trainer.train(resume_from_checkpoint=resume_from_checkpoint and _has_checkpoint(checkpoint_path))


def _dataset(examples: Sequence[Any], name: str) -> Dataset:
    """Return a data set of examples.

    Raises:
        DataError: an element is no example, or the examples do not have one text, or three, each.
    """
    for number, example in enumerate(examples):
        if not isinstance(getattr(example, "texts", None), (list, tuple)):
            raise DataError(
                f"{name}, example {number}: expected an InputExample with a list of texts, got {example!r}; other data "
                "go to SentenceTransformerTrainer"
            )
    sizes = sorted({len(example.texts) for example in examples})
    if sizes not in ([1], [3]):
        raise DataError(
            f"{name}: the examples have {listed(map(str, sizes))} texts; the batch losses take one text with a label, "
            "and TripletLoss takes three texts"
        )
    columns = dict(zip(_COLUMNS[sizes[0]], zip(*(example.texts for example in examples), strict=True), strict=True))
    if sizes == [1]:
        columns["label"] = tuple(_plain(example.label) for example in examples)
    return Dataset.from_dict({name: list(values) for name, values in columns.items()})


def _plain(label: Any) -> Any:
    return label.item() if hasattr(label, "item") else label


def _optimizer(
    model: nn.Module, losses: Sequence[nn.Module], kind: type[torch.optim.Optimizer], options: Any, weight_decay: float
) -> torch.optim.Optimizer:
    named = [*model.named_parameters(), *(pair for loss in losses for pair in loss_parameters(loss).items())]
    unique = {id(value): (name, value) for name, value in named}.values()
    no_decay = [value for name, value in unique if any(part in name for part in _NO_DECAY)]
    decay = [value for name, value in unique if not any(part in name for part in _NO_DECAY)]
    groups = [{"params": decay, "weight_decay": weight_decay}, {"params": no_decay, "weight_decay": 0.0}]
    return kind(groups, **options)


def _schedule(name: str, optimizer: torch.optim.Optimizer, warmup: int, steps: int) -> Any:
    """Return a schedule of the learning rate.

    Raises:
        DataError: there is no schedule of this name.
    """
    makers: dict[str, Callable[[], Any]] = {
        "constantlr": lambda: transformers.get_constant_schedule(optimizer),
        "warmupconstant": lambda: transformers.get_constant_schedule_with_warmup(optimizer, warmup),
        "warmuplinear": lambda: transformers.get_linear_schedule_with_warmup(optimizer, warmup, steps),
        "warmupcosine": lambda: transformers.get_cosine_schedule_with_warmup(optimizer, warmup, steps),
        "warmupcosinewithhardrestarts": lambda: transformers.get_cosine_with_hard_restarts_schedule_with_warmup(
            optimizer, warmup, steps
        ),
    }
    if str(name).lower() not in makers:
        raise DataError(f"unknown scheduler {name!r}; choose one of {listed(makers, 5)}")
    return makers[name.lower()]()


def _has_checkpoint(folder: str | Path | None) -> bool:
    if folder is not None and latest_checkpoint(Path(folder)) is not None:
        return True
    logger.warning(
        f"there is no checkpoint in checkpoint_path={str(folder)!r}, so the training starts at the beginning"
    )
    return False


def _warn_once() -> None:
    if "fit" not in _warned:
        _warned.add("fit")
        emit_warning(
            WarningKind.RENAMED_ARGUMENT,
            "model.fit is the old way to train; use SentenceTransformerTrainer(model, args, train_dataset, loss=loss), "
            "which takes tables with a text and a label column",
        )
