"""A function in a process of its own: its peak memory is its own, and however it ends, this process goes on."""

import logging
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from tercet._logging import configure_logging, quiet_transformers
from tercet.errors import TercetError

_SECONDS_TO_END = 10


def run_in_subprocess(function: Callable[[Any], dict[str, Any]], argument: Any) -> dict[str, Any]:
    """What `function(argument)` returns, called in a new process; where it fails, why, under `failed`.

    The process ends with this one, and Ctrl-C reaches this one only. It is spawned, so function and argument are
    pickled, and a script that calls this needs `if __name__ == "__main__":`.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, function, argument))
    try:
        with _interrupts_held():
            process.start()
        sender.close()
        try:
            answer: dict[str, Any] = receiver.recv()
            process.join(_SECONDS_TO_END)
        except EOFError:
            process.join()
            answer = {"failed": _last_words(process.exitcode)}
        return answer
    finally:
        if process.is_alive():
            process.kill()
            process.join()
        receiver.close()


def _work(sender: Connection, function: Callable[[Any], dict[str, Any]], argument: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    configure_logging(logging.WARNING)
    quiet_transformers()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        answer = function(argument)
    except Exception as error:
        if os.environ.get("TERCET_DEBUG"):
            traceback.print_exc()
        answer = {"failed": _reason(error)}
    sender.send(answer)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _reason(error: Exception) -> str:
    """One line: our own words, or what kind of error it was."""
    text = " ".join(str(error).split())
    if isinstance(error, TercetError):
        return text
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in text:
        return "out of memory; a smaller --mini-batch-tokens, or a smaller --batch-size, takes less"
    return f"{type(error).__name__}: {text}"


def _last_words(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        return f"ended by {name}" + (", as happens when memory runs out" if name == "SIGKILL" else "")
    return f"ended with exit code {exit_code} before it could say why"


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """A process that starts in the block never gets Ctrl-C; this one gets it at the end of the block."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
