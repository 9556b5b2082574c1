"""Do the same work for many Parquet files: one output file per input file, by any number of processes or machines.

A file that is in the output folder is complete, because it appears by a rename. So a second run does what is missing.
Before a process works on a file, it locks its claim, a hidden file in the output folder. The system releases the lock
when the process ends, however it ends, so another process can take over the file of a killed one.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tercet._files import (
    NAME_LENGTH,
    PREFIX,
    LockedError,
    atomic_file,
    locked,
    name_for,
    read_json,
    remove_leftovers,
    resolve_path,
    write_json,
)
from tercet.cli.console import print_note
from tercet.cli.table_input import TableInput
from tercet.errors import DataError, counted, listed

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer

logger = logging.getLogger(__name__)

# The settings that the files of a folder were written with. Readers of tables skip hidden files.
_SETTINGS = f"{PREFIX}settings.json"
# Number of seconds to wait while another process writes the settings.
_SECONDS_TO_WAIT = 10


def model_settings(model: "SentenceTransformer", *files: Path) -> dict[str, Any]:
    """Return what the output depends on of the model and of other files: their content, not their names.

    Other processes and machines may write the path of the same folder in another way.
    """
    from tercet.encoder.model_content import model_content

    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return {"content of the model": {**model_content(model), "files": digests}}


def check_output_folder(files: Collection[Path], output: Path, *, overwrite: bool) -> None:
    """Raise `DataError` if `write_each` cannot write into the folder, or if `overwrite` is True. Leave no trace."""
    if overwrite:
        raise DataError("--overwrite is not for a folder, whose complete files are kept; remove those to write again")
    folder = resolve_path(output)
    if any(folder == file.resolve().parent for file in files):
        raise DataError(f"--output {output} is the folder of the input; choose another folder")
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    if not nearest.is_dir():
        raise DataError(f"--output {output}: {nearest} is a file; pass the path of a folder")
    if not os.access(nearest, os.W_OK):
        raise DataError(f"--output {output}: {nearest} is read-only; choose another folder")


@dataclass
class _Outcome:
    """The outcome of `write_each`.

    Attributes:
        written: the number of files that were written.
        rows: the number of their rows.
        elsewhere: the number of files that other processes are writing.
        outdated: the files that have changed since they were written.
        without_text: the files without a text in any row.
        without_row: the files without a row of the split.
        unreadable: the files that cannot be read, and why.
    """

    written: int = 0
    rows: int = 0
    elsewhere: int = 0
    outdated: list[str] = field(default_factory=list)
    without_text: list[str] = field(default_factory=list)
    without_row: list[str] = field(default_factory=list)
    unreadable: dict[str, DataError] = field(default_factory=dict)

    def report(self, num_files: int, output: Path) -> None:
        """Print the outcome. Raise `DataError` if a file cannot be read."""
        left_out = self.elsewhere + len(self.without_text) + len(self.without_row) + len(self.unreadable)
        print_note(
            f"{self.written:,} of {counted(num_files, 'file')} written to {output}, {counted(self.rows, 'row')}; "
            f"{num_files - self.written - left_out:,} already written"
        )
        for what, names in (("a text in any row", self.without_text), ("a row of the split", self.without_row)):
            if names:
                get = "gets" if len(names) == 1 else "get"
                logger.warning(
                    f"{counted(len(names), 'file')} without {what} {get} no file in {output}: {listed(names, 3)}"
                )
        if self.outdated:
            logger.warning(
                f"changed since they were written to {output}: {counted(len(self.outdated), 'file')} of the input "
                f"({listed(self.outdated, 3)}); to write them again, remove those and run the command again"
            )
        if self.elsewhere:
            print_note(
                f"other processes are writing {counted(self.elsewhere, 'file')}; when those have ended, run the "
                "command again to check that no file is missing"
            )
        if self.unreadable:
            first, number = next(iter(self.unreadable.values())), counted(len(self.unreadable), "file")
            raise DataError(f"{first}; {number} cannot be read: {listed(self.unreadable, 10)}")


def write_each(
    files: Collection[Path],
    output: Path,
    settings: Mapping[str, Any],
    read: Callable[[Path], TableInput],
    write: Callable[[TableInput, Path], None],
) -> None:
    """Call `read` and `write` for each file that has no output yet and that no other process works on.

    A file that cannot be read does not keep the others from being written.

    Args:
        files: the input files.
        output: the folder of the output files, which have the names of the input files.
        settings: what the content of the output depends on. All files of a folder have the same settings.
        read: a function that reads an input file.
        write: a function that takes what was read and the path to write.

    Raises:
        DataError: the folder has files of other settings, or a file cannot be written; or, when the others are written,
            a file cannot be read.
    """
    folder = resolve_path(output)
    _check_settings(folder, dict(settings), output)
    outcome = _Outcome()
    for file in files:
        target = folder / file.name
        if target.exists():
            if file.stat().st_mtime > target.stat().st_mtime:
                outcome.outdated.append(file.name)
            continue
        try:
            with locked(target):
                if not target.exists():  # another process may have written it meanwhile
                    _write_one(file, target, read, write, outcome)
        except LockedError:
            outcome.elsewhere += 1
    _clean(folder, [folder / file.name for file in files])
    outcome.report(len(files), output)


def _write_one(
    file: Path,
    target: Path,
    read: Callable[[Path], TableInput],
    write: Callable[[TableInput, Path], None],
    outcome: _Outcome,
) -> None:
    """Read and write one file, and add to the outcome. The caller holds the lock of the target."""
    from tercet.data.cleaning.incomplete_rows import NoTextError
    from tercet.data.tables.table import NoRowsError

    try:
        table = read(file)
    except NoTextError:
        outcome.without_text.append(file.name)
        return
    except NoRowsError:
        outcome.without_row.append(file.name)
        return
    except DataError as error:
        outcome.unreadable[file.name] = error
        return
    with atomic_file(target, overwrite=False) as partial:
        write(table, partial)
    outcome.written, outcome.rows = outcome.written + 1, outcome.rows + table.num_rows


def _clean(folder: Path, targets: list[Path]) -> None:
    """Remove what killed processes left for files that are complete."""
    names = {name_for(target): target for target in targets}
    # Their names are that of the target, then ".lock" or "-" and random digits.
    for name in {entry.name[:NAME_LENGTH] for entry in folder.glob(f"{PREFIX}*")}:
        if (target := names.get(name)) is not None:
            with suppress(LockedError), locked(target):
                remove_leftovers(target)


def _check_settings(folder: Path, settings: dict[str, Any], output: Path) -> None:
    """Store the settings in the folder, or compare them with those that are there."""
    path = folder / _SETTINGS
    wanted = json.loads(json.dumps(settings))
    folder.mkdir(parents=True, exist_ok=True)
    with locked(path, seconds=_SECONDS_TO_WAIT):
        if not path.exists():
            with atomic_file(path) as partial:
                write_json(partial, wanted)
        found = read_json(path)
    if different := sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)):
        raise DataError(
            f"{output} has files of another run, with other values of {listed(different, 5)}; choose another "
            "folder, or remove it"
        )
