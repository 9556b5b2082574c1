"""The files of a comparison: check them before the work, and remove only those that a comparison wrote.

Importing this module imports neither torch nor NumPy.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from tercet._files import (
    PREFIX,
    atomic_directory,
    check_file,
    check_separate,
    check_unused,
    expand_path,
    explained,
    is_listed,
    is_used,
    parse_json,
    remove_empty_folders,
    remove_listed,
    reserved_folder,
)
from tercet._files.model_files import ENTRY_FILES, is_model_file
from tercet.comparison.grid import models_in_grid
from tercet.errors import DataError, listed
from tercet.records import ComparisonRecord
from tercet.runs.output import check_checkpoints, inputs_of, remove_checkpoints, runs_inside

FILE = "compare.json"
# A model without this file cannot be loaded. So it is the first one to be removed.
_FIRST = ["config.json"]


@contextmanager
def reserved_comparison(output: Path, *, resume: bool, overwrite: bool, inputs: Mapping[str, object]) -> Iterator[None]:
    """Check that a comparison can start or resume in `output`, and let no other process write to it meanwhile.

    Args:
        output: the folder for `compare.json` and the model.
        resume: continue the comparison in `output`, if there is one.
        overwrite: start a new comparison, which replaces the one in `output`.
        inputs: what the comparison reads, by a description.

    Raises:
        DataError: `output` cannot be written, is also an input, or has files of the user where the comparison writes;
            there is a comparison but `resume` and `overwrite` are False; or another process writes to `output`.
    """
    check_separate({"output": output}, inputs)
    with reserved_folder(output, overwrite=True):
        started = (output / FILE).exists()
        check_unused(output, overwrite=overwrite or started)
        check_file(output / FILE, overwrite=True)
        record = read_comparison(output, resume=resume) if started and not overwrite else None
        with explained(output):
            _check_model(output / "model", may_exist=overwrite or record is not None)
            _check_runs(output / ".runs")
        yield


@runs_inside
def reserves_comparison(given: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Decorate a function with the arguments of `tercet.compare` to run inside `reserved_comparison`."""
    return reserved_comparison(
        expand_path(given["output"], "output"),
        resume=given["resume"],
        overwrite=given["overwrite"],
        inputs={**inputs_of(given), **inputs_of_grid(given["grid"])},
    )


def inputs_of_grid(grid: Iterable[str]) -> dict[str, object]:
    """Return the models that a grid names, by a description. Ignore a grid that cannot be read, see `parse_grid`."""
    try:
        return {f"the model {model}": model for model in models_in_grid(list(grid))}
    except DataError:
        return {}


def read_comparison(folder: Path, *, resume: bool) -> ComparisonRecord | None:
    """Return the record in `folder`, or None if it has no runs: the comparison stopped before, so nothing is lost.

    Raises:
        DataError: `compare.json` cannot be read, is not a record of a comparison or was edited, or it has runs but
            `resume` is False.
    """
    path = folder / FILE
    try:
        record = ComparisonRecord.from_dict(parse_json(path.read_bytes()))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; pass another output") from None
    except (ValueError, AttributeError, TypeError, KeyError):
        raise DataError(
            f"{path} is not a record of `tercet compare`; pass another output, or overwrite=True to replace it"
        ) from None
    if problem := _find_problem(record):
        raise DataError(
            f"{path} was changed since the comparison wrote it: {problem}; pass another output, or overwrite=True to "
            "start a new comparison"
        )
    if not record.runs:
        return None
    if not resume:
        state = f"an unfinished comparison with {len(record.runs)} run(s)"
        remedy = "add resume=True to continue it, or overwrite=True to start a new one"
        if record.finished:
            state = "a finished comparison"
            remedy = "pass another output, or overwrite=True to start a new one"
        raise DataError(f"{folder} has {state}; {remedy}")
    return record


def _find_problem(record: ComparisonRecord) -> str | None:
    """Return why a comparison cannot have written a record, or None."""
    seen = set()
    for run in record.runs:
        name = f"the run of {run.variant} with seed {run.seed}"
        if (run.variant, run.seed) in seen:
            return f"{name} is there twice"
        seen.add((run.variant, run.seed))
        for metrics in (run.before, run.metrics):
            for metric, value in (metrics or {}).items():
                if isinstance(value, bool) or not isinstance(value, (int, float)):
                    return f"{metric} of {name} is {value!r}, which is not a number"
            map_at_r = (metrics or {}).get("map@r", 0.0)
            if not 0 <= map_at_r <= 1:
                return f"map@r of {name} is {map_at_r}, which is not between 0 and 1"
    return None


def remove_model(folder: Path) -> None:
    """Remove the files of a model that a comparison has saved to `folder`. Other files are kept."""
    remove_listed(folder, first=_FIRST)


def remove_run(folder: Path) -> None:
    """Remove the model of a run, or the checkpoints of a run (`.checkpoints`)."""
    if folder.suffix == ".checkpoints":
        remove_checkpoints(folder)
    else:
        remove_model(folder)


def remove_runs(work: Path) -> None:
    """Remove what the runs of a comparison have saved to `work`. Other files are kept."""
    if not work.is_dir() or work.is_symlink():
        return
    for entry in work.iterdir():
        if entry.name.startswith(PREFIX) and entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            remove_run(entry)
    remove_empty_folders(work)


def publish_model(best: Path, model: Path) -> None:
    """Move the model in `best` to the folder `model`, beside files of the user if there are any.

    Raises:
        DataError: `model` has a model that no comparison wrote.
        ModelError: the folder cannot be written.
    """
    _check_model(model, may_exist=False)
    if not is_used(model):
        best.rename(model)
        return
    with atomic_directory(model, owns=is_model_file, last=ENTRY_FILES) as staging:
        shutil.copytree(best, staging, dirs_exist_ok=True)
    remove_model(best)


def _check_model(model: Path, *, may_exist: bool) -> None:
    if model.is_symlink() or (model.exists() and not model.is_dir()):
        raise DataError(f"{model} is in the place of the recommended model; move it away, or choose another output")
    if not model.is_dir() or (may_exist and is_listed(model)):
        return
    if is_listed(model):
        raise DataError(f"{model} has the model of an earlier comparison; pass another output, or overwrite=True")
    if found := [entry.name for entry in model.iterdir() if is_model_file(entry.name) or entry.name == "README.md"]:
        raise DataError(
            f"{model} has files that no comparison wrote: {listed(sorted(found))}; move them away, or choose another "
            "output"
        )


def _check_runs(work: Path) -> None:
    if work.is_symlink() or (work.exists() and not work.is_dir()):
        raise DataError(f"{work} is in the place of the folder for the runs; move it away, or choose another output")
    for entry in work.iterdir() if work.is_dir() else ():
        if entry.suffix == ".checkpoints":
            check_checkpoints(entry)
        elif not entry.name.startswith(PREFIX) and not is_listed(entry):
            raise DataError(
                f"{work} is the folder for the runs, but no comparison wrote {entry.name} in it; move it away, or "
                "choose another output"
            )
