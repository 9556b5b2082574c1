"""`model.fit`, the way to train of sentence-transformers before version 3, on Tercet's trainer.

The batches are those of the data loaders: `fit` draws those of all epochs before the first step, makes a data set of
the examples, and passes both to the trainer.
"""

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset
from torch import nn

from tercet._events import WarningKind, emit_warning
from tercet.compat.fit_callbacks import FitEvaluation, SaveAtEnd
from tercet.errors import DataError, listed
from tercet.trainer import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from tercet.trainer.loss_state import loss_parameters
from tercet.trainer.whole_checkpoints import latest_checkpoint

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
    drawn = [_Drawn(loader, per_epoch, epochs, f"data loader {place}") for place, loader in enumerate(loaders, 1)]
    names = [f"objective {place}" for place in range(1, len(objectives) + 1)]
    several = len(objectives) > 1
    optimizer = _optimizer(model, losses, optimizer_class, optimizer_params or {"lr": 2e-5}, weight_decay)
    schedule = _schedule(scheduler, optimizer, warmup_steps, per_epoch * epochs * len(objectives))
    with nullcontext(str(checkpoint_path)) if checkpoint_path else tempfile.TemporaryDirectory() as folder:
        on_cpu = model.device.type == "cpu"
        arguments = SentenceTransformerTrainingArguments(
            folder,
            num_train_epochs=epochs,
            per_device_train_batch_size=drawn[0].batch_size,
            batch_sampler=_ByDataSet(dict(zip(map(id, (one.dataset for one in drawn)), drawn, strict=True))),
            multi_dataset_batch_sampler=_InTurn,
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
            train_dataset=dict(zip(names, (one.dataset for one in drawn), strict=True))
            if several
            else drawn[0].dataset,
            loss=dict(zip(names, losses, strict=True)) if several else losses[0],
            optimizers=(optimizer, schedule),
            callbacks=callbacks,
        )
        trainer.train(resume_from_checkpoint=resume_from_checkpoint and _has_checkpoint(checkpoint_path))


class _Drawn:
    """The examples of a data loader as a data set, and the row numbers of its batches in each epoch."""

    def __init__(self, loader: Any, per_epoch: int, epochs: int, name: str) -> None:
        self._rows: dict[int, int] = {}
        self._examples: list[Any] = []
        data = getattr(loader, "dataset", None)
        known = getattr(data, "grouped_inputs", data)
        if isinstance(known, Sequence):
            self._numbers(known)
        with _without_collating(loader):
            batches = _endless(loader, name)
            self.epochs = [[self._numbers(next(batches)) for _ in range(per_epoch)] for _ in range(epochs)]
        self.batch_size = max(len(batch) for epoch in self.epochs for batch in epoch)
        self.dataset = _dataset(self._examples, name)

    def _numbers(self, examples: Sequence[Any]) -> list[int]:
        """Return the row number of each example. A new example gets the next row."""
        for example in examples:
            if id(example) not in self._rows:
                self._rows[id(example)] = len(self._examples)
                self._examples.append(example)
        return [self._rows[id(example)] for example in examples]


class _Batches:
    """The batch sampler of the drawn batches."""

    def __init__(self, epochs: list[list[list[int]]], batch_size: int) -> None:
        self.epochs, self.batch_size, self.drop_last, self.epoch = epochs, batch_size, False, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        yield from self.epochs[self.epoch]

    def __len__(self) -> int:
        return len(self.epochs[0])


class _ByDataSet:
    """The training argument `batch_sampler`: a function from a data set to its drawn batches."""

    def __init__(self, drawn: dict[int, _Drawn]) -> None:
        self._drawn, self.__qualname__ = drawn, "DataLoader"

    def __call__(self, dataset: Any, **options: Any) -> _Batches:
        drawn = self._drawn[id(dataset)]
        return _Batches(drawn.epochs, drawn.batch_size)


class _InTurn(_Batches):
    """The training argument `multi_dataset_batch_sampler`: a batch of each data loader in turn."""

    def __init__(self, dataset: Any, batch_samplers: list[_Batches], **options: Any) -> None:
        first_rows = [0, *dataset.cumulative_sizes]
        shifted = [
            [[[first + row for row in batch] for batch in epoch] for epoch in sampler.epochs]
            for first, sampler in zip(first_rows, batch_samplers, strict=False)
        ]
        turns = (zip(*epoch, strict=True) for epoch in zip(*shifted, strict=True))
        epochs = [[batch for batches in turn for batch in batches] for turn in turns]
        super().__init__(epochs, batch_samplers[0].batch_size)


@contextmanager
def _without_collating(loader: Any) -> Iterator[None]:
    """Make a data loader return lists of examples."""
    before = loader.collate_fn
    loader.collate_fn = list
    try:
        yield
    finally:
        loader.collate_fn = before


def _endless(loader: Any, name: str) -> Iterator[Any]:
    """Yield the batches of a data loader, and start again after the last one."""
    while True:
        batch = None
        for batch in loader:
            yield batch
        if batch is None:
            raise DataError(f"{name} has no batch; check its data set and batch_size")


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
