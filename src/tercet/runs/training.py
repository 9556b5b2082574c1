"""Run one training on loaded data: evaluate, train, evaluate again, and save the model."""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from datasets import Dataset
from torch import Tensor
from tqdm.contrib.logging import logging_redirect_tqdm
from transformers import TrainerCallback

from tercet._events import TrainingWarning, collect_warnings
from tercet._files import find_checkpoints
from tercet._files.model_files import METRICS_FILE
from tercet._multi_labels import split_set
from tercet.data.labels import label_values
from tercet.decisions import LabelClassifier
from tercet.decisions.storage import classifier_files
from tercet.decisions.summary import record_of
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.encoder.token_stats import TokenStats
from tercet.errors import DataError, TercetError
from tercet.evaluation import LabelEvaluator
from tercet.heads import HeadChoice
from tercet.records import RunRecord, public_settings
from tercet.runs.build import build_trainer
from tercet.runs.classifier import RememberingEncoder, RunClassifier
from tercet.runs.environment import utc_now
from tercet.runs.evaluation_plan import plan_evaluation
from tercet.runs.margin import NUM_MEASURED, choose_margin_and_distance
from tercet.runs.measurement import Measurement
from tercet.runs.model_changes import change_model
from tercet.runs.outcome import TrainingInterrupted, TrainingRun
from tercet.runs.output import BEST_STATE, checkpoint_dir, remove_checkpoints, remove_without_checkpoint
from tercet.runs.protocol import Evaluation
from tercet.runs.recipe import choose_schedule
from tercet.runs.run_record import build_record, data_facts, describe_choices, extend_training_record
from tercet.runs.settings import RunSettings
from tercet.runs.source_names import DEFAULT_NAMES, Names
from tercet.runs.stages import Stages, add_head, plan_stages, store_record_of_head
from tercet.runs.time_limit import plan_steps
from tercet.runs.tracking import Trackers
from tercet.trainer.best_state import KeepBest
from tercet.trainer.callbacks import LogFirstStep, ProgressBar, ProgressLog, StopOnInterrupt
from tercet.trainer.distributed import DistributedEncoder
from tercet.trainer.run_identity import data_identity, model_identity
from tercet.trainer.trainer import SentenceTransformerTrainer
from tercet.trainer.whole_checkpoints import latest_checkpoint

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Run:
    """A run that was checked and can start.

    Attributes:
        settings: the settings, all chosen.
        time_limit: the time limit in seconds. `settings` has the number of steps instead, once it is known.
        stages: what the run trains.
        train_data: all training rows, also those that choose the best state.
        evaluation: how the model is evaluated; None if it is not.
        trainer: the trainer of the encoder.
        checkpoint: the checkpoint to resume from.
        best: keeps the best state of the encoder; None keeps the last one.
        stop: stops the training at Ctrl-C.
        trackers: the experiment trackers that get settings and metrics.
        clock: the time of the start, by `time.monotonic`.
        show_progress_bar: whether to show progress bars.
        classifier: fits the classifier at the end; None for none.
        warnings: the warnings so far.
        seconds: the seconds of each part of the run.
    """

    settings: RunSettings
    time_limit: float | None
    stages: Stages
    train_data: Dataset
    evaluation: Evaluation | None
    trainer: SentenceTransformerTrainer
    checkpoint: Path | None
    best: KeepBest | None
    stop: StopOnInterrupt
    trackers: Trackers
    clock: float
    show_progress_bar: bool
    classifier: RunClassifier | None
    warnings: list[TrainingWarning]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timing(self, part: str) -> Iterator[None]:
        """Add the seconds of the `with` block to `seconds`, and its warnings to `warnings`."""
        start = time.monotonic()
        with collect_warnings() as warnings:
            yield
        self.warnings += warnings
        self.seconds[part] = self.seconds.get(part, 0.0) + time.monotonic() - start


