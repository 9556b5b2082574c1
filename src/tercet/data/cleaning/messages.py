"""Parts of messages about data that are changed."""

from collections.abc import Iterable

from tercet._events import WarningKind, emit_warning
from tercet.errors import short_repr

# The number of labels that a message names.
NAMED_LABELS = 3
# What to do about rows without a text or a label.
REMEDY = "fill them in, or pass drop_missing=True to leave the rows out"


def shown_labels(labels: Iterable[str]) -> str:
    """Return the first labels, in quotes, for a message."""
    return ", ".join(short_repr(label) for label in list(labels)[:NAMED_LABELS])


def warn_of_change(message: str) -> None:
    """Emit a warning that data were changed."""
    emit_warning(WarningKind.CHANGED_DATA, message)
