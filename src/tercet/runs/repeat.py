"""Repeat a run from its `metrics.json`: the arguments of the run, and checks that data, model and machine are the same.

This module does not import torch.
"""

import logging
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from tercet._files import expand_path, read_json
from tercet._files.model_files import METRICS_FILE
from tercet.data.reading.options import ReadOptions
from tercet.errors import DataError, ModelError, listed, short_repr
from tercet.records import RunRecord
from tercet.runs.settings import ENCODER_SETTINGS, RunSettings

logger = logging.getLogger("tercet")

# Arguments of a run besides its settings that decide its result. They are recorded by their names.
_SETTINGS = {item.name for item in fields(RunSettings)}
# `optional_split` is recorded with the options of reading, but `train` has no such argument.
_READING_ARGUMENTS = [item.name for item in fields(ReadOptions) if item.name not in {*_SETTINGS, "optional_split"}]
_ARGUMENTS = (
    "data", "model", "eval_data", "eval_fraction", "packing", "classifier", "keep_texts", *_READING_ARGUMENTS
)  # fmt: skip
# Arguments that decide the rows of the training and the evaluation data.
_ROW_ARGUMENTS = {
    "data", "eval_data", "eval_fraction", "seed", "loss", "vector_column", "eval_label_file",
    *(item.name for item in fields(ReadOptions)),
}  # fmt: skip
# The arguments of a training of a head on vectors that decide its result.
_VECTOR_ARGUMENTS = (
    "data", "label_file", "vector_column", "label_column", "eval_data", "eval_label_file", "eval_fraction", "dimension",
    "seed", "header", "csv_separator", "encoding", "combined_labels", "similar_labels", "drop_missing", "label_levels",
    "multi_label", "jaccard_weights",
)  # fmt: skip
# Arguments that may be paths, which a record has as text.
_PATH_ARGUMENTS = {"data", "eval_data", "model", "label_file", "eval_label_file"}
# Settings that are not repeated, because they send data to other machines.
_NOT_REPEATED = frozenset({"report_to"})


def read_record(path: str | Path) -> RunRecord:
    """Return the record in a `metrics.json`, or in the folder of a model that has one.

    Raises:
        DataError: the file cannot be read, or is not the record of a training run.
    """
    path = expand_path(path)
    path = path / METRICS_FILE if path.is_dir() else path
    if not path.exists():
        raise DataError(f"no record {str(path)!r}; pass the {METRICS_FILE} of a trained model")
    try:
        record = RunRecord.from_dict(read_json(path))
    except ModelError as error:
        raise DataError(str(error)) from None
    except (AttributeError, KeyError, TypeError, ValueError):
        raise DataError(f"{path} is not the {METRICS_FILE} of a training run") from None
    if "seed" not in record.settings or not ("loss" in record.settings or is_of_vectors(record)):
        raise DataError(f"{path} has no settings of a training run; pass the {METRICS_FILE} of a trained model")
    return record


def is_of_vectors(record: RunRecord) -> bool:
    """Return whether a record is that of a head on vectors, by `train_vectors`."""
    return "loss" not in record.settings and record.settings.get("train") == "head"


def check_kind(record: RunRecord, *, of_vectors: bool) -> None:
    """Raise `DataError` if a record is not of a run of the kind that repeats it."""
    if is_of_vectors(record) is not of_vectors:
        was, now = ("sentences", "vectors") if of_vectors else ("vectors", "sentences")
        raise DataError(f"the record is that of a training on {was}, but the data are {now}; pass {was} to repeat it")


def repeat_arguments(record: str | Path | RunRecord) -> dict[str, Any]:
    """Return the arguments of `train` that repeat a run: data, model, settings, and how the data are read.

    If the record is that of a head on vectors, return the arguments of `train_vectors`.

    The same machine then gives the same weights. `train` raises an error if the data or the start model are not those
    of the record. `output`, `trust_remote_code` and `report_to` are never taken from a record.

    Args:
        record: a `metrics.json`, the folder of a trained model, or a record.

    Raises:
        DataError: the record cannot be read, or its run cannot be repeated from it.

    Example:
        ```python
        import tercet.runs

        arguments = tercet.runs.repeat_arguments("my-model/metrics.json")
        run = tercet.runs.train(**arguments, output="again")
        ```
    """
    record = record if isinstance(record, RunRecord) else read_record(record)
    recorded = dict(record.settings)
    if is_of_vectors(record):
        return {
            **{name: recorded[name] for name in _VECTOR_ARGUMENTS if recorded.get(name) is not None},
            "repeats": record,
        }
    if "packing" not in recorded or "train" not in record.data:
        raise DataError(
            "the record is not one of a run of tercet train (of compare, for example); it cannot be repeated"
        )
    if recorded.get("model") is None:
        raise DataError("the run of the record started with a model that has no name, so it cannot be repeated")
    known = {item.name: item for item in fields(RunSettings)}
    missing = [name for name in known if name not in recorded]
    if missing:
        logger.warning(
            f"an earlier version wrote the record, which does not have {listed(missing, 10)}; the defaults of this "
            "version are used"
        )
    settings = {name: recorded[name] for name in known if name in recorded and name not in _NOT_REPEATED}
    if settings.get("time_limit") is not None and recorded.get("steps"):
        # The schedule was fitted to the steps that the time allowed.
        settings |= {"time_limit": None, "max_steps": recorded["steps"]}
    if settings.get("max_steps", -1) > 0:
        settings["epochs"] = None  # Not used. The record has those of the saved state, which may be 0.
    if settings.get("train") == "encoder":
        settings["dimension"] = None  # Earlier versions accepted one, but did not use it.
    if settings.get("train") == "head":  # They are not used. Records of earlier versions have those that were chosen.
        settings = {name: value for name, value in settings.items() if name not in ENCODER_SETTINGS}
    arguments = {name: recorded[name] for name in _ARGUMENTS if recorded.get(name) is not None}
    if recorded.get("device") is not None:
        arguments["device"] = recorded["device"]
    try:
        return {**arguments, "settings": RunSettings(**settings), "repeats": record}
    except TypeError as error:
        raise DataError(f"the settings of the record are invalid: {error}") from None


