"""Set up logging in the processes that Tercet starts: the command line and the runs of a comparison."""

import logging
import sys


def configure_logging(level: int) -> None:
    """Print messages to standard error: those of Tercet from `level` up, and warnings of other libraries."""
    logging.basicConfig(format="tercet: %(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("tercet").setLevel(level)


def quiet_transformers() -> None:
    """Turn off the warnings and the progress bars of transformers. The call imports it, which takes seconds."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
