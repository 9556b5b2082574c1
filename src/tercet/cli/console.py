"""Functions that the commands share: print notes, results and tables, load models."""

import logging
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tercet._display import duration, one_line
from tercet._distributed import is_first_launched
from tercet._logging import configure_logging, import_transformers, quiet_transformers
from tercet.catalogue import metric_text, metric_title

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from tercet.encoder.sentence_transformer import SentenceTransformer

# Variables that turn off the progress bars of libraries. A library reads them when it is imported, and subprocesses
# inherit them.
_NO_PROGRESS_BARS = ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS")

# A narrower table would have columns of single letters.
_MIN_WIDTH = 40

# In distributed training, only the first process prints notes. Every process prints its errors.
_prints_notes = is_first_launched()
_started = time.monotonic()


def configure(*, quiet: bool, translate: Callable[[str], str] = str) -> None:
    """Set what a command prints besides its results, and start its clock.

    If `quiet` is True, it prints no notes, no warnings of Tercet and no progress bars of libraries. Other libraries can
    still log warnings. A command must also pass `show_progress_bar=shows_progress(quiet)` to the functions that have
    this argument.

    Args:
        quiet: the value of `--quiet`.
        translate: a function that puts flags into the messages of the library.
    """
    global _prints_notes, _started
    _prints_notes, _started = is_first_launched() and not quiet, time.monotonic()
    configure_logging(logging.INFO if _prints_notes else logging.ERROR, translate)
    if not shows_progress(quiet):
        os.environ.update(dict.fromkeys(_NO_PROGRESS_BARS, "1"))


def shows_progress(quiet: bool) -> bool:
    """Return whether to show progress bars: only on a terminal, because files and CI logs keep each of their lines."""
    return not quiet and sys.stderr is not None and sys.stderr.isatty()


def print_error(message: str) -> None:
    """Print an error as one line on standard error."""
    print_line(f"tercet: error: {message}")


def print_note(message: str) -> None:
    """Print a note on standard error. With `--quiet`, and in all processes but the first, print nothing."""
    if _prints_notes:
        for line in message.split("\n"):
            print_line(line)


def print_line(text: str) -> None:
    """Print one line on standard error."""
    indent = text[: len(text) - len(text.lstrip(" "))]
    sys.stderr.write(f"{indent}{one_line(text)}\n")
    sys.stderr.flush()


def print_result(text: str) -> None:
    """Print text on standard output, which is for results."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def finish(*next_commands: Sequence[object]) -> None:
    """Print how long the command took, and the commands to run next.

    Args:
        next_commands: the words of each command; none to print nothing. A word in capitals, such as TEST.csv, is for
            the user to replace.
    """
    took = f"finished in {duration(time.monotonic() - _started)}"
    lines = "".join(f"\n  {command_line(words)}" for words in next_commands if words)
    print_note(f"{took}; next:{lines}" if lines else took)


def command_line(words: Sequence[object]) -> str:
    """Return words as a command line for a shell."""
    return " ".join(_quoted(one_line(str(word))) for word in words)


def _quoted(word: str) -> str:
    """Quote a word for a shell: in double quotes if it has single ones, because `'"'"'` is hard to read."""
    return f'"{word}"' if "'" in word and not set('"$`\\!') & set(word) else shlex.quote(word)


def terminal() -> "Console":
    """Return a console for tables on standard output. It has 80 columns if the width is unknown."""
    from rich.console import Console

    # rich takes COLUMNS=0 at its word and prints nothing.
    return Console(width=max(_MIN_WIDTH, shutil.get_terminal_size().columns), highlight=False, markup=False)


def cell(text: object) -> "Text":
    """Return text for a table. In a plain string, rich would interpret brackets as markup."""
    from rich.text import Text

    return Text(one_line(str(text)))


def load_model(
    name: str, *, device: str | None = None, trust_remote_code: bool = False, packing: bool = True, bf16: bool = False
) -> "SentenceTransformer":
    """Load a model, without the warnings and progress bars of transformers.

    Args:
        name: a folder, a name on the hub, or `bundled`.
        device: the value of `--device`; None uses a GPU if there is one.
        trust_remote_code: whether to run Python code that comes with the model.
        packing: whether to compute batches without padding if the architecture allows it.
        bf16: the value of `--bf16`.

    Raises:
        ModelError: the model cannot be loaded, or PyTorch cannot compute on the device, or not in bfloat16.
    """
    quiet_transformers()
    import_transformers()
    from tercet.encoder.loading import load_model as load

    return load(name, device=device, trust_remote_code=trust_remote_code, packing=packing, bf16=bf16)


def words_of_this_command(*without: str) -> list[str]:
    """Return the words of the command line of this process without the given flags."""
    return ["tercet", *(word for word in sys.argv[1:] if word not in without)]


def this_command(*without: str) -> str:
    """Return the command line of this process without the given flags."""
    return shlex.join(words_of_this_command(*without))


def resume_command(without: str = "") -> str:
    """Return the command line that resumes this command; `without` is a flag that conflicts with `--resume`."""
    return f"{this_command('--resume', without)} --resume"


def print_metrics(title: str, columns: dict[str, dict[str, Any]]) -> None:
    """Print a table of metrics on standard output.

    Args:
        title: the title of the table.
        columns: for each heading, the metrics of that column. The first column determines which metrics are printed.
    """
    from rich.table import Table

    table = Table(title=cell(title), title_justify="left")
    table.add_column("metric")
    for name in columns:
        table.add_column(cell(name), justify="right", overflow="fold")
    for key in next(iter(columns.values())):
        values = (metrics.get(key) for metrics in columns.values())
        table.add_row(cell(metric_title(key)), *(metric_text(key, value) for value in values))
    terminal().print(table)
