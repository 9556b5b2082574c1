"""Warnings about a training run, as typed events: a kind for programs and a message for people.

Losses, encoder and trainer call `emit_warning`. Every consumer receives the event: one consumer logs the message,
and `collect_warnings` collects the events of a run for its record.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from tercet._distributed import is_first_process

logger = logging.getLogger("tercet")


class WarningKind(str, Enum):
    """The kinds of warnings. Records store the values, so a value never changes.

    Attributes:
        UNREACHABLE_MARGIN: no triplet can ever satisfy the margin.
        NO_TRIPLET: a batch holds no triplet.
        INACTIVE_TRIPLETS: no triplet has a loss above 0 any more.
        COLLAPSE: the embeddings have collapsed.
        LABELS_NOT_SEPARATED: sentences with the same label are as far apart as sentences with different labels.
        PACKING_DISABLED: the model cannot run on packed batches.
        UNUSED_GPUS: there are more GPUs than processes.
        OTHER: a warning without a kind, from a record of format version 1.
    """

    UNREACHABLE_MARGIN = "unreachable-margin"
    NO_TRIPLET = "no-triplet"
    INACTIVE_TRIPLETS = "inactive-triplets"
    COLLAPSE = "collapse"
    LABELS_NOT_SEPARATED = "labels-not-separated"
    PACKING_DISABLED = "packing-disabled"
    UNUSED_GPUS = "unused-gpus"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class TrainingWarning:
    """A warning about a run.

    Attributes:
        kind: the kind of the warning, for programs.
        message: what is wrong and what to do, for people.
    """

    kind: WarningKind
    message: str

    def to_dict(self) -> dict[str, str]:
        """Return the warning as JSON values, for a record."""
        return {"kind": self.kind.value, "message": self.message}


def emit_warning(kind: WarningKind, message: str) -> None:
    """Send a warning to all consumers. Under several processes only the first one sends it."""
    if is_first_process():
        event = TrainingWarning(kind=kind, message=message)
        for consume in tuple(_consumers):
            consume(event)


@contextmanager
def collect_warnings() -> Iterator[list[TrainingWarning]]:
    """Collect the warnings that are emitted inside the `with` block, in order. They are logged as well.

    Example:
        >>> with collect_warnings() as collected:
        ...     emit_warning(WarningKind.NO_TRIPLET, "a batch holds no triplet")
        >>> collected[0].kind.value
        'no-triplet'
    """
    collected: list[TrainingWarning] = []
    consume = collected.append
    _consumers.append(consume)
    try:
        yield collected
    finally:
        _consumers.remove(consume)


def _log(event: TrainingWarning) -> None:
    logger.warning(event.message)


_consumers: list[Callable[[TrainingWarning], None]] = [_log]
