"""The exceptions of Tercet, and helpers for messages.

    TercetError
    ├── DataError       invalid data, settings, command-line options or output paths
    ├── ModelError      a model that cannot be loaded, used or saved
    └── EmbeddingError  invalid embeddings, labels or distances in a loss or a metric, or sentences in `encode`

All are subclasses of `ValueError`, so `except ValueError` catches them. A message states what is wrong, where, and
what to do. The command line prints it as one line and exits with code 2.
"""

import difflib
from collections.abc import Iterable, Mapping

from tercet._display import printable

__all__ = [
    "DataError",
    "EmbeddingError",
    "ModelError",
    "TercetError",
    "counted",
    "is_or_are",
    "listed",
    "rows_have",
    "short_repr",
    "shortened",
]


class TercetError(ValueError):
    """The base class of the errors that Tercet raises for invalid input.

    Messages quote names, files and errors of other libraries. Control characters in them are replaced, so that no
    message can control a terminal.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(printable(arg) if isinstance(arg, str) else arg for arg in args))


class DataError(TercetError):
    """An error in the data, the settings, the command-line options or an output path."""


class ModelError(TercetError):
    """An error of a model that cannot be loaded, used or saved."""


class EmbeddingError(TercetError):
    """An error for invalid embeddings, labels or distances, or for invalid arguments of `encode`."""


def short_repr(value: object, limit: int = 200) -> str:
    """Return `repr(value)` for a message, cut to `limit` characters."""
    # A long text is cut first, so that its repr is not built.
    text = repr(value[:limit] if isinstance(value, str) else value)
    return text if len(text) <= limit and not (isinstance(value, str) and len(value) > limit) else f"{text[:limit]}…"


def string_hint(value: object, values: str = "it") -> str:
    """Return how to get a string from a value of another type, for a message that calls the values `values`."""
    if isinstance(value, Mapping):
        return f"write one of its fields, {listed(value, 4)}, into a column of its own"
    return f"convert {values} with str()"


def shortened(text: str, limit: int) -> str:
    """Return a text for a message, cut to `limit` characters."""
    return text if len(text) <= limit else f"{text[:limit]}…"


def listed(items: Iterable[object], limit: int = 5) -> str:
    """Return the first `limit` items as text for a message, and the number of the others: `'a', 'b' and 7 more`."""
    items = list(items)
    words = ", ".join(short_repr(item, 80) for item in items[:limit])
    return words if len(items) <= limit else f"{words} and {len(items) - limit} more"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question that suggests the known name most like `name`, and a space; "" if none is like it.

    Example:
        >>> did_you_mean("heads", ["auto", "head"]), did_you_mean("xyz", ["auto"])
        ("did you mean 'head'? ", '')
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}? " if near else ""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun for a message: `1 row`, `2,000 rows`, `2 batches`.

    Args:
        number: the number.
        noun: the singular of the noun, which may be several words.
        plural: its plural; by default the singular with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def is_or_are(number: int) -> str:
    """Return the verb after a number of things: `1 of 20 texts is`, `2 of 20 texts are`."""
    return "is" if number == 1 else "are"


def rows_have(number: int, total: int) -> str:
    """Return the start of a sentence about some of `total` rows: `1 of 20 rows has`, `2 of 20 rows have`."""
    return f"{number:,} of {counted(total, 'row')} {'has' if number == 1 else 'have'}"