@dataclass(kw_only=True)
class _Result:
    """The results of the stages of a run."""

    before: Measurement | None = None
    after: Measurement | None = None
    choice: HeadChoice | None = None
    trained_encoder: bool = False
    best_step: int | None = None
    train_stats: TokenStats | None = None
    classifier: LabelClassifier | None = None


def run_training(
    model: SentenceTransformer,
    train_data: Dataset,
    eval_data: Dataset | None,
    output: Path,
    settings: RunSettings,
    *,
    names: Names = DEFAULT_NAMES,
    train_rows: Sequence[int] | None = None,
    held_out_rows: Sequence[int] | None = None,
    warnings: Sequence[TrainingWarning] = (),
    resume: bool = False,
    overwrite: bool = True,
    extra_settings: Mapping[str, Any] | None = None,
    keep_embeddings: bool = False,
    show_progress_bar: bool = True,
    classifier: bool = True,
    keep_texts: bool = False,
    start: float | None = None,
) -> TrainingRun:
    """Train `model` and save it in the folder `output`, with a `metrics.json`.

    `settings.train` says what is trained. First, a linear head is trained on embeddings of the training rows that are
    computed once. Then the encoder is trained, with the head. With `auto`, cross-validation decides about the head, and
    validation rows decide which state of the encoder is kept.

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
        train_rows: for the record, the numbers of the rows of `train_data` in the file that they come from.
        held_out_rows: for the record, the numbers of the rows of `eval_data` in the file that both data come from.
        warnings: for the record, the warnings of the reading of the data.
        resume: continue from the newest whole checkpoint, if there is one.
        overwrite: whether `output` may have files when the model is saved.
        extra_settings: more items for `settings` in `metrics.json`, such as the names of the data and the model.
        keep_embeddings: return the embeddings of the measured rows before and after training, if they have labels.
        show_progress_bar: whether to show progress bars for the training and for the evaluations before and after it.
        classifier: whether to fit a classifier to labelled sentences after the training, and save it with the model.
        keep_texts: whether the classifier keeps the training sentences, to show them as evidence.
        start: the time by `time.monotonic` from which the time to the first step is measured; None is the time of this
            call.

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
    extra_settings = extra_settings or {}
    _check_json(extra_settings)
    checkpoints = checkpoint_dir(output)
    has_checkpoint = _check_checkpoints(checkpoints, output, resume=resume)
    if classifier and settings.multi_label is not None:
        logger.info("no classifier is fitted, because it gives each sentence one label, and the rows have several")
    change_model(model, settings)
    progress = ProgressBar() if show_progress_bar else ProgressLog()
    trackers = Trackers(settings.report_to, output)
    try:
        with collect_warnings() as early_warnings:
            stages = plan_stages(settings, train_data)
            settings = _choose_settings(settings, model, train_data, stages)
            evaluation = None
            if eval_data is not None:
                evaluation = plan_evaluation(
                    eval_data,
                    train_data,
                    names=names,
                    label_levels=settings.label_levels,
                    multi_label=settings.multi_label,
                    show_progress_bar=show_progress_bar,
                )
            stop, best = StopOnInterrupt(), _keep_best(model, train_data, stages, checkpoints, settings.multi_label)
            first = LogFirstStep(clock if start is None else start)
            callbacks: list[TrainerCallback] = [progress, first, stop, trackers, *([best] if best else [])]
            during = evaluation.evaluator() if evaluation and settings.eval_steps is not None else None
            trainer = build_trainer(
                model, stages.rows_to_train_on(train_data), settings, checkpoints, callbacks, during
            )
        _set_identity(trainer, settings, eval_data, extra_settings)
        run = _Run(
            settings=settings, time_limit=settings.time_limit, stages=stages, train_data=train_data,
            evaluation=evaluation, trainer=trainer,
            checkpoint=trainer.find_checkpoint(has_checkpoint), best=best, stop=stop, trackers=trackers, clock=clock,
            show_progress_bar=show_progress_bar, warnings=[*warnings, *early_warnings],
            classifier=RunClassifier(
                train_data, stages, evaluation, train_rows=train_rows, held_out_rows=held_out_rows,
                keep_texts=keep_texts, seed=settings.seed, label_levels=settings.label_levels,
            ) if classifier and not settings.uses_triplets and settings.multi_label is None else None,
        )  # fmt: skip
        trackers.start(trainer, public_settings({**extra_settings, **asdict(settings)}))
        result = _run_stages(run)
    except KeyboardInterrupt:
        raise TrainingInterrupted(latest_checkpoint(checkpoints)) from None
    finally:
        trackers.finish()
        remove_without_checkpoint(checkpoints)
        if isinstance(progress, ProgressBar):
            progress.close()
    record = _record(run, result, eval_data, extra_settings, train_rows, held_out_rows)
    parts = {part: round(seconds, 1) for part, seconds in run.seconds.items()}
    record.run = {"started": started, "seconds": round(time.monotonic() - clock, 1), "parts": parts}
    extend_training_record(model, record)
    if trainer.is_world_process_zero():
        _save(model, record, result.classifier, output, checkpoints, overwrite=overwrite)
    return _training_run(run, result, record, held_out_rows, keep_embeddings=keep_embeddings)


def _run_stages(run: _Run) -> _Result:
    """Measure the untouched model, train the head, train the encoder, and measure again."""
    trainer, result = run.trainer, _Result()
    encoder = DistributedEncoder(trainer.model)
    embedded = None
    with run.timing("evaluation"):
        result.train_stats = trainer.tokenize_train_dataset()
        if run.evaluation:
            embedded = run.evaluation.embed(encoder)
            result.before = run.evaluation.measure(embedded)
        run.trackers.log_evaluation(result.before)
    if run.stages.head:
        with run.timing("head"):
            reference = embedded.reference if embedded else None
            if reference is None:
                reference = _embed(encoder, run.train_data, show_progress_bar=run.show_progress_bar)
            result.choice = add_head(trainer, reference, run.train_data, run.settings, run.stages)
    if run.stages.encoder:
        elapsed, reserve = time.monotonic() - run.clock, run.seconds["evaluation"] if run.evaluation else 0.0
        steps = plan_steps(
            trainer, run.settings, run.checkpoint, elapsed=elapsed, reserve=reserve, can_skip=run.stages.chooses
        )
        if run.settings.time_limit is not None:  # So that a run with the settings of the record repeats this one.
            fixed: dict[str, Any] = {"max_steps": steps} if steps else {"train": "head"}
            run.settings = replace(run.settings, time_limit=None, **fixed)
        result.trained_encoder = steps > 0
        if result.trained_encoder:
            _train_encoder(run)
            result.best_step = run.best.load_best() if run.best else None
    if not result.trained_encoder:
        assert result.choice is not None
        store_record_of_head(trainer, result.choice)
    last = DistributedEncoder(trainer.model) if run.classifier is None else RememberingEncoder(trainer.model)
    if run.evaluation:
        with run.timing("evaluation"):
            result.after = run.evaluation.measure(run.evaluation.embed(last))
        run.trackers.log_evaluation(result.after)
    if run.classifier and isinstance(last, RememberingEncoder):
        with run.timing("classifier"):
            run.classifier.embed(last, show_progress_bar=run.show_progress_bar)
            if trainer.is_world_process_zero():
                result.classifier = run.classifier.fit(last, trainer.model)
    return result


def _train_encoder(run: _Run) -> None:
    """Train the encoder, with the head if there is one. Raise `KeyboardInterrupt` if Ctrl-C stopped the training."""
    with run.stop.handling_interrupts(), logging_redirect_tqdm(), run.timing("encoder"):
        run.trainer.train(resume_from_checkpoint=str(run.checkpoint) if run.checkpoint else None)
    if run.stop.interrupted:
        raise KeyboardInterrupt


def _embed(encoder: DistributedEncoder, data: Dataset, *, show_progress_bar: bool) -> Tensor:
    return encoder.encode(data["sentence"][:], convert_to_tensor=True, show_progress_bar=show_progress_bar)


def _choose_settings(
    settings: RunSettings, model: SentenceTransformer, train_data: Dataset, stages: Stages
) -> RunSettings:
    """Return settings in which the margin, the distance, the epochs and the learning rate are chosen."""
    first = train_data[:NUM_MEASURED]
    sentences = first["sentence" if "sentence" in first else "anchor"]
    settings = choose_margin_and_distance(settings, model, sentences, unit_length=stages.head)
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


def _record(
    run: _Run,
    result: _Result,
    eval_data: Dataset | None,
    extra_settings: Mapping[str, Any],
    train_rows: Sequence[int] | None,
    held_out_rows: Sequence[int] | None,
) -> RunRecord:
    evaluation, before, after = run.evaluation, result.before, result.after
    record = build_record(
        run.trainer,
        run.settings,
        evaluation.record(before, after) if evaluation and before and after else {},
        extra_settings=extra_settings,
        warnings=run.warnings,
        steps=result.best_step,
    )
    if result.classifier is not None:
        record.classifier = record_of(result.classifier)
    if evaluation and before and after:
        record.gain = evaluation.gain(before, after)
        record.parents = evaluation.parents(after)
    validation = run.stages.validation.tolist()
    record.choices = describe_choices(
        result.choice,
        trained_encoder=result.trained_encoder,
        scores=run.best.scores if run.best and result.trained_encoder else {},
        best_step=result.best_step,
        validation_rows=validation if train_rows is None else [train_rows[row] for row in validation],
        time_limit=run.time_limit,
    )
    record.data = {"train": data_facts(run.train_data, result.train_stats, run.settings.multi_label)}
    if eval_data is not None and before is not None:
        held_out = None if held_out_rows is None else list(held_out_rows)
        record.data["eval"] = {
            **data_facts(eval_data, before.token_stats, run.settings.multi_label), "held_out_rows": held_out,
        }  # fmt: skip
    return record


def _training_run(
    run: _Run, result: _Result, record: RunRecord, held_out_rows: Sequence[int] | None, *, keep_embeddings: bool
) -> TrainingRun:
    before, after, evaluation = result.before, result.after, run.evaluation
    embeddings = None
    if keep_embeddings and before and after and before.embeddings is not None and after.embeddings is not None:
        embeddings = before.embeddings, after.embeddings
    eval_rows = None
    if evaluation:
        positions = evaluation.positions.tolist()
        eval_rows = positions if held_out_rows is None else [held_out_rows[position] for position in positions]
    return TrainingRun(
        model=run.trainer.model,
        record=record,
        log=run.trainer.state.log_history,
        eval_data=evaluation.data if evaluation else None,
        eval_rows=eval_rows,
        embeddings=embeddings,
        predictions=None if after is None else after.predictions,
        classifier=result.classifier,
    )


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


def _save(
    model: SentenceTransformer,
    record: RunRecord,
    classifier: LabelClassifier | None,
    output: Path,
    checkpoints: Path,
    *,
    overwrite: bool,
) -> None:
    """Save the model, its record and its classifier, then remove the checkpoints."""
    files = {METRICS_FILE: record.to_dict(), **({} if classifier is None else classifier_files(classifier))}
    try:
        model.save_pretrained(output, more_files=files, overwrite=overwrite)
    except TercetError as error:
        last = latest_checkpoint(checkpoints)
        kept = f"; the run is complete in {last}: add resume=True to repeat only the saving" if last else ""
        raise type(error)(f"{error}{kept}") from error
    if not remove_checkpoints(checkpoints) and not checkpoints.is_symlink():
        logger.warning(f"{checkpoints} has files that the run did not write; they are kept")
