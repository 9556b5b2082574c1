"""Open, check and write `compare.json`, the record of a comparison. Each write is atomic."""

import json
import logging
from pathlib import Path
from typing import Any

from tercet._files import atomic_file, write_json
from tercet.comparison.files import FILE, read_comparison
from tercet.errors import DataError, shortened
from tercet.records import ComparisonRecord, RowCounts
from tercet.runs.environment import environment

logger = logging.getLogger(__name__)

# A resumed comparison may name its data by a different path. `fingerprint` compares the content instead.
_IGNORED_ON_RESUME = ("data", "eval_data")
_DATA_NAMES = {"train": "training data", "eval": "evaluation data"}


def open_record(
    folder: Path,
    settings: dict[str, Any],
    data: dict[str, Any],
    rows: RowCounts | None = None,
    *,
    resume: bool,
    overwrite: bool,
) -> ComparisonRecord:
    """Return the record in `folder` if the comparison is resumed, else a new record.

    A record without runs counts as none, because nothing is lost; the result is then new even with `resume`.

    Args:
        folder: the output folder of the comparison.
        settings: the settings of the comparison that starts or continues now.
        data: the fingerprints of its training and evaluation data.
        rows: the number of evaluation rows that are measured and left out.
        resume: continue the comparison in `folder`, if there is one.
        overwrite: start a new comparison, which replaces the one in `folder`.

    Raises:
        DataError: `overwrite` is False, and `compare.json` cannot be read or is not a record of a comparison, it has
            runs but `resume` is False, or the settings or data differ from those the comparison was started with.
    """
    path = folder / FILE
    new = ComparisonRecord(settings=settings, data=data, rows=rows, environment=environment())
    if not path.exists():
        if resume:
            logger.info(f"{path} does not exist yet, so the comparison starts with the first run")
        return new
    record = None if overwrite else read_comparison(folder, resume=resume)
    if record is None:
        return new
    _check_same(path, record, new)
    return record


def write_record(folder: Path, record: ComparisonRecord) -> None:
    """Write `compare.json` atomically."""
    with atomic_file(folder / FILE) as partial:
        write_json(partial, record.to_dict())


def _check_same(path: Path, old: ComparisonRecord, new: ComparisonRecord) -> None:
    """Raise `DataError` if the settings or data differ from those the comparison was started with."""
    started = json.loads(json.dumps(new.to_dict()["settings"]))
    for key in {**old.settings, **started}:
        if key not in _IGNORED_ON_RESUME and (was := old.settings.get(key)) != (now := started.get(key)):
            raise DataError(
                f"the comparison in {path} was started with {key} {shortened(json.dumps(was), 80)}, but now it is "
                f"{shortened(json.dumps(now), 80)}; pass the same arguments to resume it, or another output to start a "
                "new one"
            )
    for part, name in _DATA_NAMES.items():
        was, now = old.data[part], new.data[part]
        if any(was.get(key) != now[key] for key in ("rows", "labels", "sha256")):
            raise DataError(
                f"the comparison in {path} was started with different {name}: {was['rows']} rows then, {now['rows']} "
                "now, and texts, labels or their order differ; pass the same data to resume it, or another output to "
                "start a new one"
            )
    if old.rows != new.rows and (old.rows is not None or new.rows is None or new.rows.left_out):
        raise DataError(
            f"the comparison in {path} was started with a version of Tercet that measured other rows of the evaluation "
            "data; pass another output, or overwrite=True to start a new one"
        )