def skips_encoder(record: RunRecord, changed: set[str]) -> bool:
    """Return whether to repeat that the time limit of a run left no time to train the encoder, and log it.

    Other data or another model take another time. So if anything is changed, the time is measured again.

    Args:
        record: the record of the run to repeat.
        changed: the result of `changed_arguments`.
    """
    limited = record.settings.get("train") == "auto" and record.settings.get("time_limit") is not None
    skips = limited and record.choices.get("trained_encoder") is False and not changed
    if skips:
        logger.info("the encoder is not trained, because the run of the record had no time for it")
    return skips


def changed_arguments(record: RunRecord, now: Mapping[str, Any]) -> set[str]:
    """Return the names of the arguments that decide the result and differ from the record, and log each.

    Args:
        record: the record of the run to repeat.
        now: the arguments and settings of this run, by name.
    """
    free = {item.name for item in fields(RunSettings) if item.metadata["free_on_resume"]}
    repeated = repeat_arguments(record)
    if is_of_vectors(record):
        was = {**dict.fromkeys(_VECTOR_ARGUMENTS), "jaccard_weights": False, **repeated}
    else:
        defaults = {**dict.fromkeys(_ARGUMENTS), "classifier": True, "keep_texts": False}
        was = {**defaults, **repeated, **vars(repeated["settings"])}
    changed = {
        name for name, value in now.items() if name in was and name not in free and not _equal(value, was[name], name)
    }
    for name in sorted(changed):
        before = ", which was not set" if was[name] is None else f" instead of {short_repr(was[name])}"
        logger.info(f"{name}={short_repr(now[name])}{before}: this run will differ from the record")
    return changed


def check_same_rows(record: RunRecord, facts: Mapping[str, Mapping[str, Any]], changed: set[str]) -> None:
    """Check that the rows of the training and the evaluation data are those of the record.

    Args:
        record: the record of the run to repeat.
        facts: the facts about the data `train` and `eval` of this run, see `fingerprint`; none without an evaluation.
        changed: the result of `changed_arguments`. If they decide the rows, a difference is a warning.

    Raises:
        DataError: the rows differ, although they are read in the same way.
    """
    for part, title in (("train", "training"), ("eval", "evaluation")):
        now, was = facts.get(part, {}), record.data.get(part, {})
        if was.get("sha256") == now.get("sha256"):
            continue
        how = (
            f"{was.get('rows', 0):,} rows then, {now.get('rows', 0):,} now"
            if was.get("rows") != now.get("rows")
            else "texts, labels or the order of the rows"
        )
        message = f"the {title} data are not those of the record ({how})"
        if changed & _ROW_ARGUMENTS:
            logger.warning(f"{message}, so the results will differ")
        else:
            raise DataError(
                f"{message}; they have changed since {record.run.get('started', 'the run')}: restore them, or train on "
                "the new data without a record"
            )


def check_same_model(record: RunRecord, sha256: str, changed: set[str]) -> None:
    """Raise `DataError` if the weights of the start model are not those of the record.

    If the record does not have their digest, or another model was chosen, do nothing.
    """
    was = record.settings.get("model_sha256")
    if was is not None and was != sha256 and "model" not in changed:
        raise DataError(
            f"the weights of the model {record.settings['model']!r} are not those that the run of the record started "
            "with; restore them, or pass another model"
        )


def note_other_environment(record: RunRecord, now: Mapping[str, Any]) -> None:
    """Log what differs from the machine and the libraries of the record, as this changes rounding errors."""
    names = ("tercet", "torch", "transformers", "processor", "device", "threads", "processes")
    differences = [
        f"{name} {record.environment[name]} then, {now[name]} now"
        for name in names
        if name in record.environment and record.environment[name] != now[name]
    ]
    if differences:
        logger.info(f"the record is of another environment ({'; '.join(differences)}), so results may differ slightly")


def _equal(value: Any, recorded: Any, name: str) -> bool:
    if name in _PATH_ARGUMENTS and value is not None and recorded is not None:
        return str(value) == str(recorded)
    return bool(value == recorded)
