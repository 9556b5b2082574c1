"""Measure each model before training, and check that all runs of a model start from it."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tercet.catalogue import metric_title
from tercet.comparison.files import FILE
from tercet.comparison.recommendation import METRIC, PROTOCOL
from tercet.comparison.subprocess_runner import run_in_subprocess
from tercet.comparison.trial import Trial, digest_weights, load_start
from tercet.errors import DataError, TercetError
from tercet.records import BaselineRecord, ComparisonRecord, TrialRecord
from tercet.runs.measurement import Measurement
from tercet.runs.model_changes import change_model

logger = logging.getLogger(__name__)


def measure_baseline(trial: Trial) -> dict[str, Any]:
    """Load the model of a trial in this process, and return the digest of its weights and its measurement.

    Return `{"start": …, "measured": …}`, where `measured` is a `Measurement` without embeddings. If the model cannot be
    loaded, return only the reason, as `not_loaded`.

    Raises:
        TercetError: the embeddings contain NaN or infinite values.
    """
    try:
        model = load_start(trial)
        start = digest_weights(model)
        change_model(model, trial.settings, seed=trial.start_seed)  # Raise its errors before any training.
    except TercetError as error:
        return {"not_loaded": str(error)}
    assert trial.evaluation is not None
    measured = trial.evaluation.measure(trial.evaluation.embed(model))
    return {"start": start, "measured": replace(measured, embeddings=None)}


def measure_baselines(
    bases: Mapping[str | None, Trial], record: ComparisonRecord, output: Path
) -> dict[str | None, Measurement | str]:
    """Measure models before training, one at a time. Return the measurements, or the reasons of those that failed.

    A comparison that is resumed measures them again: the runs need more of it than the record has.

    Raises:
        DataError: a model cannot be loaded, or it has changed since the comparison was started.
    """
    found: dict[str | None, Measurement | str] = {}
    for model, base in bases.items():
        name = base.extra_settings.get("model")
        result = run_in_subprocess(measure_baseline, base)
        if "not_loaded" in result:
            raise DataError(result["not_loaded"])
        if "failed" in result:
            found[model] = result["failed"]
            continue
        start, measured = result["start"], result["measured"]
        earlier = record.baseline(name)
        if earlier is not None and earlier.start not in (None, start):
            raise _changed(output)
        if earlier is None:
            metrics = measured.metrics[PROTOCOL]
            logger.info(f"{name or 'the model'} before training: {metric_title(METRIC)} {metrics[METRIC]:.4f}")
            for other in record.baselines:
                if other.start == start:
                    logger.warning(f"{other.model} and {name} have the same weights")
            scores = None if measured.predictions is None else measured.predictions.scores()
            record.baselines.append(BaselineRecord(model=name, start=start, metrics=metrics, scores=scores))
        found[model] = measured
    return found


def check_same_start(run: TrialRecord, record: ComparisonRecord, output: Path) -> None:
    """Raise `DataError` if a run started from other weights than the other runs of its model."""
    baseline = record.baseline(run.model)
    starts = {baseline.start if baseline else None, run.start}
    starts |= {other.start for other in record.runs if other.model == run.model}
    if len(starts - {None}) > 1:
        raise _changed(output)


def _changed(output: Path) -> DataError:
    return DataError(
        f"the model has changed since the comparison in {output / FILE} was started; start a new comparison with "
        "overwrite=True"
    )
