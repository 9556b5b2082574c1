"""Finish a run: build its record, save the model, return the result."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
from tercet.trainer.checkpoints.whole_checkpoints import latest_checkpoint

logger = logging.getLogger(__name__)


def record_of_run(run: PlannedRun, result: StageResults, extra_settings: Mapping[str, Any]) -> RunRecord:
    """Return the record of a run that has ended."""
    data, evaluation, before, after = run.data, run.evaluation, result.before, result.after
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
                result.classifier, evaluation, result.queries, data.held_out_rows, num_rows=record.gain.rows
            )
        record.parents = evaluation.parents(after)
    record.choices = describe_choices(
        result.choice,
        trained_encoder=result.trained_encoder,
        scores=run.best.scores if run.best and result.trained_encoder else {},
        best_step=result.best_step,
        validation_rows=[data.train_rows[row] for row in run.stages.validation],
        time_limit=run.time_limit,
    )
    record.data = {"train": data_facts(data.train, result.train_stats, run.settings.multi_label)}
    if data.evaluation is not None and before is not None:
        facts = data_facts(data.evaluation, before.token_stats, run.settings.multi_label)
        record.data["eval"] = {**facts, "held_out_rows": data.held_out_rows}
    return record


def training_run(run: PlannedRun, result: StageResults, record: RunRecord, *, keep_embeddings: bool) -> TrainingRun:
    """Return what `train` returns, with the embeddings of the measured rows if `keep_embeddings`."""
    before, after, evaluation = result.before, result.after, run.evaluation
    embeddings = head_inputs = None
    if keep_embeddings and before and after and before.embeddings is not None and after.embeddings is not None:
        embeddings = before.embeddings, after.embeddings
        inputs = None if result.queries is None else result.queries[1]
        head_inputs = None if inputs is None or evaluation is None else inputs[evaluation.ranked.tolist()].cpu()
    eval_rows = None
    if evaluation:
        positions, held_out = evaluation.positions.tolist(), run.data.held_out_rows
        eval_rows = positions if held_out is None else [held_out[position] for position in positions]
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
