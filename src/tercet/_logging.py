"""Configure logging in the processes that Tercet starts: commands and the runs of a comparison."""

import logging
import sys
from collections.abc import Callable

from tercet._display import one_line


class _OneLine(logging.Formatter):
    """A formatter that makes a message one printable line, after "tercet: warning:" if it is a warning or an error.

    A traceback, if there is one, keeps its lines.
    """

    def __init__(self, translate: Callable[[str], str]) -> None:
        super().__init__()
        self._translate = translate

    def formatMessage(self, record: logging.LogRecord) -> str:
        message = one_line(self._translate(record.message))
        return message if record.levelno < logging.WARNING else f"tercet: {record.levelname.lower()}: {message}"


def configure_logging(level: int, translate: Callable[[str], str] = str) -> None:
    """Log to standard error: messages of Tercet of at least `level`, and warnings of other libraries.

    If the root logger has a handler of another program already, change only the level of Tercet.

    Args:
        level: the level of the messages of Tercet.
        translate: a function that is applied to each message.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler.formatter, _OneLine):
            root.removeHandler(handler)
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_OneLine(translate))
        logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("tercet").setLevel(level)


def quiet_transformers() -> None:
    """Turn off the warnings and progress bars of transformers, now or when `import_transformers` imports it."""
    global _quiet
    _quiet = True
    if "transformers" in sys.modules:
        import_transformers()


def import_transformers() -> None:
    """Import transformers, which takes seconds. Log a note before, and make it quiet if that was requested."""
    if "transformers" not in sys.modules:
        logging.getLogger("tercet").info("loading PyTorch and transformers")
    from transformers.utils import logging as transformers_logging

    if _quiet:
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()


_quiet = False
