"""Run one training on loaded data: evaluate, train, evaluate again, and save the model."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from datasets import Dataset
from tqdm.contrib.logging import logging_redirect_tqdm

from tercet._events import TrainingWarning, collect_warnings
from tercet._files import find_checkpoints
from tercet._files.model_files import METRICS_FILE
from tercet.data.fingerprint import fingerprint
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError, TercetError
from tercet.records import EvaluationRecord, RunRecord, public_settings
from tercet.runs.build import build_trainer
from tercet.runs.environment import environment, utc_now
from tercet.runs.margin import NUM_MEASURED, choose_margin_and_distance
from tercet.runs.model_changes import change_model
from tercet.runs.outcome import TrainingInterrupted, TrainingRun
from tercet.runs.output import checkpoint_dir, remove_checkpoints, remove_if_empty
from tercet.runs.protocol import DEFAULT_NAMES, Names, plan_evaluation
from tercet.runs.recipe import choose_schedule, has_few_rows
from tercet.runs.settings import RunSettings
from tercet.runs.tracking import Trackers
from tercet.trainer.callbacks import ProgressBar, ProgressLog, StopOnInterrupt
from tercet.trainer.distributed import DistributedEncoder
from tercet.trainer.record import metrics_by_step
from tercet.trainer.run_identity import data_identity, model_identity
from tercet.trainer.trainer import SentenceTransformerTrainer
from tercet.trainer.whole_checkpoints import latest_checkpoint

logger = logging.getLogger(__name__)


def run_training(
    model: SentenceTransformer,
    train_data: Dataset,
    eval_data: Dataset | None,
    output: Path,
    settings: RunSettings,
    *,
    names: Names = DEFAULT_NAMES,
    held_out_rows: Sequence[int] | None = None,
    warnings: Sequence[TrainingWarning] = (),
    resume: bool = False,
    overwrite: bool = True,
    extra_settings: Mapping[str, Any] | None = None,
    keep_embeddings: bool = False,
    show_progress_bar: bool = True,
) -> TrainingRun:
    """Train `model` and save it in the folder `output`, with a `metrics.json`.

    Checkpoints are written to `checkpoint_dir(output)`. A successful run removes them.

    Args:
        model: the model, which is trained in place.
        train_data: data with the columns `sentence` and `label`, or `anchor`, `positive` and `negative` for the triplet
            loss.
        eval_data: data with the same columns, to evaluate on before and after training; None skips these evaluations.
            `settings.eval_steps` needs it.
        output: the folder for the model.
        settings: the settings of the run.
        names: the names of the data in messages.
        held_out_rows: for the record, the numbers of the rows of `eval_data` in the file that both data come from.
        warnings: for the record, the warnings of the reading of the data.
        resume: continue from the newest whole checkpoint, if there is one.
        overwrite: whether `output` may have files when the model is saved.
        extra_settings: more items for `settings` in `metrics.json`, such as the names of the data and the model.
        keep_embeddings: return the embeddings of the measured rows before and after training, if they have labels.
        show_progress_bar: whether to show progress bars for the training and for the evaluations before and after it.

    Raises:
        TrainingInterrupted: Ctrl-C stopped the run. During training, a checkpoint of the current step is written first,
            except at a second Ctrl-C.
        DataError: there is a checkpoint but `resume` is False; `resume` is True but no checkpoint is whole, or the
            settings, the data or the start model are not those of the run that wrote it; or a setting or the data are
            invalid.
        ModelError: the model cannot be saved.
        EmbeddingError: the margin is invalid, or the embeddings contain NaN or infinite values.
    """
    started, clock = utc_now(), time.monotonic()
    _check_json(extra_settings or {})
    change_model(model, settings)
    first = train_data[:NUM_MEASURED]
    settings = choose_margin_and_distance(settings, model, first["sentence" if "sentence" in first else "anchor"])
    width = model.transformer.hidden_size
    settings = choose_schedule(settings, few_rows=has_few_rows(train_data), width=width)
    checkpoints = checkpoint_dir(output)
    has_checkpoint = _check_checkpoints(checkpoints, output, resume=resume)
    stop, progress = StopOnInterrupt(), ProgressBar() if show_progress_bar else ProgressLog()
    trackers = Trackers(settings.report_to, output, public_settings({**(extra_settings or {}), **asdict(settings)}))
    try:
        with collect_warnings() as warnings_of_plan:
            evaluation = None
            if eval_data is not None:
                evaluation = plan_evaluation(eval_data, train_data, names=names, show_progress_bar=show_progress_bar)
            during = evaluation.evaluator() if evaluation and settings.eval_steps is not None else None
            trainer = build_trainer(model, train_data, settings, checkpoints, [progress, stop, trackers], during)
        _set_identity(trainer, settings, eval_data, extra_settings or {})
        last = trainer.find_checkpoint(has_checkpoint)
        trackers.start(trainer)
    except TercetError:
        remove_if_empty(checkpoints)
        raise
    encoder = DistributedEncoder(model)
    try:
        with collect_warnings() as warnings_before:
            train_stats = trainer.tokenize_train_dataset()
            before = evaluation.measure(evaluation.embed(encoder)) if evaluation else None
            trackers.log_evaluation(before)
        with stop.handling_interrupts(), logging_redirect_tqdm(), collect_warnings() as warnings_in_training:
            trainer.train(resume_from_checkpoint=str(last) if last else None)
        if stop.interrupted:
            raise KeyboardInterrupt
        after = evaluation.measure(evaluation.embed(encoder)) if evaluation else None
        trackers.log_evaluation(after)
    except KeyboardInterrupt:
        raise TrainingInterrupted(latest_checkpoint(checkpoints)) from None
    finally:
        trackers.finish()
        remove_if_empty(checkpoints)
        if isinstance(progress, ProgressBar):
            progress.close()
    record = build_record(
        trainer,
        settings,
        evaluation.record(before, after) if evaluation and before and after else {},
        extra_settings=extra_settings or {},
        warnings=[*warnings, *warnings_of_plan, *warnings_before, *warnings_in_training],
    )
    if evaluation and before and after:
        record.gain = evaluation.gain(before, after)
    record.data = {"train": {**fingerprint(train_data), **(train_stats.to_dict() if train_stats else {})}}
    if eval_data is not None and before is not None:
        held_out = None if held_out_rows is None else list(held_out_rows)
        record.data["eval"] = {
            **fingerprint(eval_data),
            **before.token_stats.to_dict(),
            "held_out_rows": held_out,
        }
    record.run = {"started": started, "seconds": round(time.monotonic() - clock, 1)}
    extend_training_record(model, record)
    if trainer.is_world_process_zero():
        _save(model, record, output, checkpoints, overwrite=overwrite)
    embeddings = None
    if keep_embeddings and before and after and before.embeddings is not None and after.embeddings is not None:
        embeddings = before.embeddings, after.embeddings
    eval_rows = None
    if evaluation:
        positions = evaluation.positions.tolist()
        eval_rows = positions if held_out_rows is None else [held_out_rows[position] for position in positions]
    return TrainingRun(
        model=model,
        record=record,
        log=trainer.state.log_history,
        eval_data=evaluation.data if evaluation else None,
        eval_rows=eval_rows,
        embeddings=embeddings,
        predictions=None if after is None else after.predictions,
    )


def build_record(
    trainer: SentenceTransformerTrainer,
    settings: RunSettings,
    evaluation: dict[str, EvaluationRecord],
    *,
    extra_settings: Mapping[str, Any],
    warnings: Sequence[TrainingWarning] = (),
    steps: int | None = None,
) -> RunRecord:
    """Return the record of a run that has ended.

    Args:
        trainer: the trainer, after training.
        settings: the settings of the run.
        evaluation: the metrics before and after training, by protocol.
        extra_settings: more items for `settings` in the record.
        warnings: the warnings that `collect_warnings` collected.
        steps: the step of the saved model; None for the last step.
    """
    state = trainer.state
    steps = state.global_step if steps is None else steps
    named = {**extra_settings, **asdict(settings), "steps": steps}
    if settings.max_steps > 0:
        named["epochs"] = state.epoch * steps / state.global_step
    return RunRecord(
        evaluation=evaluation,
        by_step={str(step): metrics for step, metrics in metrics_by_step(state.log_history).items()},
        settings=named,
        warnings=[warning.to_dict() for warning in warnings],
        environment=environment(trainer.args.device),
    )


def extend_training_record(model: SentenceTransformer, record: RunRecord) -> None:
    """Add the metrics and the name of the data to the training record of the model, which the model card shows.

    Leave out the folder of a local file, because the model card may be published.
    """
    training = model.training_record
    assert training is not None
    training.evaluation, training.gain = record.evaluation, record.gain
    if source := public_settings(record.settings).get("data"):
        training.data = {"Data": source, **training.data}


def _set_identity(
    trainer: SentenceTransformerTrainer,
    settings: RunSettings,
    eval_data: Dataset | None,
    extra_settings: Mapping[str, Any],
) -> None:
    """Give the trainer what its checkpoints store about the run, before the first step. See `trainer.run_identity`."""
    free = {item.name for item in fields(RunSettings) if item.metadata.get("free_on_resume")}
    trainer.run_settings = {name: value for name, value in asdict(settings).items() if name not in free}
    if "eval_fraction" in extra_settings:
        trainer.run_settings["eval_fraction"] = extra_settings["eval_fraction"]
    if eval_data is not None:
        trainer.run_data = {"eval": data_identity(eval_data)}
    trainer.start_model = model_identity(trainer.model)


def _check_checkpoints(checkpoints: Path, output: Path, *, resume: bool) -> bool:
    """Return whether there is a checkpoint to resume from.

    Raises:
        DataError: `resume` is False but there is a checkpoint, or the parent folder cannot be created.
    """
    try:
        checkpoints.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write to {output}: {error.strerror}") from error
    found = find_checkpoints(checkpoints)
    if resume and not found:
        logger.info(f"{checkpoints} has no complete checkpoint yet, so the run starts at the first step")
    if not resume and found:
        raise DataError(
            f"{checkpoints} has {found[-1].name} of an earlier run; pass resume=True to continue that run, or remove "
            "the folder to start a new one"
        )
    return bool(found)


def _check_json(extra_settings: Mapping[str, Any]) -> None:
    """Raise `DataError` if `metrics.json` cannot hold the settings. After the training it would be too late."""
    try:
        json.dumps(dict(extra_settings))
    except (TypeError, ValueError) as error:
        raise DataError(f"extra_settings cannot be written to {METRICS_FILE}: {error}") from None


def _save(model: SentenceTransformer, record: RunRecord, output: Path, checkpoints: Path, *, overwrite: bool) -> None:
    """Save the model and its record, then remove the checkpoints."""
    try:
        model.save_pretrained(output, more_json={METRICS_FILE: record.to_dict()}, overwrite=overwrite)
    except TercetError as error:
        last = latest_checkpoint(checkpoints)
        kept = f"; the run is complete in {last}: add resume=True to repeat only the saving" if last else ""
        raise type(error)(f"{error}{kept}") from error
    if not remove_checkpoints(checkpoints) and not checkpoints.is_symlink():
        logger.warning(f"{checkpoints} has files that the run did not write; they are kept")
