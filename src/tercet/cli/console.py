"""What the commands share: errors as one line, quiet libraries, models by name, tables."""

import errno
import functools
import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import typer

from tercet.errors import DataError, ModelError, TercetError

if TYPE_CHECKING:
    from tercet.encoder.model import SentenceTransformer

P = ParamSpec("P")

BUNDLED = "bundled"
# Under a launcher of several processes one speaks for all; errors come from each.
IS_FIRST_PROCESS = os.environ.get("RANK", "0") == "0"
MODEL_HELP = f"A folder, a name on the hub, or '{BUNDLED}' for the encoder of tercet[demo]."
DATA_HELP = "A .csv, .tsv, .jsonl or .parquet file, or the name of a data set on the hub."


def one_line_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Turn Tercet's errors into one line and exit code 2, and an interrupt into 130."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
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


def quiet_libraries() -> None:
    """Keep the remarks of the libraries below off the screen, and ours on it."""
    logging.basicConfig(format="tercet: %(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("tercet").setLevel(logging.INFO if IS_FIRST_PROCESS else logging.ERROR)
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def load_model(name: str, *, trust_remote_code: bool = False, packing: bool = True) -> "SentenceTransformer":
    """The model of a name that the user gave."""
    from tercet.data.bundled import encoder_folder
    from tercet.encoder.model import SentenceTransformer

    quiet_libraries()
    try:
        model = SentenceTransformer(encoder_folder() if name == BUNDLED else name, trust_remote_code=trust_remote_code)
    except ModelError as error:
        hint = f"; --model {BUNDLED} needs no hub" if "hub" in str(error) else ""
        raise ModelError(f"{error}{hint}") from error
    model.packing = packing
    if name == BUNDLED:
        model.base_model_name = "sentence-transformers/all-MiniLM-L6-v2"
    return model


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


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a new file to write, which becomes `path` when the block ends without an error."""
    partial = path.with_name(f".{path.name}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # where it could not be made it need not be removed
            partial.unlink(missing_ok=True)


def print_metrics(title: str, columns: dict[str, dict[str, Any]]) -> None:
    """A table of metrics on standard output, a column for each set of them."""
    from rich.console import Console
    from rich.table import Table

    from tercet.encoder.card import METRIC_NAMES

    table = Table(title=title, title_justify="left")
    table.add_column("metric")
    for name in columns:
        table.add_column(name, justify="right")
    for metric in next(iter(columns.values())):
        values = (measured.get(metric) for measured in columns.values())
        table.add_row(
            METRIC_NAMES.get(metric, metric), *(f"{value:.4f}" if value is not None else "–" for value in values)
        )
    Console().print(table)


def before_and_after(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The columns of the table at the end of a run."""
    before, after = result["before"], result["after"]
    return {"before": before, "after": after, "change": {name: after[name] - before[name] for name in after}}
