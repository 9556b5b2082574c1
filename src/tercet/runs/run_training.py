"""Run one training on loaded data: evaluate, train, evaluate again, and save the model."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import TrainerCallback

from tercet._events import TrainingWarning, collect_warnings
from tercet._files import find_checkpoints
from tercet._files.model_files import METRICS_FILE
from tercet._multi_labels import split_set
from tercet.data.labels.numbering import label_values
from tercet.data.loading.training_data import TrainingData
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.encoder.weight_sample import model_identity
from tercet.errors import DataError
from tercet.evaluation import LabelEvaluator
from tercet.records import public_settings
from tercet.runs.build import build_trainer, label_names_of
from tercet.runs.classifier import RunClassifier
from tercet.runs.environment import utc_now
from tercet.runs.evaluation_plan import plan_evaluation
from tercet.runs.finish_run import record_of_run, save_run, training_run
from tercet.runs.margin import NUM_MEASURED, choose_margin_and_distance, choose_margins_of_levels
from tercet.runs.model_changes import change_model
from tercet.runs.output import BEST_STATE, checkpoint_dir, remove_without_checkpoint
from tercet.runs.random_state import kept_random_state
from tercet.runs.recipe import choose_schedule
from tercet.runs.results import TrainingInterrupted, TrainingRun
from tercet.runs.run_record import extend_training_record, recorded_settings
from tercet.runs.run_stages import PlannedRun, run_stages
from tercet.runs.settings import RunSettings
from tercet.runs.source_names import DEFAULT_NAMES, Names
from tercet.runs.stages import Stages, may_raise_margin, plan_stages
from tercet.runs.tracking import Trackers
from tercet.trainer.checkpoints.best_state import KeepBest
from tercet.trainer.checkpoints.run_identity import data_identity
from tercet.trainer.checkpoints.whole_checkpoints import latest_checkpoint
from tercet.trainer.evaluation.distributed_encoder import DistributedEncoder
from tercet.trainer.logs.callbacks import LogFirstStep, ProgressBar, ProgressLog, StopOnInterrupt
from tercet.trainer.trainer import SentenceTransformerTrainer

logger = logging.getLogger(__name__)


@kept_random_state()
def run_training(
    model: SentenceTransformer,
    data: TrainingData,
    output: Path,
    settings: RunSettings,
    *,
    names: Names = DEFAULT_NAMES,
    warnings: Sequence[TrainingWarning] = (),
    resume: bool = False,
    overwrite: bool = True,
    extra_settings: Mapping[str, Any] | None = None,
    keep_embeddings: bool = False,
    show_progress_bar: bool = True,
    classifier: bool = True,
    keep_texts: bool = False,
    skip_encoder: bool = False,
    start: float | None = None,
) -> TrainingRun:
    """Train `model` and save it in the folder `output`, with a `metrics.json`.

    `settings.train` says what is trained. First, a linear head is trained on embeddings of the training rows that are
    computed once. Then the encoder is trained, with the head. With `auto`, cross-validation decides about the head, and
    validation rows decide which state of the encoder is kept.

    Checkpoints are written to `checkpoint_dir(output)`. A successful run removes them.

    Args:
        model: the model, which is trained in place.
        data: the rows to train on; and those to evaluate on before and after training, which `settings.eval_steps`
            needs. Without them, nothing is evaluated.
        output: the folder for the model.
        settings: the settings of the run.
        names: the names of the data in messages.
        warnings: for the record, the warnings of the reading of the data.
        resume: continue from the newest whole checkpoint, if there is one.
        overwrite: whether `output` may have files when the model is saved.
        extra_settings: more items for `settings` in `metrics.json`, such as the names of the data and the model.
        keep_embeddings: return the embeddings of the measured rows before and after training, if they have labels.
        show_progress_bar: whether to show progress bars for the training and for the evaluations before and after it.
        classifier: whether to fit a classifier to labelled sentences after the training, and save it with the model.
        keep_texts: whether the classifier keeps the training sentences, to show them as evidence.
        skip_encoder: do not train the encoder, as if the time limit left no time for it.
        start: the time by `time.monotonic` at which the run began, if data and model were loaded before this call. Its
            seconds and its time limit count from then.

    Raises:
        TrainingInterrupted: Ctrl-C stopped the run. During training, a checkpoint of the current step is written first,
            except at a second Ctrl-C.
        DataError: there is a checkpoint but `resume` is False; `resume` is True but no checkpoint is whole, or the
            settings, the data or the start model are not those of the run that wrote it; or a setting or the data are
            invalid.
        ModelError: the model cannot be saved.
        EmbeddingError: the margin is invalid, or the embeddings contain NaN or infinite values.
    """
    clock = time.monotonic() if start is None else start
    started = utc_now(seconds_ago=time.monotonic() - clock)
    extra_settings = extra_settings or {}
    _check_json(extra_settings)
    checkpoints = checkpoint_dir(output)
    has_checkpoint = _check_checkpoints(checkpoints, output, resume=resume)
    if classifier and settings.multi_label is not None:
        logger.info("no classifier is fitted, because it gives each sentence one label, and the rows have several")
    if keep_texts and (settings.multi_label is not None or settings.uses_triplets):
        logger.warning("keep_texts=True is not used, because no classifier is fitted, which would keep the sentences")
    change_model(model, settings)
    margin_chosen = settings.margin is None
    progress = ProgressBar() if show_progress_bar else ProgressLog()
    trackers = Trackers(settings.report_to, output)
    try:
        with collect_warnings() as early_warnings:
            stages = plan_stages(settings, data.train)
            settings = _choose_settings(settings, model, data.train, stages)
            evaluation = None
            if data.evaluation is not None:
                evaluation = plan_evaluation(
                    data.evaluation,
                    data.train,
                    names=names,
                    label_levels=settings.label_levels,
                    multi_label=settings.multi_label,
                    show_progress_bar=show_progress_bar,
                )
            stop, best = StopOnInterrupt(), _keep_best(model, data.train, stages, checkpoints, settings.multi_label)
            first = LogFirstStep(clock)
            callbacks: list[TrainerCallback] = [progress, first, stop, trackers, *([best] if best else [])]
            during = evaluation.evaluator() if evaluation and settings.eval_steps is not None else None
            rows = stages.rows_to_train_on(data.train)
            trainer = build_trainer(model, rows, settings, checkpoints, callbacks, during)
        is_open = may_raise_margin(settings, stages, margin_chosen=margin_chosen)  # known after the head is chosen
        identity = replace(settings, margin=None) if is_open else settings
        _set_identity(trainer, identity, data.evaluation, extra_settings)
        run = PlannedRun(
            settings=settings, time_limit=settings.time_limit, stages=stages, data=data,
            evaluation=evaluation, trainer=trainer,
            checkpoint=trainer.find_checkpoint(has_checkpoint), best=best, stop=stop, trackers=trackers, clock=clock,
            show_progress_bar=show_progress_bar, margin_chosen=margin_chosen, skip_encoder=skip_encoder,
            warnings=[*warnings, *early_warnings],
            classifier=RunClassifier(
                data, stages, evaluation, keep_texts=keep_texts, seed=settings.seed,
                label_levels=settings.label_levels,
            ) if classifier and not settings.uses_triplets and settings.multi_label is None else None,
        )  # fmt: skip
        trackers.start(trainer, public_settings({**extra_settings, **asdict(recorded_settings(settings))}))
        result = run_stages(run)
    except KeyboardInterrupt:
        raise TrainingInterrupted(latest_checkpoint(checkpoints)) from None
    finally:
        trackers.finish()
        remove_without_checkpoint(checkpoints)
        if isinstance(progress, ProgressBar):
            progress.close()
    record = record_of_run(run, result, extra_settings)
    parts = {part: round(seconds, 1) for part, seconds in run.seconds.items()}
    record.run = {"started": started, "seconds": round(time.monotonic() - clock, 1), "parts": parts}
    if run.checkpoint is not None:
        record.run["resumed_from"] = run.checkpoint.name
    extend_training_record(model, record)
    if trainer.is_world_process_zero():
        save_run(model, record, result.classifier, output, checkpoints, overwrite=overwrite)
    return training_run(run, result, record, keep_embeddings=keep_embeddings)


def _choose_settings(
    settings: RunSettings, model: SentenceTransformer, train_data: Dataset, stages: Stages
) -> RunSettings:
    """Return settings in which the margin, the distance, the epochs and the learning rate are chosen."""
    first = train_data[:NUM_MEASURED]
    sentences = first["sentence" if "sentence" in first else "anchor"]
    has_margin = settings.margin is not None
    settings = choose_margin_and_distance(settings, model, sentences, unit_length=stages.head)
    if stages.head and not has_margin:
        settings = choose_margins_of_levels(settings, label_names_of(train_data))
    return choose_schedule(settings, few_rows=stages.few_rows, width=model.input_module.hidden_size)


def _keep_best(
    model: SentenceTransformer, train_data: Dataset, stages: Stages, checkpoints: Path, multi_label: str | None
) -> KeepBest | None:
    if not len(stages.validation):
        return None
    rows, encoder = train_data.select(stages.validation), DistributedEncoder(model)
    labels = rows["label"][:] if multi_label is None else [split_set(name, multi_label) for name in label_values(rows)]
    evaluator = LabelEvaluator(rows["sentence"][:], labels)
    return KeepBest(model, lambda: evaluator(encoder)[evaluator.primary_metric], checkpoints / BEST_STATE)


def _set_identity(
    trainer: SentenceTransformerTrainer,
    settings: RunSettings,
    eval_data: Dataset | None,
    extra_settings: Mapping[str, Any],
) -> None:
    """Give the trainer the identity of the run, which its checkpoints store. Call this before the first step."""
    free = {item.name for item in fields(RunSettings) if item.metadata.get("free_on_resume")}
    trainer.run_settings = {name: value for name, value in asdict(settings).items() if name not in free}
    trainer.run_setting_defaults = asdict(RunSettings())
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
