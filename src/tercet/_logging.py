"""Configure logging in the processes that Tercet starts: commands and the runs of a comparison."""

import logging
import sys


def configure_logging(level: int) -> None:
    """Log to standard error: messages of Tercet of at least `level`, and warnings of other libraries.

    If the root logger has a handler already, change only the level of Tercet.
    """
    logging.basicConfig(format="tercet: %(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("tercet").setLevel(level)


def quiet_transformers() -> None:
    """Turn off the warnings and progress bars of transformers. This imports transformers, which takes seconds."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
