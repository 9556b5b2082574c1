"""Report the errors of a command: one line on standard error and an exit code."""

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

import typer

from tercet._distributed import leave_group
from tercet.cli.console import configure, print_error, print_line
from tercet.cli.flags import Flags
from tercet.errors import TercetError

P = ParamSpec("P")


def report_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Decorate a command to print errors as one line and to set the exit code.

    The exit code is 2 for a `TercetError`, 130 for Ctrl-C and 1 for any other error. If the environment variable
    TERCET_DEBUG is set, other errors are raised with their traceback. If the command has an argument `quiet` and it is
    True, it is passed to `configure`.
    """
    flags = Flags.of(command)

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        def translate(message: str) -> str:
            return flags.name_in(message, kwargs.values())

        configure(quiet=bool(kwargs.get("quiet", False)), translate=translate)
        try:
            with _interrupts_delivered():
                command(*args, **kwargs)
            # Not after an error: the other processes may still wait for this one, and the launcher ends them.
            leave_group()
        except TercetError as error:
            print_error(translate(str(error)))
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            print_line("tercet: interrupted")
            raise typer.Exit(130) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if os.environ.get("TERCET_DEBUG"):
                raise
            print_error(_describe(error))
            raise typer.Exit(1) from None

    return wrapped


def _describe(error: Exception) -> str:
    """Return one sentence on an error that no check has found before."""
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error) or "CUDA out of memory" in str(error):
        return "out of memory: use a smaller --batch-size or a smaller model, or close other programs"
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"cannot read or write: {place}{error.strerror}"
    return f"unexpected {type(error).__name__}: {error} (set TERCET_DEBUG=1 to see the traceback)"


@contextmanager
def _interrupts_delivered() -> Iterator[None]:
    """Deliver a Ctrl-C again that Python has discarded, because it came inside a destructor."""
    previous = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs") -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            # Not at once: an interrupt inside this hook would be discarded too.
            threading.Timer(0.05, _interrupt).start()
        else:
            previous(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = previous


def _interrupt() -> None:
    """Send Ctrl-C to the main thread. A signal also ends a system call that waits."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)
