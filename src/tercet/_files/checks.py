"""Check that a path can be written, before the work starts: with empty files, on the whole path of writing."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tercet._files.lock import locked
from tercet._files.paths import (
    PREFIX,
    check_name,
    check_unused,
    expand_path,
    explained,
    is_same,
    resolve_path,
)
from tercet._files.staging import remove_leftovers, staging
from tercet.errors import DataError

# The deepest and longest name of a file in a checkpoint: a probe must reach as deep.
_LONGEST = f"{PREFIX}probe/checkpoint-1000000000/{PREFIX}0123456789-01234567/new/12_Normalize/model-00001-of-00010.json"


@contextmanager
def reserved_folder(output: Path, *, overwrite: bool, argument: str = "output") -> Iterator[Path]:
    """Check that a folder can be written, and hold its lock. Yield its absolute path.

    Missing parent folders are created. If nothing was written in them, they are removed at the end.

    Args:
        output: the folder.
        overwrite: whether it may have files.
        argument: the name of the argument that `output` is the value of, for messages.

    Raises:
        DataError: the folder cannot be written, has files although `overwrite` is False, or another process writes to
            it.
    """
    target = resolve_path(output)
    with ExitStack() as stack:
        with explained(output):
            _check_folder(output, target, argument)
            check_unused(output, overwrite=overwrite, argument=argument)
            stack.enter_context(_parents(output, target))
            stack.enter_context(locked(target))
            remove_leftovers(target)
            check_unused(output, overwrite=overwrite, argument=argument)
            probe_folder(target)
        yield target


def check_folder(output: Path, *, overwrite: bool, argument: str = "output") -> None:
    """Raise `DataError` as `reserved_folder` does. Leave no trace."""
    with reserved_folder(output, overwrite=overwrite, argument=argument):
        pass


def check_file(output: Path, *, overwrite: bool, argument: str = "output") -> None:
    """Raise `DataError` if a file cannot be written, or exists although `overwrite` is False. Leave no trace."""
    target = resolve_path(output)
    with explained(output), ExitStack() as stack:
        check_name(target)
        if target.is_dir():
            raise DataError(f"{argument} {output} is a folder; name a file")
        if target.exists() and not target.is_file():
            raise DataError(f"{argument} {output} is not a regular file; choose another file")
        check_unused(output, overwrite=overwrite, argument=argument)
        if target.exists() and not os.access(target, os.W_OK):
            raise DataError(f"{argument} {output} is read-only; change its permissions, or choose another file")
        stack.enter_context(_parents(output, target))
        with staging(target) as stage:
            (stage / "new").touch()
            if not target.exists():
                (stage / "new").rename(target)
                target.unlink()


def check_separate(outputs: Mapping[str, str | Path | None], inputs: Mapping[str, object]) -> None:
    """Raise `DataError` if an output is also an input or another output, lies in a model that is read, or contains it.

    Args:
        outputs: the paths to write, by the name of their argument. None is skipped.
        inputs: the paths to read, by a description such as "the input data". A folder is a model. What is not the path
            of an existing file or folder, such as a name on the hub, is skipped.
    """
    written = {name: expand_path(path) for name, path in outputs.items() if path is not None}
    read = {}
    for name, source in inputs.items():
        if isinstance(source, (str, Path)):
            with suppress(OSError, DataError):  # A name that is no path, or too long for one. Its reader reports it.
                if (path := expand_path(source)).exists():
                    read[name] = path
    for number, (argument, output) in enumerate(written.items()):
        with explained(output):
            for description, source in read.items():
                if is_same(output, source):
                    raise DataError(f"{argument} {output} is {description}; choose another path")
                if source.is_dir() and resolve_path(output).is_relative_to(resolve_path(source)):
                    raise DataError(f"{argument} {output} is inside {description}, {source}; choose another path")
            for other, path in list(written.items())[:number]:
                if is_same(output, path):
                    raise DataError(f"{argument} and {other} are both {output}; choose two paths")
                if not output.is_dir() and resolve_path(path).is_relative_to(resolve_path(output)):
                    raise DataError(
                        f"{other} {path} would be inside {argument}, the file {output}; choose another path"
                    )


def probe_folder(target: Path) -> None:
    """Write an empty file of a long name into `target` by the way of `atomic_directory`, and remove it.

    Raises:
        OSError: a step failed.
    """
    exists = target.is_dir()
    deep = target / _LONGEST
    with staging(target) as stage:
        probe = stage / "probe"
        probe.mkdir()
        probe.rename(target / f"{PREFIX}probe" if exists else target)
        try:
            deep.parent.mkdir(parents=True, exist_ok=True)
            deep.touch()
        finally:
            created = [folder for folder in deep.parents if folder.is_relative_to(target) and folder != target]
            for place in (deep, *created, *([] if exists else [target])):
                with suppress(OSError):
                    place.unlink() if place == deep else place.rmdir()


def _check_folder(output: Path, target: Path, argument: str) -> None:
    check_name(target)
    if os.path.lexists(target) and not target.is_dir():
        raise DataError(f"{argument} {output} is a file; pass the path of a folder")


@contextmanager
def _parents(output: Path, target: Path) -> Iterator[None]:
    """Create the missing parent folders of `target`; at the end, remove those that are empty."""
    missing = [folder for folder in target.parents if not folder.exists()]
    nearest = next(folder for folder in target.parents if folder.exists())
    if not nearest.is_dir():
        raise DataError(f"cannot write {output}: {nearest} is a file, not a folder; choose another path")
    created = []
    try:
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            created.append(folder)
        yield
    finally:
        for folder in reversed(created):
            with suppress(OSError):
                folder.rmdir()
