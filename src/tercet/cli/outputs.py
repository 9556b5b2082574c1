"""Check the paths that a command writes to, before the work, and write tables to them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tercet._distributed import is_first_launched
from tercet._files import atomic_file, check_file, check_folder, check_separate, resolve_path
from tercet.errors import DataError
from tercet.runs.output import checkpoint_dir


def check_outputs(
    files: Mapping[str, Path | None],
    inputs: Mapping[str, object],
    *,
    overwrite: bool,
    folder: Path | None = None,
) -> None:
    """Raise `DataError` if a path cannot be written, exists without `--overwrite`, or is also an input or an output.

    Args:
        files: the files to write, by their option. None is skipped.
        inputs: what the command reads, by a description.
        overwrite: the value of `--overwrite`.
        folder: the folder at `--output`, if the command writes one.
    """
    if not is_first_launched():
        return
    check_separate({"--output": folder, **files} if folder is not None else files, inputs)
    if folder is not None:
        check_folder(folder, overwrite=overwrite, argument="--output")
        checkpoints = resolve_path(checkpoint_dir(folder))
        for option, path in files.items():
            if path is not None and checkpoints in resolve_path(path).parents:
                raise DataError(
                    f"{option} {path} is inside of the folder for the checkpoints, which must have no other files; "
                    "choose another folder"
                )
    for option, path in files.items():
        if path is not None:
            check_file(path, overwrite=overwrite, argument=option)


def check_table(path: Path | None, option: str) -> None:
    """Raise `DataError` if the extension of `path` is not one of a table that can be written. None is not checked."""
    from tercet.data.writing import find_suffix

    if path is not None:
        find_suffix(path, option)


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], names: Sequence[str], *, overwrite: bool) -> None:
    """Write rows to a table atomically; the extension of `path` determines the format, `names` are the columns."""
    from tercet.data.writing import find_suffix, open_writer

    with atomic_file(path, overwrite=overwrite) as partial, partial.open("wb") as file:
        writer = open_writer(find_suffix(path), file)
        writer.write({name: [row[name] for row in rows] for name in names})
        writer.close()
