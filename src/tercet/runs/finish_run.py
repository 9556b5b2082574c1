"""Finish a run: build its record, save the model, return the result."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from tercet._files.model_files import METRICS_FILE
from tercet.decisions import LabelClassifier
from tercet.decisions.storage import classifier_files
from tercet.decisions.summary import record_of
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import TercetError
from tercet.records import RunRecord, TrainingGain
from tercet.runs.decisions import saved_scores
from tercet.runs.output import remove_checkpoints
from tercet.runs.results import TrainingRun
from tercet.runs.run_record import build_record, data_facts, describe_choices
from tercet.runs.run_stages import PlannedRun, StageResults
from tercet.trainer.whole_checkpoints import latest_checkpoint

logger = logging.getLogger(__name__)


def record_of_run(
    run: PlannedRun,
    result: StageResults,
    eval_data: Dataset | None,
    extra_settings: Mapping[str, Any],
    train_rows: Sequence[int] | None,
    held_out_rows: Sequence[int] | None,
) -> RunRecord:
    """Return the record of a run that has ended. The last two arguments are those of `run_training`."""
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
        if isinstance(record.gain, TrainingGain) and result.classifier is not None and result.queries is not None:
            record.gain.saved = saved_scores(
                result.classifier, evaluation, result.queries, held_out_rows, num_rows=record.gain.rows
            )
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


def training_run(
    run: PlannedRun,
    result: StageResults,
    record: RunRecord,
    held_out_rows: Sequence[int] | None,
    *,
    keep_embeddings: bool,
) -> TrainingRun:
    """Return what `train` returns, with the embeddings of the measured rows if `keep_embeddings`."""
    before, after, evaluation = result.before, result.after, run.evaluation
    embeddings = head_inputs = None
    if keep_embeddings and before and after and before.embeddings is not None and after.embeddings is not None:
        embeddings = before.embeddings, after.embeddings
        inputs = None if result.queries is None else result.queries[1]
        head_inputs = None if inputs is None or evaluation is None else inputs[evaluation.ranked.tolist()].cpu()
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
        head_inputs=head_inputs,
    )


def save_run(
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
