"""Processes that train together, with the variables that `torchrun` sets.

`torchrun` starts a new interpreter for each of them, which takes seconds. One test of
`tests/trainer/several_processes/test_distributed.py` uses it.
"""

import socket
import time
from collections.abc import Callable
from typing import Any

from tests.forked import ForkedProcess


def run_ranks(target: Callable[..., None], *arguments: Any, processes: int, seconds: float = 300) -> str:
    """Call a function in several processes of one launch, and return what they print, one after the other.

    With one process, the variables of a launcher are not set. If a process fails, raise `AssertionError` with what
    the failing ones print.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(processes):
        numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
        launch = {**{name: str(value) for name, value in numbers.items()}, "MASTER_ADDR": "127.0.0.1"}
        launch["MASTER_PORT"] = str(port)
        started.append(ForkedProcess(target, *arguments, environment=launch if processes > 1 else None))
    try:
        end = time.monotonic() + seconds
        while any(process.returncode is None for process in started) and time.monotonic() < end:
            if any(process.returncode for process in started):  # The others would wait for this one.
                break
            time.sleep(0.02)
    finally:
        for process in started:
            process.kill()
    printed = ["".join(process.communicate()) for process in started]
    failed = [text[-3000:] for text, process in zip(printed, started, strict=True) if process.returncode]
    assert not failed, "\n".join(failed)
    return "".join(printed)
