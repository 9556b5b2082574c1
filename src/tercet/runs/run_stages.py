"""The stages of a run: measure, train a head, train the encoder, and measure again."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm.contrib.logging import logging_redirect_tqdm

from tercet._events import TrainingWarning, collect_warnings
from tercet.data.loading.training_data import TrainingData
from tercet.decisions import LabelClassifier
from tercet.decisions.spaces import dimensions
from tercet.encoder.token_stats import TokenStats
from tercet.heads import HeadChoice
from tercet.runs.classifier import RememberingEncoder, RunClassifier
from tercet.runs.evaluation import Evaluation
from tercet.runs.forecast import ForecastingEncoder
from tercet.runs.measurement import EvaluationEmbeddings, Measurement
from tercet.runs.settings import RunSettings
from tercet.runs.stages import (
    Stages,
    add_head,
    store_record_without_encoder,
    use_loss_without_head,
    use_margin_after_head,
)
from tercet.runs.time_limit import plan_steps
from tercet.runs.tracking import Trackers
from tercet.trainer.checkpoints.best_state import KeepBest
from tercet.trainer.evaluation.distributed_encoder import DistributedEncoder
from tercet.trainer.logs.callbacks import StopOnInterrupt
from tercet.trainer.trainer import SentenceTransformerTrainer

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class PlannedRun:
    """A run that was checked and can start.

    Attributes:
        settings: the settings, all chosen.
        time_limit: the time limit in seconds. `settings` has the number of steps instead, once it is known and not 0.
        stages: what the run trains.
        data: all training rows, also those that choose the best state, and the rows to evaluate on.
        evaluation: how the model is evaluated; None if it is not.
        trainer: the trainer of the encoder.
        checkpoint: the checkpoint to resume from.
        best: keeps the best state of the encoder; None keeps the last one.
        stop: stops the training at Ctrl-C.
        trackers: the experiment trackers that get settings and metrics.
        clock: the time of the start, by `time.monotonic`.
        show_progress_bar: whether to show progress bars.
        classifier: fits the classifier at the end; None for none.
        margin_chosen: whether the margin was chosen by Tercet, and not given.
        skip_encoder: whether the encoder is not trained, although the stages have it.
        warnings: the warnings so far.
        seconds: the seconds of each part of the run.
    """

    settings: RunSettings
    time_limit: float | None
    stages: Stages
    data: TrainingData
    evaluation: Evaluation | None
    trainer: SentenceTransformerTrainer
    checkpoint: Path | None
    best: KeepBest | None
    stop: StopOnInterrupt
    trackers: Trackers
    clock: float
    show_progress_bar: bool
    classifier: RunClassifier | None
    margin_chosen: bool
    skip_encoder: bool
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
class StageResults:
    """The results of the stages of a run.

    `queries` are the embeddings after training of the rows of `Evaluation.queries`, after the head and before it; None
    without a classifier or an evaluation.
    """

    before: Measurement | None = None
    after: Measurement | None = None
    choice: HeadChoice | None = None
    trained_encoder: bool = False
    best_step: int | None = None
    train_stats: TokenStats | None = None
    classifier: LabelClassifier | None = None
    queries: tuple[Tensor, Tensor | None] | None = None


def run_stages(run: PlannedRun) -> StageResults:
    """Measure the untouched model, train the head, train the encoder, and measure again."""
    trainer, result = run.trainer, StageResults()
    encoder: Any = DistributedEncoder(trainer.model)
    if run.checkpoint is None:  # A resumed run has done a part of the work, so its forecast would be too long.
        encoder = ForecastingEncoder(encoder, run)
    embedded = reference = seconds_per_row = None
    old_modules, old_dim = len(trainer.model), trainer.model.truncate_dim
    with run.timing("evaluation"):
        result.train_stats = trainer.tokenize_train_dataset()
        if run.evaluation:
            embedded = run.evaluation.embed(encoder)
            result.before = run.evaluation.measure(embedded)
        run.trackers.log_evaluation(result.before)
    if run.stages.head:
        with run.timing("head"):
            reference, seconds_per_row = _train_head(run, result, encoder, embedded)
    elif run.stages.no_head_because is not None:
        result.choice = HeadChoice(head=None, settings=None, scores=[], reason=run.stages.no_head_because)
        logger.info(result.choice.reason)
    if run.stages.encoder and not run.skip_encoder:
        steps = _plan_steps(run, seconds_per_row)
        if run.settings.time_limit is not None and steps:  # So that a run with the settings of the record repeats this.
            run.settings = replace(run.settings, time_limit=None, max_steps=steps)
        result.trained_encoder = steps > 0
        if result.trained_encoder:
            _train_encoder(run)
            result.best_step = run.best.load_best() if run.best else None
    if not result.trained_encoder or result.best_step == 0:
        store_record_without_encoder(trainer, result.choice)
    # A head that was appended to the encoder as it was takes the embeddings of the first evaluation.
    appended = old_dim is None and len(trainer.model) == old_modules + 2 and not result.trained_encoder
    first = (None if embedded is None else embedded.queries, reference) if appended else ()
    known = [rows for rows in first if rows is not None]
    last = RememberingEncoder(trainer.model, known, keep=run.classifier is not None)
    if run.evaluation:
        with run.timing("evaluation"):
            result.after = run.evaluation.measure(run.evaluation.embed(last))
        run.trackers.log_evaluation(result.after)
    if run.classifier:
        with run.timing("classifier"):
            run.classifier.embed(last, show_progress_bar=run.show_progress_bar)
            if trainer.is_world_process_zero():
                result.classifier = run.classifier.fit(last, trainer.model)
        result.queries = last.calls[0] if run.evaluation else None
    return result


def _train_head(
    run: PlannedRun, result: StageResults, encoder: Any, embedded: EvaluationEmbeddings | None
) -> tuple[Tensor, float | None]:
    """Choose, train and append a head, and store the choice in `result`.

    Returns:
        The embeddings of the training rows before the head `(n, dim)`, and the seconds that a row took to embed; None
        if the evaluation has embedded them.
    """
    rows, seconds_per_row = run.data.train, None
    reference = None if embedded is None else embedded.reference
    if reference is None:
        start = time.monotonic()
        texts = rows["sentence"][:]
        reference = encoder.encode(texts, convert_to_tensor=True, show_progress_bar=run.show_progress_bar)
        seconds_per_row = (time.monotonic() - start) / len(rows)
    result.choice = add_head(run.trainer, reference, rows, run.settings, run.stages)
    if result.choice.head is None:
        run.settings = use_loss_without_head(run.trainer, rows, run.settings, margin_chosen=run.margin_chosen)
    else:
        run.settings = use_margin_after_head(run.trainer, run.settings, run.stages, margin_chosen=run.margin_chosen)
    return reference, seconds_per_row


def _plan_steps(run: PlannedRun, seconds_per_row: float | None) -> int:
    """Return the number of steps of the encoder, see `plan_steps`."""
    classifier, trainer = run.classifier, run.trainer
    return plan_steps(
        trainer,
        run.settings,
        run.checkpoint,
        elapsed=time.monotonic() - run.clock,
        reserve=run.seconds["evaluation"] if run.evaluation else 0.0,
        can_skip=run.stages.chooses,
        rows_after=classifier.num_rows_to_embed if classifier else 0,
        rows_per_epoch=len(run.stages.validation) if run.best else 0,
        seconds_per_row=seconds_per_row,
        seconds_to_fit=partial(classifier.seconds_to_fit, dimensions(trainer.model)) if classifier else None,
    )


def _train_encoder(run: PlannedRun) -> None:
    """Train the encoder, with the head if there is one. Raise `KeyboardInterrupt` if Ctrl-C stopped the training."""
    if run.checkpoint is not None:
        logger.info(f"the training of the encoder resumes from {run.checkpoint.name}")
    with run.stop.handling_interrupts(), logging_redirect_tqdm(), run.timing("encoder"):
        run.trainer.train(resume_from_checkpoint=str(run.checkpoint) if run.checkpoint else None)
    if run.stop.interrupted:
        raise KeyboardInterrupt
