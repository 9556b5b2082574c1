"""Run `tercet …` in the tests of the command line. Each call is a process, forked from one that imported the libraries.

Importing them takes seconds in a new process (see `warm_up.py`), and the tests start a hundred. The tests of streams,
torchrun and the examples start new processes, as a user does.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from tercet.cli.app import app
from tests.child import ENVIRONMENT
from tests.warm import WARM


def run(*arguments, cwd=None, expect=0, stdin="") -> subprocess.CompletedProcess[str]:
    """Run `tercet …`, check that it exits with `expect` and without a traceback, and return what it printed.

    `stdin` is what the command reads from standard input, text or bytes.
    """
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "stdin").write_bytes(stdin if isinstance(stdin, bytes) else stdin.encode())
        process = WARM.Process(target=_tercet, args=(words, cwd, Path(folder)))
        process.start()
        process.join(600)  # A full machine must not fail a run that only takes long.
        if process.is_alive():
            process.kill()
            process.join()
        stdout, stderr = ((Path(folder) / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
    assert process.exitcode == expect, stderr[-3000:]
    assert "Traceback" not in stderr
    return subprocess.CompletedProcess(words, process.exitcode, stdout, stderr)


def train_arguments(data, model, output, *more):
    """Return the arguments of a short training run with small batches."""
    return (
        "train", data, "--model", model, "--output", output, "--batch-size", 8, "--samples-per-label", 2,
        "--learning-rate", 1e-3, *more,
    )  # fmt: skip


def _tercet(arguments: list[str], cwd: Path | None, folder: Path) -> None:
    for stream, number in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(folder / stream, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.dup2(os.open(folder / "stdin", os.O_RDONLY), 0)
    sys.stdin = os.fdopen(0)  # multiprocessing has closed it
    os.environ.update({**ENVIRONMENT, "COLUMNS": "100"})
    if cwd is not None:
        os.chdir(cwd)
    sys.argv = ["tercet", *arguments]
    torch.set_num_threads(1)  # the variable OMP_NUM_THREADS comes too late, since torch is imported already
    app()
