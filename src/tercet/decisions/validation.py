"""Check what was read from the files of a classifier, so that a damaged file is an error instead of wrong answers."""

import math
from typing import Any

import numpy as np

from tercet.decisions.calibration import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE
from tercet.decisions.candidates import METHODS
from tercet.decisions.fitting import Fitted
from tercet.decisions.models import LinearScores
from tercet.decisions.spaces import Spaces
from tercet.errors import listed

# The values that a fit can give, with room for the penalties of other versions.
_TEMPERATURES = (LOWEST_TEMPERATURE * (1 - 1e-6), HIGHEST_TEMPERATURE * (1 + 1e-6))
_PENALTIES = (1e-6, 1e6)


def check_content(content: dict[str, Any], num_rows: int) -> None:
    """Raise `ValueError` if the JSON file of a classifier with `num_rows` training rows is damaged."""
    names, texts, choice = content["labels"], content["texts"], content["choice"]
    kinds = {type(name) for name in names}
    _demand(isinstance(names, list) and kinds in ({str}, {int}, {bool}), "the labels have no valid type")
    _demand(len(set(names)) == len(names) > 1, "a label occurs twice, or there is one label only")
    _demand(isinstance(content["added_labels"], list) and set(content["added_labels"]) <= set(names), "added_labels")
    _demand(texts is None or (isinstance(texts, list) and len(texts) == num_rows), "the texts do not match the gallery")
    _demand(all(text is None or isinstance(text, str) for text in texts or []), "a text is not a string")
    levels = content["settings"].get("label_levels")
    _demand(levels is None or (isinstance(levels, str) and bool(levels.strip())), "label_levels")
    _demand(levels is None or kinds == {str}, "nested labels are not strings")
    _demand(content["settings"]["method"] in ("auto", *METHODS), "method")
    _demand(isinstance(content["models"], dict) and isinstance(choice["temperatures"], dict), "models")
    _demand(bool(choice["temperatures"]), "no classifier is chosen")
    for temperature in (choice["temperature"], *choice["temperatures"].values()):
        _demand(_is_within(temperature, *_TEMPERATURES), f"a temperature is {temperature!r}")
    for penalty in choice["penalties"].values():
        _demand(_is_within(penalty, *_PENALTIES), f"a penalty is {penalty!r}")
    accuracy = choice["accuracy"].values()
    _demand(all(_is_within(value, 0, 1) for value in accuracy), "an accuracy is not from 0 to 1")
    settings = content["settings"]
    _demand(isinstance(settings.get("unseen_rows", False), bool), "unseen_rows")
    _demand(_is_count(settings["batch_size"], 1), f"batch_size is {settings['batch_size']!r}")
    _demand(_is_count(settings["random_state"], 0), f"random_state is {settings['random_state']!r}")
    missing = choice["temperatures"].keys() - content["models"].keys()
    _demand(not missing, f"a chosen classifier is missing: {listed(missing)}")
    missing = content["models"].keys() - choice["penalties"].keys()
    _demand(not missing, f"a penalty is missing: {listed(missing)}")
    _demand(_is_count(content.get("next_row_number"), 1), f"next_row_number is {content.get('next_row_number')!r}")
    facts = content["calibration"]
    _demand(isinstance(facts["unseen"], bool) and isinstance(facts["held_out"], bool), "calibration.unseen, held_out")
    _demand(isinstance(facts["basis"], str), "calibration.basis")
    limit = content["max_novelty"]
    _demand(limit is None or _is_within(limit, 0, 1), f"max_novelty is {limit!r}")
    expected = content["test_embedding"]
    _demand(expected is None or (isinstance(expected, list) and all(map(_is_number, expected))), "test_embedding")
    # A longer vector would be similar to that of any encoder.
    _demand(expected is None or _is_within(math.hypot(*expected), 0.99, 1.01), "test_embedding does not have length 1")


def check_fitted(fitted: Fitted) -> None:
    """Raise `ValueError`, or an error of torch or NumPy, if arrays have wrong shapes or values."""
    rows, found = fitted.rows, fitted.calibration
    for _, values in rows.spaces.items():
        norms = values.norm(dim=1)
        _demand(bool(((norms - 1).abs() < 1e-3).all()), "an embedding of the gallery has no direction")
    columns = {"confidence": found.confidence, "correct": found.correct, "predicted_ids": found.predicted_ids,
               "runner_up_ids": found.runner_up_ids, "novelty": found.novelty, "rows": found.rows}  # fmt: skip
    for name, column in columns.items():
        _demand(column.shape == (len(found.rows),), f"calibration.{name} has the shape {column.shape}")
    _demand(bool(((found.confidence >= 0) & (found.confidence <= 1)).all()), "a confidence is not from 0 to 1")
    _demand(found.correct.dtype == np.bool_, "calibration.correct is not bool")
    for ids in (found.predicted_ids, found.runner_up_ids):
        _demand(bool(((ids >= 0) & (ids < rows.num_labels)).all()), "a label id of a calibration row")
    steps = 0 if fitted.ancestors is None else len(fitted.ancestors.of_label)
    levels = found.ancestor_confidence
    # partial_fit may have added a label with more levels.
    _demand(levels.ndim == 2 and levels.shape[0] <= steps, "the confidence of the ancestors")
    _demand(levels.shape[1] == len(found.rows), "the confidence of the ancestors does not match the calibration rows")
    _demand(bool(((levels >= 0) & (levels <= 1)).all()), "a confidence of an ancestor is not from 0 to 1")
    if fitted.familiarity is not None:
        f = fitted.familiarity
        for numbers in (f.mean, f.std, f.weights, f.ranked):
            _demand(bool(np.isfinite(numbers).all()), "the familiarity is not finite")
        _demand(bool((f.std > 0).all()) and bool((np.diff(f.ranked) >= 0).all()), "the familiarity is not in order")
        _demand(len(f.mean) == len(f.std) == len(f.weights), "the familiarity has different lengths")
        # Rows whose label no other row has are left out of it.
        _demand(1 < len(f.ranked) <= len(found.rows), "the familiarity does not match the calibration rows")
    # What predicts is tried on two rows: shapes that do not match raise an error.
    first: Spaces = rows.spaces[:2]
    for model in fitted.models.values():
        arrays = (model.weights, model.bias) if isinstance(model, LinearScores) else ()
        _demand(all(bool(array.isfinite().all()) for array in arrays), "a vector or a bias is not finite")
    log_p = fitted.log_probabilities(first)
    _demand(not bool(log_p.isnan().any()), "a probability is NaN")
    fitted.novelty(first, log_p.argmax(dim=1))


def _demand(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_within(value: Any, lowest: float, highest: float) -> bool:
    return _is_number(value) and lowest <= value <= highest


def _is_count(value: Any, minimum: int) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= minimum)
