"""Check and reserve the paths that a training run writes to. This module does not import torch."""

import functools
import inspect
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from tercet._distributed import is_first_launched
from tercet._files import (
    PREFIX,
    beside,
    check_separate,
    checkpoint_step,
    expand_path,
    explained,
    find_checkpoints,
    home_of,
    is_listed,
    probe_folder,
    remove_listed,
    reserved_folder,
    resolve_path,
)
from tercet._files.model_files import check_places
from tercet.errors import DataError, listed

P = ParamSpec("P")
T = TypeVar("T")

# A checkpoint without this file is not complete. So it is the first one to be removed.
_STATE = "trainer_state.json"
# The best state of a run so far, in the folder of checkpoints.
BEST_STATE = f"{PREFIX}best"


def checkpoint_dir(output: Path) -> Path:
    """Return the folder for the checkpoints of a run that writes its model to `output`: `OUTPUT.checkpoints` beside it.

    If nothing can be written beside `output`, or it is a mounted folder, the checkpoints are inside it, because they
    would be lost with the container whose volume `output` is.
    """
    target = resolve_path(output)
    if home_of(target) == target:
        return expand_path(output) / f"{PREFIX}checkpoints"
    return beside(output, ".checkpoints")


@contextmanager
def reserved_output(output: Path, *, overwrite: bool, inputs: Mapping[str, object]) -> Iterator[None]:
    """Check that a run can write its model and its checkpoints, and let no other process write to `output` meanwhile.

    Only the first process of a distributed run does this.

    Args:
        output: the folder for the model.
        overwrite: whether it may have files.
        inputs: what the run reads, by a description.

    Raises:
        DataError: a path cannot be written, is also an input, or has files of the user; or another process writes to
            `output`.
    """
    if not is_first_launched():
        yield
        return
    check_separate({"output": output}, inputs)
    with reserved_folder(output, overwrite=overwrite) as target:
        check_places(target)
        checkpoints = checkpoint_dir(output)
        check_checkpoints(checkpoints)
        with explained(checkpoints):
            probe_folder(resolve_path(checkpoints))
        yield


def runs_inside(
    reserve: Callable[[Mapping[str, Any]], AbstractContextManager[None]],
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator: the function runs inside the context manager that `reserve` returns for its arguments.

    Args:
        reserve: takes all arguments of a call by name, with their defaults.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
            call = signature.bind(*args, **kwargs)
            call.apply_defaults()
            with reserve(call.arguments):
                return function(*args, **kwargs)

        return wrapped

    return decorate


@runs_inside
def reserves_output(given: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Decorate a function with the arguments of `tercet.train` to run inside `reserved_output`."""
    output = expand_path(given["output"], "output")
    return reserved_output(output, overwrite=given["overwrite"], inputs=inputs_of(given))


def inputs_of(given: Mapping[str, object]) -> dict[str, object]:
    """Return what a run reads, by a description, from the arguments of `tercet.train` or `tercet.compare`."""
    return {
        "the input data": given["data"],
        "the evaluation data": given["eval_data"],
        "the model to train": given["model"],
    }


def check_checkpoints(folder: Path) -> None:
    """Raise `DataError` if the folder of checkpoints is a file, or has anything but checkpoints of Tercet."""
    with explained(folder):
        if folder.is_dir():
            foreign = sorted(entry.name for entry in folder.iterdir() if not _is_ours(entry))
            if foreign:
                raise DataError(
                    f"{folder} is the folder for the checkpoints, but it has files that no run wrote: "
                    f"{listed(foreign)}; move them away, or choose another output"
                )
        elif folder.is_symlink() or folder.exists():
            raise DataError(
                f"{folder} is the folder for the checkpoints, but a file or a broken link has this name; move it away, "
                "or choose another output"
            )


def remove_checkpoints(folder: Path) -> bool:
    """Remove the checkpoints that runs have written to `folder`, then the folder if it is empty.

    Return whether nothing is left. Files of the user are kept.
    """
    if folder.is_dir():
        for entry in folder.iterdir():
            if entry.name.startswith(PREFIX) and entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            elif _is_ours(entry):
                remove_listed(entry, first=[_STATE])
        remove_if_empty(folder)
    return not folder.exists()


def remove_without_checkpoint(folder: Path) -> None:
    """Remove the folder of checkpoints if it has none: without one, no run can be resumed."""
    if not find_checkpoints(folder):
        remove_checkpoints(folder)


def remove_if_empty(folder: Path) -> None:
    """Remove an empty folder. A symbolic link to one stays, because the user made it."""
    with suppress(OSError):
        folder.rmdir()


def _is_ours(entry: Path) -> bool:
    return entry.name.startswith(PREFIX) or (checkpoint_step(entry) is not None and is_listed(entry))
