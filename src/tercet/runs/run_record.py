"""Build the record of a training run, the content of `metrics.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from datasets import Dataset

from tercet._events import TrainingWarning
from tercet._multi_labels import number_label_sets
from tercet.data.fingerprint import fingerprint
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.encoder.token_stats import TokenStats
from tercet.heads import HeadChoice
from tercet.records import EvaluationRecord, RunRecord, public_settings
from tercet.runs.environment import environment
from tercet.runs.settings import RunSettings
from tercet.trainer.checkpoints.record import metrics_by_step
from tercet.trainer.trainer import SentenceTransformerTrainer


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
    named = {**extra_settings, **asdict(recorded_settings(settings)), "steps": steps}
    if settings.max_steps > 0 and state.global_step:
        named["epochs"] = state.epoch * steps / state.global_step
    return RunRecord(
        evaluation=evaluation,
        by_step={str(step): metrics for step, metrics in metrics_by_step(state.log_history).items()},
        settings=named,
        warnings=[warning.to_dict() for warning in warnings],
        environment=environment(trainer.args.device),
    )


def recorded_settings(settings: RunSettings) -> RunSettings:
    """Return settings without those that were chosen for the encoder, if it is not trained."""
    return settings if settings.train != "head" else replace(settings, epochs=None, learning_rate=None, margin=None)


def extend_training_record(model: SentenceTransformer, record: RunRecord) -> None:
    """Add the metrics and the name of the data to the training record of the model, which the model card shows.

    Leave out the folder of a local file, because the model card may be published.
    """
    training = model.training_record
    assert training is not None
    training.evaluation, training.gain = record.evaluation, record.gain
    if not record.keeps_encoder:
        training.settings = {**training.settings, **_what_was_saved(record)}
    if (separator := record.settings.get("multi_label")) is not None and model.label_names is not None:
        model.label_names = number_label_sets(model.label_names, separator)[1]  # They were those of sets of labels.
    if source := public_settings(record.settings).get("data"):
        training.data = {"Data": source, **training.data}


def _what_was_saved(record: RunRecord) -> dict[str, Any]:
    """Return the head that was trained first and the step of the best state, by their titles; {} for neither."""
    head, best_step = record.choices.get("head"), record.choices.get("validation", {}).get("best_step")
    return {
        **({"Linear head trained first": f"dropout {head['dropout']:g}"} if head else {}),
        **({"Step of the saved weights": best_step} if best_step is not None else {}),
    }


def data_facts(data: Dataset, stats: TokenStats | None, multi_label: str | None = None) -> dict[str, Any]:
    """Return the numbers of rows, labels, copies and truncated texts, the digest, and the part of unknown tokens."""
    return {**fingerprint(data, multi_label), **(stats.to_dict() if stats else {})}


def describe_choices(
    choice: HeadChoice | None,
    *,
    trained_encoder: bool,
    scores: Mapping[int, float],
    best_step: int | None,
    validation_rows: Sequence[int],
    time_limit: float | None,
) -> dict[str, Any]:
    """Return the field `choices` of a record."""
    content: dict[str, Any] = {
        "head": None,
        "trained_encoder": trained_encoder,
        "time_limit": time_limit,
    }
    if choice is not None:
        content |= {
            "head": None if choice.settings is None else asdict(choice.settings),
            "head_scores": [asdict(score) for score in choice.scores],
            "reason": choice.reason,
        }
    if scores:
        content["validation"] = {
            "rows": list(validation_rows),
            "map@r_by_step": {str(step): score for step, score in scores.items()},
            "best_step": best_step,
        }
    return content
