"""The boundary around loading: every exception of another library becomes a `ModelError`."""

from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import shorten

from tercet.errors import ModelError, TercetError

# Maximum number of characters that a message quotes from an error of another library.
_MAX_REASON = 400


@contextmanager
def loading_errors(action: str) -> Iterator[None]:
    """Raise every exception of the block as a `ModelError`: "cannot" + `action` + the reason.

    A folder that somebody else made can break any line of a library, so that no list of exceptions is complete.
    """
    try:
        yield
    except TercetError:
        raise
    except Exception as error:
        raise ModelError(f"cannot {action}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Return the class and the shortened text of an exception, on one line."""
    text = shorten(str(error), _MAX_REASON, placeholder=" …")
    return text if text and isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: {text}".strip(": ")
