"""Run a function in a spawned subprocess, to measure its peak memory and to survive its crash."""

import logging
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from tercet._logging import configure_logging, import_transformers, quiet_transformers
from tercet.errors import TercetError

_SECONDS_TO_EXIT = 10


def run_in_subprocess(function: Callable[[Any], dict[str, Any]], argument: Any) -> dict[str, Any]:
    """Return the result of `function(argument)` in a subprocess, or `{"failed": reason}` if it raises or crashes.

    The subprocess exits if this process ends, and it ignores Ctrl-C. It is spawned: `function` and `argument` must be
    picklable, and a script must call this inside `if __name__ == "__main__":`.
    """
    # Each run would repeat the notes of the command.
    level = max(logging.WARNING, logging.getLogger("tercet").getEffectiveLevel())
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, function, argument, level))
    try:
        with _interrupts_deferred():
            process.start()
        sender.close()
        try:
            result: dict[str, Any] = receiver.recv()
            process.join(_SECONDS_TO_EXIT)
        except EOFError:
            process.join()
            result = {"failed": _describe_exit(process.exitcode)}
        return result
    finally:
        if process.is_alive():
            process.kill()
            process.join()
        receiver.close()


def describe_error(error: Exception) -> str:
    """Return the reason of a failure in one line: the message of the error, after its type if not a `TercetError`.

    If memory ran out, the reason says so and how to use less.
    """
    text = " ".join(str(error).split())
    if isinstance(error, TercetError):
        return text
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in text:
        return "out of memory; set or reduce mini_batch_tokens, or choose a smaller batch_size"
    return f"{type(error).__name__}: {text}"


def _work(sender: Connection, function: Callable[[Any], dict[str, Any]], argument: Any, level: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # First, because an import may take longer than the parent lives.
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    configure_logging(level)
    quiet_transformers()
    import_transformers()
    try:
        result = function(argument)
    except Exception as error:
        if os.environ.get("TERCET_DEBUG"):
            traceback.print_exc()
        result = {"failed": describe_error(error)}
    sender.send(result)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _describe_exit(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        return f"killed by {name}" + (", probably because the machine ran out of memory" if name == "SIGKILL" else "")
    return f"the process exited with code {exit_code}, without an error message"


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Defer Ctrl-C to the end of the `with` block. A process that is started in the block ignores it.

    Such a process inherits the signal mask of this thread. The mask alone does not protect this process: another thread
    can receive the signal, and Python would then raise `KeyboardInterrupt` in the block.
    """
    if threading.current_thread() is not threading.main_thread():  # Only the main thread gets `KeyboardInterrupt`.
        yield
        return
    received: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    mask = None
    if hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # It unblocks Ctrl-C when it starts.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
    if received:
        signal.raise_signal(signal.SIGINT)
