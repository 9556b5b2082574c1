"""Processes that train together with the variables of `torchrun`, forked from one that has imported the libraries.

`torchrun` starts each of them anew, which takes seconds. `tests/trainer/test_distributed.py` starts a training with it.
"""

import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tercet.cli.app import app
from tests.child import ENVIRONMENT
from tests.warm import WARM


def run_ranks(target: Callable[..., None], *arguments: Any, processes: int, seconds: float = 300) -> str:
    """Call a function in several processes of one launch, and return what they print, one after the other.

    With one process, the variables of a launcher are not set. If a process fails, raise `AssertionError` with what
    the failing ones print.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        started = []
        for rank in range(processes):
            numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
            launch = {name: str(value) for name, value in numbers.items()}
            launch |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            log = Path(folder) / str(rank)
            process = WARM.Process(target=_call, args=(launch if processes > 1 else {}, log, target, arguments))
            process.start()
            started.append((process, log))
        try:
            for process, _ in started:
                process.join(seconds)
        finally:
            for process, _ in started:
                process.kill()
                process.join()
        printed = [log.read_text(encoding="utf-8") for _, log in started]
        failed = [text[-3000:] for text, (process, _) in zip(printed, started, strict=True) if process.exitcode]
        assert not failed, "\n".join(failed)
        return "".join(printed)


def command_line(*words: str) -> None:
    """Run `tercet …`, as the target of `run_ranks`."""
    sys.argv = ["tercet", *words]
    app()


def _call(launch: dict[str, str], log: Path, target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.update({**ENVIRONMENT, **launch})
    torch.set_num_threads(1)  # the variable OMP_NUM_THREADS comes too late, since torch is imported already
    target(*arguments)
