"""compare.json: what is known of a comparison so far; written whole after each run, and read to go on."""

import hashlib
import json
import math
import platform
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset

from tercet._files import atomic_file
from tercet._version import __version__
from tercet.data.labels import label_values
from tercet.errors import DataError

FILE = "compare.json"
# Names of files say less than their contents, which `fingerprint` knows, and may be relative to another folder.
_NOT_HELD = ("data", "eval_data")


def open_results(
    folder: Path, settings: dict[str, Any], data: dict[str, Any], *, resume: bool, overwrite: bool
) -> dict[str, Any]:
    """The results of `folder` to go on with, or new ones.

    Raises:
        DataError: there is nothing to go on with; there is, but that was not asked for; settings or data differ.
    """
    path = folder / FILE
    fresh = {
        "finished": False, "settings": settings, "data": data, "environment": environment(), "runs": [],
    }  # fmt: skip
    if not path.exists():
        if resume:
            raise DataError(f"nothing to resume: no {FILE} in {folder}; run without --resume")
        return fresh
    if overwrite:
        return fresh
    results = _read(path)
    if not results["runs"]:  # it ended before there was anything to go on with
        return fresh
    if not resume:
        state = (
            "a finished comparison"
            if results["finished"]
            else f"a comparison with {len(results['runs'])} run(s) so far"
        )
        way = "take another --output" if results["finished"] else "add --resume to go on"
        raise DataError(f"{folder} holds {state}; {way}, or --overwrite to start anew")
    _check_same(path, results, json.loads(_json(fresh)))
    return results


def write_results(folder: Path, results: dict[str, Any]) -> None:
    """Put compare.json in place of the one that is there, whole at every moment."""
    with atomic_file(folder / FILE) as partial:
        partial.write_text(_json(results), encoding="utf-8")


def fingerprint(data: Dataset) -> dict[str, Any]:
    """How many sentences and labels, and a digest of all of them in their order."""
    sentences, labels = data["sentence"][:], label_values(data)
    digest = hashlib.sha256()
    for sentence, label in zip(sentences, labels, strict=True):
        digest.update(json.dumps([sentence, label]).encode())
    return {"sentences": len(data), "labels": len(set(labels)), "sha256": digest.hexdigest()}


def environment() -> dict[str, Any]:
    """What numbers and times depend on beside settings and data."""
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


def _read(path: Path) -> dict[str, Any]:
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        if not {"finished", "settings", "data", "environment", "runs"} <= results.keys():
            raise ValueError
    except (ValueError, AttributeError, TypeError):
        raise DataError(f"{path} is not the file of a comparison; --overwrite starts anew") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; take another --output") from None
    return results


def _check_same(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    keys = {**old["settings"], **new["settings"]}
    for key in (key for key in keys if key not in _NOT_HELD):
        was, now = old["settings"].get(key), new["settings"].get(key)
        if was != now:
            raise DataError(
                f"{path} was begun with {key} {_short(was)}, and now it is {_short(now)}; give the same options to "
                "--resume, or take another --output"
            )
    for part, name in (("train", "training data"), ("held_out", "held-out data")):
        if old["data"][part] != new["data"][part]:
            raise DataError(
                f"{path} was begun with other {name} ({old['data'][part]['sentences']} sentences, now "
                f"{new['data'][part]['sentences']}); give the same data to --resume, or take another --output"
            )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _json(content: Any) -> str:
    return json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """Without NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
