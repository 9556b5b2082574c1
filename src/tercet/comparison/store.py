"""Read, write and check `compare.json`, the record of a comparison. Each write is atomic."""

import hashlib
import json
import logging
import platform
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset

from tercet._files import atomic_file, write_json
from tercet._version import __version__
from tercet.data.labels import label_values
from tercet.errors import DataError
from tercet.records import ComparisonRecord

logger = logging.getLogger(__name__)

FILE = "compare.json"
# A resumed comparison may name its data by a different path. `fingerprint` compares the content instead.
_IGNORED_ON_RESUME = ("data", "eval_data")
_DATA_NAMES = {"train": "training data", "eval": "evaluation data"}


def open_record(
    folder: Path, settings: dict[str, Any], data: dict[str, Any], *, resume: bool, overwrite: bool
) -> ComparisonRecord:
    """Return the record in `folder` if the comparison is resumed, else a new record.

    A record without runs counts as none, because nothing is lost; the result is then new even with `resume`.

    Args:
        folder: the output folder of the comparison.
        settings: the settings of the comparison that starts or continues now.
        data: the fingerprints of its training and evaluation data.
        resume: continue the comparison in `folder`, if there is one.
        overwrite: start a new comparison, which replaces the one in `folder`.

    Raises:
        DataError: `overwrite` is False, and `compare.json` cannot be read or is not a record of a comparison, it has
            runs but `resume` is False, or the settings or data differ from those the comparison was started with.
    """
    path = folder / FILE
    new = ComparisonRecord(settings=settings, data=data, environment=environment())
    if not path.exists():
        if resume:
            logger.info(f"{path} does not exist yet, so the comparison starts with the first run")
        return new
    if overwrite:
        return new
    record = _read(path)
    if not record.runs:  # It stopped before its first run, so nothing is lost.
        return new
    if not resume:
        state = f"an unfinished comparison with {len(record.runs)} run(s)"
        remedy = "add resume=True to continue it, or overwrite=True to start a new one"
        if record.finished:
            state = "a finished comparison"
            remedy = "pass another output, or overwrite=True to start a new one"
        raise DataError(f"{folder} has {state}; {remedy}")
    _check_same(path, record, new)
    return record


def write_record(folder: Path, record: ComparisonRecord) -> None:
    """Write `compare.json` atomically."""
    with atomic_file(folder / FILE) as partial:
        write_json(partial, record.to_dict())


def fingerprint(data: Dataset) -> dict[str, Any]:
    """Return the number of sentences, the number of labels, and a SHA-256 digest of all rows in their order."""
    sentences, labels = data["sentence"][:], label_values(data)
    digest = hashlib.sha256()
    for sentence, label in zip(sentences, labels, strict=True):
        digest.update(json.dumps([sentence, label]).encode())
    return {"sentences": len(sentences), "labels": len(set(labels)), "sha256": digest.hexdigest()}


def environment() -> dict[str, Any]:
    """Return the library versions and the machine, because results and times depend on them."""
    return {
        "tercet": __version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "threads": torch.get_num_threads(),
    }


def _read(path: Path) -> ComparisonRecord:
    try:
        return ComparisonRecord.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; pass another output") from None
    except (ValueError, AttributeError, TypeError, KeyError):
        raise DataError(
            f"{path} is not a record of `tercet compare`; pass another output, or overwrite=True to replace it"
        ) from None


def _check_same(path: Path, old: ComparisonRecord, new: ComparisonRecord) -> None:
    """Raise `DataError` if the settings or data differ from those the comparison was started with."""
    started = json.loads(json.dumps(new.to_dict()["settings"]))
    for key in {**old.settings, **started}:
        if key not in _IGNORED_ON_RESUME and (was := old.settings.get(key)) != (now := started.get(key)):
            raise DataError(
                f"the comparison in {path} was started with {key} {_shortened(was)}, but now it is {_shortened(now)}; "
                "pass the same arguments to resume it, or another output to start a new one"
            )
    for part, name in _DATA_NAMES.items():
        if old.data[part] != new.data[part]:
            raise DataError(
                f"the comparison in {path} was started with different {name}: {old.data[part]['sentences']} sentences "
                f"then, {new.data[part]['sentences']} now, and texts, labels or their order differ; pass the same data "
                "to resume it, or another output to start a new one"
            )


def _shortened(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
