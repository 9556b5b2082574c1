"""Warnings about a training run, as typed events: a kind to act on, and a message to read.

Losses, encoder and trainer call `emit_warning`. Consumers receive each event: one logs the message, and
`collect_warnings` keeps the events of a run for its record.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from tercet._distributed import is_first_process

logger = logging.getLogger("tercet")


class WarningKind(str, Enum):
    """What a warning is about; the values are written to records."""

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
    """A warning about a run: its kind, and a sentence that names the remedy."""

    kind: WarningKind
    message: str


def emit_warning(kind: WarningKind, message: str) -> None:
    """Send a warning to all consumers, from the first process alone."""
    if is_first_process():
        event = TrainingWarning(kind=kind, message=message)
        for consume in tuple(_consumers):
            consume(event)


@contextmanager
def collect_warnings() -> Iterator[list[TrainingWarning]]:
    """Collect the warnings that are emitted in the block, in their order; they are logged as well."""
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
