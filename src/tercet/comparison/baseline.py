"""Measure an encoder of a comparison without training."""

from dataclasses import replace
from typing import Any

from tercet.comparison.trial import Trial, digest_weights, load_start
from tercet.errors import TercetError
from tercet.runs.model_changes import change_model


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
