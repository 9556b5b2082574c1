"""One whole run: measure, train, measure again, save. What `tercet train` and `tercet demo` do."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from tqdm.auto import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm
from transformers import TrainerCallback
from transformers.utils import is_torch_bf16_gpu_available

from tercet import losses
from tercet.encoder.model import SentenceTransformer
from tercet.errors import DataError, TercetError, listed
from tercet.evaluation import LabelEvaluator, TripletEvaluator
from tercet.losses.gathering import number_of_processes, sum_over_processes
from tercet.training.arguments import BatchSampler, SentenceTransformerTrainingArguments
from tercet.training.checkpoints import discard, last_whole
from tercet.training.processes import SharedEncoder
from tercet.training.trainer import SentenceTransformerTrainer
from tercet.version import __version__

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
    memory_size: int = 0
    save_every: int | None = None
    keep: int = 2


class Interrupted(Exception):
    """The user stopped the run; `checkpoint` is the last whole one, or None."""

    def __init__(self, checkpoint: Path | None) -> None:
        super().__init__("interrupted")
        self.checkpoint = checkpoint


def train_and_measure(
    model: SentenceTransformer,
    train: Dataset,
    evaluation: Dataset | None,
    output: Path,
    settings: RunSettings,
    *,
    resume: bool = False,
    facts: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Train `model`, save it as `output`, and return what stands in its metrics.json.

    Checkpoints go to the folder `output` with `.checkpoints` appended, which is removed at the end.

    Args:
        train: columns `sentence` and `label`, or `anchor`, `positive` and `negative` for the triplet loss.
        evaluation: the same columns, measured before and after; None measures nothing.
        resume: go on from the last whole checkpoint.
        facts: what else to write under `settings`.

    Raises:
        Interrupted: Ctrl-C; a checkpoint of the step it came in was written.
        DataError: the settings or data do not fit.
    """
    checkpoints = checkpoint_folder(output)
    try:
        checkpoints.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write to {output}: {error.strerror}") from error
    last = last_whole(checkpoints)
    if resume and last is None:
        raise DataError(f"nothing to resume: no whole checkpoint in {checkpoints}; run without --resume")
    if not resume and last is not None:
        raise DataError(f"{checkpoints} holds {last.name} of an earlier run; add --resume to go on, or remove it")
    stop = _StopOnInterrupt()
    try:
        trainer = SentenceTransformerTrainer(
            model=model,
            args=_arguments(settings, checkpoints, triplets="anchor" in train.column_names),
            train_dataset=train,
            loss=make_loss(settings, model),
            callbacks=[_ProgressBar(), stop],
        )
    except TercetError:
        _remove_if_empty(checkpoints)
        raise
    trainer.pop_callback(_default_progress(trainer))
    evaluator = None if evaluation is None else make_evaluator(evaluation)
    try:
        before = evaluator(SharedEncoder(model)) if evaluator else None
        with stop.listening(), logging_redirect_tqdm():
            trainer.train(resume_from_checkpoint=str(last) if resume else None)
        if stop.asked:
            raise KeyboardInterrupt
        after = evaluator(SharedEncoder(model)) if evaluator else None
    except KeyboardInterrupt:
        _remove_if_empty(checkpoints)
        raise Interrupted(last_whole(checkpoints)) from None
    result: dict[str, Any] = {"before": before, "after": after}
    result["settings"] = {**(facts or {}), **asdict(settings), "steps": trainer.state.global_step}
    if settings.max_steps > 0:
        result["settings"]["epochs"] = trainer.state.epoch
    result["tercet_version"] = __version__
    assert model.training_record is not None
    model.training_record |= {"before": before, "after": after}
    source = (facts or {}).get("data")
    if source:
        public = Path(source).name if Path(source).exists() else source
        model.training_record["data"] = {"Data": public, **model.training_record["data"]}
    if trainer.is_world_process_zero():
        model.save_pretrained(output, more_json={"metrics.json": result})
        if checkpoints.exists():
            discard(checkpoints)
    return result


