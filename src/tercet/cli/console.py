"""The console, as all commands use it: error reporting, notes, checks of output paths, loading of models, tables."""

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

BUNDLED = "bundled"  # as in `tercet.encoder.loading`, which imports torch, too slow for the help
# Under torchrun only the first process prints notes. Every process prints its errors.
IS_FIRST_PROCESS = is_first_launched()

# The libraries read these variables when they are imported, and pass them on to the processes that a command starts.
_NO_PROGRESS_BARS = ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS")

_prints_notes = IS_FIRST_PROCESS


def report_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Decorate a command: print an error of Tercet as one line and exit with code 2, or 130 after an interrupt.

    A command that has an argument `quiet` prints only results and errors if it is True.
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
    """Set what a command prints besides its results: with `quiet` only errors, else notes and warnings too.

    Bars that a command asks for, by `show_progress_bar`, are its own task.
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
    """Print a note on standard error: in the first process, and not under `--quiet`."""
    if _prints_notes:
        typer.echo(message, err=True)


def name_flags(message: str, arguments: Iterable[str]) -> str:
    """Replace the arguments that a message of the library names by the flags of the command.

    `overwrite=True` becomes `--overwrite`, `eval_fraction=0` becomes `--eval-fraction 0`, and `text_column` becomes
    `--text-column`. Words without an underscore, such as `model`, stay as they are, since they may be plain English,
    unless the message begins with them and `must` or a colon follows, as in `epochs must be above 0`;
    so does whatever is quoted, such as the name of a column, or is a part of a path.
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
    """Load the model that the user named, without the messages of transformers.

    Args:
        name: a folder, a name on the hub, or `bundled`.
        device: the value of `--device`; None takes a GPU if there is one.
        trust_remote_code: whether to run Python code that comes with the model.
        packing: whether to compute batches without padding.

    Raises:
        DataError: PyTorch cannot compute on the device.
        ModelError: the model is missing or broken.
    """
    from tercet.encoder.loading import load_model as load

    if device is not None:
        check_device(device)
    quiet_transformers()
    return load(name, device=device, trust_remote_code=trust_remote_code, packing=packing)


def check_device(device: str) -> None:
    """Raise `DataError` if PyTorch does not know the device or cannot compute on it."""
    import torch

    try:
        torch.zeros(1, device=device)
    except (AssertionError, RuntimeError, NotImplementedError) as error:  # which one depends on how PyTorch was built
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"cannot compute on --device {device}: {reason}; try --device cpu") from None


def check_output_folder(output: Path, *, overwrite: bool, replaced: bool = True) -> None:
    """Raise `DataError` unless the folder `output` can be written and nothing is lost that the user wants to keep.

    Args:
        output: the value of `--output`.
        overwrite: whether an existing folder may be replaced.
        replaced: whether the command replaces the folder as one piece; it then cannot be the current folder.
    """
    with _report_invalid_path(output, "--output"):
        if output.is_file():
            raise DataError(f"--output {output} is a file; name a folder")
        if replaced and Path.cwd().is_relative_to(output.resolve()):
            raise DataError(f"--output {output} is the current folder or contains it; name a folder inside it")
        _check_unused(output, overwrite=overwrite)
        _check_parent(output)


def check_output_file(output: Path, data: str | None, *, overwrite: bool, option: str = "--output") -> None:
    """Raise `DataError` unless the file `output` can be written and nothing is lost that the user wants to keep.

    Args:
        output: the value of the option.
        data: the data that the command reads, which it must not replace.
        overwrite: whether an existing file may be replaced.
        option: the option's name, for messages.
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
    """Check the nearest parent that exists; the folders below it will be created."""
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
    """Return the command line of this process, without some of its flags."""
    return shlex.join(["tercet", *(word for word in sys.argv[1:] if word not in without)])


def resume_command(without: str = "") -> str:
    """Return the command line that resumes this command, without a flag that would conflict with `--resume`."""
    return f"{this_command('--resume', without)} --resume"


def print_metrics(title: str, columns: dict[str, dict[str, Any]]) -> None:
    """Print a table of metrics on standard output, with a column for each set of metrics."""
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
    """Return the metrics before and after training and their change, the columns of the table that ends a run."""
    before, after = record.before or {}, record.after or {}
    return {"before": before, "after": after, "change": {key: after[key] - before[key] for key in after}}
