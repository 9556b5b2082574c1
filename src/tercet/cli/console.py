"""Functions that the commands share: report errors, print notes and tables, check output paths, load models."""

import errno
import functools
import inspect
import logging
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import typer

from tercet._distributed import is_first_launched
from tercet._logging import configure_logging, quiet_transformers
from tercet.catalogue import metric_digits, metric_title
from tercet.errors import DataError, TercetError
from tercet.records import RunRecord

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer

P = ParamSpec("P")

BUNDLED = "bundled"  # repeated from `tercet.encoder.loading`, which imports torch and would slow down the help
# In distributed training, only the first process prints notes. Every process prints its errors.
IS_FIRST_PROCESS = is_first_launched()

# Variables that turn off the progress bars of libraries. A library reads them when it is imported, and subprocesses
# inherit them.
_NO_PROGRESS_BARS = ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS")

_prints_notes = IS_FIRST_PROCESS


def report_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Decorate a command to print errors as one line and to set the exit code.

    The exit code is 2 for a `TercetError`, 130 for Ctrl-C and 1 for any other error. If the environment variable
    TERCET_DEBUG is set, other errors are raised with their traceback. If the command has an argument `quiet` and it is
    True, it is passed to `configure`.
    """
    arguments = tuple(inspect.signature(command).parameters)

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        configure(quiet=bool(kwargs.get("quiet", False)))
        try:
            command(*args, **kwargs)
        except TercetError as error:
            print_error(name_flags(str(error), arguments))
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            typer.echo("tercet: interrupted", err=True)
            raise typer.Exit(130) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if os.environ.get("TERCET_DEBUG"):
                raise
            print_error(f"unexpected {type(error).__name__}: {error} (set TERCET_DEBUG=1 to see the traceback)")
            raise typer.Exit(1) from None

    return wrapped


def configure(*, quiet: bool) -> None:
    """Set what a command prints besides its results.

    If `quiet` is True, it prints no notes, no warnings of Tercet and no progress bars of libraries. Other libraries can
    still log warnings. A command must also pass `show_progress_bar=not quiet` to the functions that have this argument.
    """
    global _prints_notes
    _prints_notes = IS_FIRST_PROCESS and not quiet
    configure_logging(logging.INFO if _prints_notes else logging.ERROR)
    if quiet:
        os.environ.update(dict.fromkeys(_NO_PROGRESS_BARS, "1"))


def print_error(message: str) -> None:
    """Print an error as one line on standard error."""
    typer.echo(f"tercet: error: {' '.join(message.split())}", err=True)


def print_note(message: str) -> None:
    """Print a note on standard error. With `--quiet`, and in all processes but the first, print nothing."""
    if _prints_notes:
        typer.echo(message, err=True)


def name_flags(message: str, arguments: Iterable[str]) -> str:
    """Replace argument names in a message of the library by the flags of the command.

    `overwrite=True` becomes `--overwrite`, `eval_fraction=0` becomes `--eval-fraction 0`, and `text_column` becomes
    `--text-column`. A name without an underscore, such as `model`, may be a plain English word. It is replaced only in
    these forms with `=`, and at the start of a message before "must" or a colon, as in "epochs must be above 0". A name
    in quotation marks, such as a column of the data, and a name in a path are not replaced.

    Args:
        message: the message of an exception.
        arguments: the names of the arguments of the command.
    """
    for name in arguments:
        flag = f"--{name.replace('_', '-')}"
        bare = r"(?<![\w'\"/.-])`?" + re.escape(name)
        end = r"`?(?![\w'\"/=-]|\.\w)"
        message = re.sub(rf"{bare}=True{end}", flag, message)
        message = re.sub(rf"{bare}=(\d+(?:\.\d+)?){end}", rf"{flag} \1", message)
        message = re.sub(rf"^{re.escape(name)}(?= must |: )", flag, message)
        if "_" in name:
            message = re.sub(bare + end, flag, message)
    return message


def load_model(
    name: str, *, device: str | None = None, trust_remote_code: bool = False, packing: bool = True
) -> "SentenceTransformer":
    """Load a model, without the warnings and progress bars of transformers.

    Args:
        name: a folder, a name on the hub, or `bundled`.
        device: the value of `--device`; None uses a GPU if there is one.
        trust_remote_code: whether to run Python code that comes with the model.
        packing: whether to compute batches without padding if the architecture allows it.

    Raises:
        DataError: PyTorch cannot compute on the device.
        ModelError: the model does not exist or cannot be loaded.
    """
    from tercet.encoder.loading import load_model as load

    if device is not None:
        check_device(device)
    quiet_transformers()
    return load(name, device=device, trust_remote_code=trust_remote_code, packing=packing)


def check_device(device: str) -> None:
    """Raise `DataError` if PyTorch cannot create a tensor on the device."""
    import torch

    try:
        torch.zeros(1, device=device)
    except (AssertionError, RuntimeError, NotImplementedError) as error:  # the class depends on the build of PyTorch
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"cannot compute on --device {device}: {reason}; try --device cpu") from None


def check_output_folder(output: Path, *, overwrite: bool, replaced: bool = True) -> None:
    """Raise `DataError` if the folder `output` cannot be written, or has files and may not be overwritten.

    Args:
        output: the value of `--output`.
        overwrite: whether a folder that has files may be overwritten.
        replaced: whether the command replaces the whole folder. The current folder and its parents cannot be replaced.
    """
    with _report_invalid_path(output, "--output"):
        if output.is_file():
            raise DataError(f"--output {output} is a file; pass the path of a folder")
        if replaced and Path.cwd().is_relative_to(output.resolve()):
            raise DataError(f"--output {output} is the current folder or contains it; choose another folder")
        _check_unused(output, overwrite=overwrite)
        _check_parent(output)


def check_output_file(output: Path, data: str | None, *, overwrite: bool, option: str = "--output") -> None:
    """Raise `DataError` if the file `output` cannot be written, or exists and may not be overwritten.

    Args:
        output: the value of the option.
        data: the input data. If it is a file, `output` must be a different file.
        overwrite: whether an existing file may be overwritten.
        option: the name of the option, for messages.
    """
    with _report_invalid_path(output, option):
        if output.is_dir():
            raise DataError(f"{option} {output} is a folder; name a file")
        _check_unused(output, overwrite=overwrite, option=option)
        if data is not None and output.exists() and Path(data).exists() and output.samefile(data):
            raise DataError(f"{option} {output} is the input data; choose another file")
        _check_parent(output)


def _check_unused(output: Path, *, overwrite: bool, option: str = "--output") -> None:
    used = output.exists() and (output.is_file() or any(output.iterdir()))
    if used and not overwrite:
        raise DataError(f"{output} already exists; choose another {option} or add --overwrite")


def _check_parent(output: Path) -> None:
    """Raise `DataError` if the nearest existing parent of `output` is a file or a folder without write permission."""
    parent = next((folder for folder in output.absolute().parents if folder.exists()), output)
    if not parent.is_dir():
        raise DataError(f"cannot write {output}: {parent} is a file, not a folder; choose another path")
    if not os.access(parent, os.W_OK):
        raise DataError(f"cannot write {output}: no permission to write to {parent}; choose another path")


@contextmanager
def _report_invalid_path(output: Path, option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.EINVAL):
            raise DataError(f"{option} {str(output)[:80]!r} is an invalid path: {error.strerror}") from None
        raise DataError(f"cannot write {output}: {error.strerror}") from None


def this_command(*without: str) -> str:
    """Return the command line of this process without the given flags."""
    return shlex.join(["tercet", *(word for word in sys.argv[1:] if word not in without)])


def resume_command(without: str = "") -> str:
    """Return the command line that resumes this command; `without` is a flag that conflicts with `--resume`."""
    return f"{this_command('--resume', without)} --resume"


def print_metrics(title: str, columns: dict[str, dict[str, Any]]) -> None:
    """Print a table of metrics on standard output.

    Args:
        title: the title of the table.
        columns: for each heading, the metrics of that column. The first column determines which metrics are printed.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("metric")
    for name in columns:
        table.add_column(name, justify="right")
    for key in next(iter(columns.values())):
        values = (metrics.get(key) for metrics in columns.values())
        digits = metric_digits(key)
        table.add_row(metric_title(key), *("–" if value is None else f"{value:.{digits}f}" for value in values))
    Console().print(table)


def before_after_change(record: RunRecord) -> dict[str, dict[str, Any]]:
    """Return the columns of the table that is printed after a run: metrics before and after training, and change."""
    before, after = record.before or {}, record.after or {}
    return {"before": before, "after": after, "change": {key: after[key] - before[key] for key in after}}