def make_loss(settings: RunSettings, model: SentenceTransformer) -> torch.nn.Module:
    """The loss by the name of the command line, with its margin where it has one."""
    if settings.loss not in LOSSES:
        raise DataError(f"loss {settings.loss!r} is not known; take one of {listed(LOSSES)}")
    kind = LOSSES[settings.loss]
    if kind is losses.BatchHardSoftMarginTripletLoss:
        return kind(model, settings.distance)
    return kind(model, settings.distance, settings.margin)  # type: ignore[call-arg]


def make_evaluator(data: Dataset) -> LabelEvaluator | TripletEvaluator:
    """The evaluator for labelled sentences or for triplets, with a progress bar."""
    columns = data[:]
    if "label" in columns:
        return LabelEvaluator(columns["sentence"], columns["label"], show_progress_bar=True)
    return TripletEvaluator(columns["anchor"], columns["positive"], columns["negative"], show_progress_bar=True)


def checkpoint_folder(output: Path) -> Path:
    """Where a run that ends in `output` keeps its checkpoints."""
    return output.with_name(output.name + ".checkpoints")


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _arguments(settings: RunSettings, folder: Path, *, triplets: bool) -> SentenceTransformerTrainingArguments:
    # The rate of a warm-up's first step is 0, so a trial of a few steps would train nothing, or less.
    warmup = 0 if 0 < settings.max_steps < 10 else settings.warmup_ratio
    if settings.bf16 and not is_torch_bf16_gpu_available():
        raise DataError("--bf16 needs a GPU that has bfloat16, and there is none here; leave it out")
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if settings.batch_size % processes:
        raise DataError(
            f"--batch-size {settings.batch_size} is that of all {processes} processes together; take a multiple of them"
        )
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps,
        per_device_train_batch_size=settings.batch_size // processes,
        batch_sampler=BatchSampler.BATCH_SAMPLER if triplets else BatchSampler.GROUP_BY_LABEL,
        samples_per_label=settings.samples_per_label,
        learning_rate=settings.learning_rate,
        warmup_steps=warmup,
        seed=settings.seed,
        bf16=settings.bf16,
        mini_batch_tokens=settings.mini_batch_tokens,
        memory_size=settings.memory_size,
        save_strategy="epoch" if settings.save_every is None else "steps",
        save_steps=settings.save_every or 500,
        save_total_limit=settings.keep,
        logging_steps=10,
        report_to="none",
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def _default_progress(trainer: SentenceTransformerTrainer) -> type[TrainerCallback]:
    """The progress bar that the trainer adds by itself; it writes logs to standard output, which is for results."""
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    added = {type(callback) for callback in trainer.callback_handler.callbacks}
    return ProgressCallback if ProgressCallback in added else PrinterCallback


class _ProgressBar(TrainerCallback):
    """A bar on standard error, with the latest loss."""

    def __init__(self) -> None:
        self.bar: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self.bar = tqdm(total=state.max_steps, initial=state.global_step, desc="Train", unit="step")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.bar is not None:
            self.bar.update(state.global_step - self.bar.n)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if self.bar is not None and logs and "loss" in logs:
            active = {"active": f"{logs['active_share']:.0%}"} if "active_share" in logs else {}
            self.bar.set_postfix(loss=f"{logs['loss']:.4f}", **active)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.bar is not None:
            self.bar.close()


class _StopOnInterrupt(TrainerCallback):
    """At Ctrl-C, end the step, write a checkpoint and stop; at the second one, stop at once."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle Ctrl-C in this way while the block runs."""
        before = signal.getsignal(signal.SIGINT)

        def ask(number: int, frame: Any) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True

        try:
            signal.signal(signal.SIGINT, ask)
        except ValueError:  # not in the main thread, where no signal arrives
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if number_of_processes() > 1:  # the signal reaches them in different steps, and they must stop after the same
            self.asked = bool(sum_over_processes(torch.tensor(float(self.asked), device=args.device)))
        if self.asked:
            control.should_save = True
            control.should_training_stop = True
