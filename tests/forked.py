"""Processes that tests interrupt, kill or let train together, forked from one that has imported the libraries."""

import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from tercet.cli.app import app
from tests.child import ENVIRONMENT
from tests.warm import WARM


class ForkedProcess:
    """A function in a process of its own, with the methods of `subprocess.Popen` that tests use.

    Args:
        target: a function of a module.
        arguments: its arguments.
        environment: further variables.
        new_session: whether the process leads a group of processes, which a signal can go to.
        max_file_size: the size of a file in bytes at which writing fails; None for no limit.
    """

    def __init__(
        self,
        target: Callable[..., None],
        *arguments: Any,
        environment: Mapping[str, str] | None = None,
        new_session: bool = False,
        max_file_size: int | None = None,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        options = (dict(environment or {}), new_session, max_file_size)
        self._process = WARM.Process(target=_call, args=(Path(self._folder.name), options, target, arguments))
        self._process.start()
        self.pid = self._process.pid
        self.kill = self._process.kill

    @property
    def returncode(self) -> int | None:
        """The exit code; None while the process runs."""
        return self._process.exitcode

    poll = returncode.fget

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        assert self.pid is not None
        os.kill(self.pid, number)

    def communicate(self, timeout: float = 300) -> tuple[str, str]:
        """Wait for the end, and return what was printed on standard output and as errors."""
        self._process.join(timeout)
        assert self._process.exitcode is not None, f"still running after {timeout} s"
        printed = [(Path(self._folder.name) / name).read_text(encoding="utf-8") for name in ("stdout", "stderr")]
        self._folder.cleanup()
        return printed[0], printed[1]


def command_line(*words: str) -> None:
    """Run `tercet …`, as the target of a process."""
    sys.argv = ["tercet", *words]
    app()


def _call(folder: Path, options: tuple[Any, ...], target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    environment, new_session, max_file_size = options
    for stream, number in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(folder / stream, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.environ.update({**ENVIRONMENT, **environment})
    if new_session:
        os.setsid()
    if max_file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_size, max_file_size))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)  # the variable OMP_NUM_THREADS comes too late, since torch is imported already
    target(*arguments)
