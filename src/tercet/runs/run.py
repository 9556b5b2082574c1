"""One whole run: measure, train, measure again, save. What `tercet train` and `tercet demo` do."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from torch import Tensor
from tqdm.contrib.logging import logging_redirect_tqdm
from transformers import TrainerCallback

from tercet._events import TrainingWarning, collect_warnings
from tercet._files import remove_directory
from tercet._version import __version__
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError, TercetError
from tercet.evaluation import LabelEvaluator, TripletEvaluator
from tercet.runs.settings import RunSettings, make_loss, training_arguments
from tercet.trainer.callbacks import ProgressBar, StopOnInterrupt, UseCurrentIntervals, default_progress_callback
from tercet.trainer.checkpoints import latest_checkpoint
from tercet.trainer.distributed import DistributedEncoder
from tercet.trainer.record import metrics_by_step
from tercet.trainer.trainer import SentenceTransformerTrainer


class TrainingInterrupted(Exception):
    """The user stopped the run; `checkpoint` is the last whole one, or None."""

    def __init__(self, checkpoint: Path | None) -> None:
        super().__init__("interrupted")
        self.checkpoint = checkpoint


@dataclass(frozen=True)
class TrainingRun:
    """What a run leaves behind.

    Attributes:
        metrics: what stands in metrics.json.
        log: the trainer's history.
        embeddings: of the sentences that were measured, `(sentences, dim)` before and after, where they were kept.
    """

    metrics: dict[str, Any]
    log: list[dict[str, Any]]
    embeddings: tuple[Tensor, Tensor] | None


def run_training(
    model: SentenceTransformer,
    train: Dataset,
    evaluation: Dataset | None,
    output: Path,
    settings: RunSettings,
    *,
    resume: bool = False,
    facts: dict[str, Any] | None = None,
    keep_embeddings: bool = False,
) -> TrainingRun:
    """Train `model`, save it as `output` with its metrics.json, and return what there is to tell.

    Checkpoints go to the folder `output` with `.checkpoints` appended, which is removed at the end.

    Args:
        train: columns `sentence` and `label`, or `anchor`, `positive` and `negative` for the triplet loss.
        evaluation: the same columns, measured before and after; None measures nothing.
        resume: go on from the last whole checkpoint.
        facts: what else to write under `settings`.
        keep_embeddings: return those of labelled `evaluation` sentences.

    Raises:
        TrainingInterrupted: Ctrl-C; a checkpoint of the step it came in was written.
        DataError: the settings or data do not fit.
    """
    if settings.eval_steps is not None and evaluation is None:
        raise DataError("nothing is held out, so there is nothing to measure every eval_steps")
    checkpoints = checkpoint_dir(output)
    try:
        checkpoints.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write to {output}: {error.strerror}") from error
    last = latest_checkpoint(checkpoints)
    if resume and last is None:
        raise DataError(f"nothing to resume: no whole checkpoint in {checkpoints}; run without --resume")
    if not resume and last is not None:
        raise DataError(f"{checkpoints} holds {last.name} of an earlier run; add --resume to go on, or remove it")
    stop = StopOnInterrupt()
    along = None if settings.eval_steps is None else make_evaluator(evaluation, show_progress_bar=False)
    try:
        with collect_warnings() as warnings:
            trainer = build_trainer(model, train, settings, checkpoints, [ProgressBar(), stop], along)
    except TercetError:
        _remove_if_empty(checkpoints)
        raise
    evaluator = None if evaluation is None else make_evaluator(evaluation, show_progress_bar=True)
    encoders = [
        DistributedEncoder(model, keep=keep_embeddings and isinstance(evaluator, LabelEvaluator)) for _ in range(2)
    ]
    try:
        before = evaluator(encoders[0]) if evaluator else None
        with stop.handling_interrupts(), logging_redirect_tqdm(), collect_warnings() as training_warnings:
            trainer.train(resume_from_checkpoint=str(last) if resume else None)
        if stop.interrupted:
            raise KeyboardInterrupt
        after = evaluator(encoders[1]) if evaluator else None
    except KeyboardInterrupt:
        _remove_if_empty(checkpoints)
        raise TrainingInterrupted(latest_checkpoint(checkpoints)) from None
    result = build_record(trainer, settings, before, after, facts or {}, warnings + training_warnings)
    if trainer.is_world_process_zero():
        model.save_pretrained(output, more_json={"metrics.json": result})
        if checkpoints.exists():
            remove_directory(checkpoints)
    kept = [encoder.kept for encoder in encoders if encoder.kept is not None]
    return TrainingRun(result, trainer.state.log_history, (kept[0], kept[1]) if kept else None)


def build_trainer(
    model: SentenceTransformer,
    train: Dataset,
    settings: RunSettings,
    checkpoints: Path,
    callbacks: list[TrainerCallback],
    evaluator: LabelEvaluator | TripletEvaluator | None = None,
    **changes: Any,
) -> SentenceTransformerTrainer:
    """A trainer that is silent but for its callbacks; `changes` are arguments of the trainer by name."""
    steps = settings.max_steps
    if steps < 0:
        steps = math.ceil(settings.epochs * math.ceil(len(train) / settings.batch_size))
    changes = {"logging_steps": max(1, min(10, steps // 20)), **changes}  # a short run has a curve too
    trainer = SentenceTransformerTrainer(
        model=model,
        args=training_arguments(settings, checkpoints, triplets="anchor" in train.column_names, **changes),
        train_dataset=train,
        loss=make_loss(settings, model),
        evaluator=evaluator,
        callbacks=[UseCurrentIntervals(), *callbacks],
    )
    trainer.pop_callback(default_progress_callback(trainer))
    return trainer


def build_record(
    trainer: SentenceTransformerTrainer,
    settings: RunSettings,
    before: dict[str, float] | None,
    after: dict[str, float] | None,
    facts: dict[str, Any],
    warnings: list[TrainingWarning],
    steps: int | None = None,
) -> dict[str, Any]:
    """What stands in metrics.json after a run; the trained model's record, for its card, says the same.

    Args:
        warnings: the warnings of the run, see `tercet._events`.
        steps: those of the model that is kept, where it is not the last one.
    """
    state, model = trainer.state, trainer.model
    steps = state.global_step if steps is None else steps
    result: dict[str, Any] = {"before": before, "after": after}
    if along := metrics_by_step(state.log_history):
        result["by_step"] = {str(step): metrics for step, metrics in along.items()}
    result["settings"] = {**facts, **asdict(settings), "steps": steps}
    if settings.max_steps > 0:
        result["settings"]["epochs"] = state.epoch * steps / state.global_step
    result["warnings"] = [warning.to_dict() for warning in warnings]
    result["tercet_version"] = __version__
    record = model.training_record
    assert record is not None
    record.before, record.after = before, after
    if source := facts.get("data"):
        public = Path(source).name if Path(source).exists() else source
        record.data = {"Data": public, **record.data}
    return result


def make_evaluator(data: Dataset, *, show_progress_bar: bool) -> LabelEvaluator | TripletEvaluator:
    """The evaluator for labelled sentences or for triplets."""
    columns = data[:]
    if "label" in columns:
        return LabelEvaluator(columns["sentence"], columns["label"], show_progress_bar=show_progress_bar)
    texts = (columns[name] for name in ("anchor", "positive", "negative"))
    return TripletEvaluator(*texts, show_progress_bar=show_progress_bar)


def checkpoint_dir(output: Path) -> Path:
    """Where a run that ends in `output` keeps its checkpoints."""
    return output.with_name(output.name + ".checkpoints")


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
