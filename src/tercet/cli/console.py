"""What the commands share: errors as one line, quiet libraries, models by name, tables."""

import errno
import functools
import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import typer

from tercet._distributed import is_first_launched
from tercet._logging import configure_logging, quiet_transformers
from tercet.errors import DataError, TercetError

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer

P = ParamSpec("P")

BUNDLED = "bundled"  # `tercet.encoder.loading` needs torch, which the help must not load
# Under a launcher of several processes one speaks for all; errors come from each.
IS_FIRST_PROCESS = is_first_launched()
MODEL_HELP = f"A folder, a name on the hub, or '{BUNDLED}' for the encoder of tercet[demo]."
DATA_HELP = "A .csv, .tsv, .jsonl or .parquet file, or the name of a data set on the hub."


def one_line_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Turn Tercet's errors into one line and exit code 2, and an interrupt into 130."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        configure_logging(logging.INFO if IS_FIRST_PROCESS else logging.ERROR)
        try:
            command(*args, **kwargs)
        except TercetError as error:
            _end(" ".join(str(error).split()), code=2)
        except KeyboardInterrupt:
            _end("interrupted", code=130)
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if os.environ.get("TERCET_DEBUG"):
                raise
            reason = f"{type(error).__name__}: {error}"
            _end(f"unexpected error, {' '.join(reason.split())} (TERCET_DEBUG=1 shows where)", code=1)

    return wrapped


def _end(message: str, code: int) -> None:
    typer.echo(f"tercet: {message}", err=True)
    raise typer.Exit(code)


def say(message: str) -> None:
    """A remark for the user, on standard error."""
    if IS_FIRST_PROCESS:
        typer.echo(message, err=True)


def load_model(name: str, *, trust_remote_code: bool = False, packing: bool = True) -> "SentenceTransformer":
    """Load the model that the user named, without the messages of transformers."""
    from tercet.encoder.loading import load_model as load

    quiet_transformers()
    return load(name, trust_remote_code=trust_remote_code, packing=packing)


def check_folder(output: Path, *, overwrite: bool, replaced: bool = True) -> None:
    """Raise `DataError` unless a folder can come to `output` without a loss of what is there.

    Args:
        replaced: whether the new folder takes the place of an old one whole.
    """
    with _a_name_that_fits(output, "--output"):
        if output.is_file():
            raise DataError(f"{output} is a file; name a folder")
        if replaced and Path.cwd().is_relative_to(output.resolve()):
            raise DataError(f"--output {output} is the folder that you are in, or holds it; name one inside")
        _check_free(output, overwrite=overwrite)
        _check_parent(output)


def check_file(output: Path, data: str | None, *, overwrite: bool, option: str = "--output") -> None:
    """Raise `DataError` unless a file can come to `output` without a loss: of what is there, or of the data."""
    with _a_name_that_fits(output, option):
        if output.is_dir():
            raise DataError(f"{output} is a folder; name a file")
        _check_free(output, overwrite=overwrite, option=option)
        if data is not None and output.exists() and Path(data).exists() and output.samefile(data):
            raise DataError(f"{option} {output} is the data itself; take another")
        _check_parent(output)


def _check_free(output: Path, *, overwrite: bool, option: str = "--output") -> None:
    """Raise `DataError` if there is something at `output` that the user did not say may go."""
    taken = output.exists() and (output.is_file() or any(output.iterdir()))
    if taken and not overwrite:
        raise DataError(f"{output} is there already; take another {option}, or add --overwrite")


def _check_parent(output: Path) -> None:
    """Folders are made as they are needed, below one that takes them."""
    parent = next((folder for folder in output.absolute().parents if folder.exists()), output)
    if not parent.is_dir():
        raise DataError(f"cannot write {output}: {parent} is a file, and no folder")
    if not os.access(parent, os.W_OK):
        raise DataError(f"cannot write {output}: {parent} is not yours to write to")


@contextmanager
def _a_name_that_fits(output: Path, option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.EINVAL):
            raise DataError(f"{option} {str(output)[:80]!r} cannot be a name: {error.strerror}") from None
        raise DataError(f"cannot write {output}: {error.strerror}") from None


def command_again(*without: str) -> str:
    """This command without some of its options."""
    return shlex.join(["tercet", *(word for word in sys.argv[1:] if word not in without)])


def resume_command(without: str = "") -> str:
    """The command that goes on with what this one began, without an option that would get in its way."""
    return f"{command_again('--resume', without)} --resume"


def print_metrics(title: str, columns: dict[str, dict[str, Any]]) -> None:
    """A table of metrics on standard output, a column for each set of them."""
    from rich.console import Console
    from rich.table import Table

    from tercet.catalogue import metric_title

    table = Table(title=title, title_justify="left")
    table.add_column("metric")
    for name in columns:
        table.add_column(name, justify="right")
    for metric in next(iter(columns.values())):
        values = (measured.get(metric) for measured in columns.values())
        table.add_row(metric_title(metric), *(f"{value:.4f}" if value is not None else "–" for value in values))
    Console().print(table)


def before_and_after(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The columns of the table at the end of a run."""
    before, after = result["before"], result["after"]
    return {"before": before, "after": after, "change": {name: after[name] - before[name] for name in after}}
