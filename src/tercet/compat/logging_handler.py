"""LoggingHandler, which prints log messages without breaking a progress bar."""

import logging

from tqdm.auto import tqdm


class LoggingHandler(logging.Handler):
    """A log handler that prints messages above a running progress bar.

    Example:
        >>> import logging
        >>> from tercet import LoggingHandler
        >>> logging.getLogger("example").addHandler(LoggingHandler())
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Print a message."""
        try:
            tqdm.write(self.format(record))
        except Exception:
            self.handleError(record)
