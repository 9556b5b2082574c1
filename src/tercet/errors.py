"""The exceptions of Tercet, and the small helpers that word them.

    TercetError
    ├── DataError       files, columns, labels and batches: what the user feeds in
    ├── ModelError      model directories and modules: what is loaded and saved
    └── EmbeddingError  shapes, types and values of embeddings and labels in a loss or a metric

All are also `ValueError`s, so code that already catches those keeps working. A message says what
was wrong, where it was, and what to do; the command line prints it as one line and exits with 2.
"""

from collections.abc import Iterable

__all__ = ["DataError", "EmbeddingError", "ModelError", "TercetError", "listed"]


class TercetError(ValueError):
    """The base of all errors that Tercet raises on purpose."""


class DataError(TercetError):
    """A file, column, label or batch setting that cannot be used."""


class ModelError(TercetError):
    """A model directory or module that cannot be loaded or saved."""


class EmbeddingError(TercetError):
    """Embeddings or labels of the wrong shape, type or value."""


def listed(items: Iterable[object], limit: int = 5) -> str:
    """Word a list for a message: `'a', 'b' and 7 more`."""
    words = [repr(item) for item in items]
    if len(words) > limit:
        return f"{', '.join(words[:limit])} and {len(words) - limit} more"
    return ", ".join(words)
