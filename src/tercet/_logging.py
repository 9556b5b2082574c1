"""Logging in processes that Tercet starts itself: the command line, and the runs of a comparison."""

import logging
import sys


def configure_logging(level: int) -> None:
    """Print the messages of Tercet from `level` on to standard error, and only the errors of transformers."""
    logging.basicConfig(format="tercet: %(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("tercet").setLevel(level)


def quiet_transformers() -> None:
    """Turn off the warnings and the progress bars of transformers, which importing it takes seconds for."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
