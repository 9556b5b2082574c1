"""Emit and collect warnings about a training run. A warning has a kind for programs and a message for people.

The losses, the encoder and the trainer call `emit_warning`. One consumer logs the message of each warning.
`collect_warnings` adds a second consumer, which collects the warnings of a run for its record.
"""

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum

from tercet._distributed import is_first_process

logger = logging.getLogger("tercet")


class WarningKind(str, Enum):
    """The kinds of warnings. Records store the values, so a value must never change.

    Attributes:
        UNREACHABLE_MARGIN: the margin is not below the largest possible distance, so no triplet can satisfy it.
        SMALL_MARGIN: the margin is far below the distances of the first batch, so few or no triplets are active.
        NO_TRIPLET: a batch contains no triplet.
        INACTIVE_TRIPLETS: no mined triplet has a loss above 0 any more, so the model no longer learns.
        NOTHING_LEARNED: the run has ended without one active triplet, or with the weights that it started with.
        COLLAPSE: all embeddings have moved to nearly the same point.
        LABELS_NOT_SEPARATED: the anchors are about as far from the positives as from the negatives.
        PACKING_DISABLED: the model cannot run on packed batches, or not with the fast attention kernels of a GPU.
        UNUSED_GPUS: a process can see several GPUs but uses only one.
        CHANGED_DATA: labels were changed or rows were left out when the data were read.
        DOUBTFUL_DATA: rows are probably wrong: labels such as "N/A", texts with several labels, a label that nearly all
            rows have, texts that are all numbers, triplets in which two texts are copies, or triplets that contradict
            each other.
        UNTRAINED_PARAMETERS: a parameter of the loss gets no gradient.
        OVERLAP: at least 1 % of the evaluation rows have a text that is also in the training or reference data. Only
            a trainer that is used directly measures these rows.
        UNKNOWN_LABELS: evaluation rows have labels that are not in the training or reference data.
        TRUNCATED_TEXTS: at least 1 % of the texts have more tokens than the model reads.
        UNKNOWN_TOKENS: at least 5 % of the tokens are not in the vocabulary of the model.
        UNFAMILIAR_DATA: far more evaluation rows than expected are unlike the training rows of the classifier.
        BELOW_PROMISE: the precision of the answers to evaluation rows is below the promised one, by more than chance.
        NOT_JUDGED: the decisions of the classifier of an evaluated model cannot be judged, so they are left out.
        TRACKER_FAILED: an experiment tracker failed during the run.
        NO_CLASSIFIER: the classifier of the labels cannot be fitted, so the model is saved without it.
        RENAMED_ARGUMENT: an argument has an older name, or belongs to an older way to train.
        UNUSED_ARGUMENT: an argument has no effect, such as `eval_fraction` for data with a split to evaluate on.
        OTHER: a warning without a kind, from a record of format version 1.
    """

    UNREACHABLE_MARGIN = "unreachable-margin"
    SMALL_MARGIN = "small-margin"
    NO_TRIPLET = "no-triplet"
    INACTIVE_TRIPLETS = "inactive-triplets"
    NOTHING_LEARNED = "nothing-learned"
    COLLAPSE = "collapse"
    LABELS_NOT_SEPARATED = "labels-not-separated"
    PACKING_DISABLED = "packing-disabled"
    UNUSED_GPUS = "unused-gpus"
    CHANGED_DATA = "changed-data"
    DOUBTFUL_DATA = "doubtful-data"
    UNTRAINED_PARAMETERS = "untrained-parameters"
    OVERLAP = "overlap"
    UNKNOWN_LABELS = "unknown-labels"
    TRUNCATED_TEXTS = "truncated-texts"
    UNKNOWN_TOKENS = "unknown-tokens"
    UNFAMILIAR_DATA = "unfamiliar-data"
    BELOW_PROMISE = "below-promise"
    NOT_JUDGED = "not-judged"
    TRACKER_FAILED = "tracker-failed"
    NO_CLASSIFIER = "no-classifier"
    RENAMED_ARGUMENT = "renamed-argument"
    UNUSED_ARGUMENT = "unused-argument"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class TrainingWarning:
    """A warning about a run.

    Attributes:
        kind: the kind of the warning, for programs.
        message: the problem and its remedy, for people.
    """

    kind: WarningKind
    message: str

    def to_dict(self) -> dict[str, str]:
        """Return the warning as JSON values, for a record."""
        return {"kind": self.kind.value, "message": self.message}


def emit_warning(kind: WarningKind, message: str) -> None:
    """Send a warning to all consumers. In distributed training, only the first process sends it."""
    if is_first_process() and kind not in _left_out.get():
        event = TrainingWarning(kind=kind, message=message)
        for consume in tuple(_consumers):
            consume(event)


@contextmanager
def collect_warnings() -> Iterator[list[TrainingWarning]]:
    """Collect the warnings that are emitted inside the `with` block, in order. They are also logged.

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


@contextmanager
def without_warnings(kinds: Collection[WarningKind]) -> Iterator[None]:
    """Neither log nor collect warnings of some kinds inside the `with` block, for work that will be done again."""
    token = _left_out.set(frozenset(kinds))
    try:
        yield
    finally:
        _left_out.reset(token)


def _log(event: TrainingWarning) -> None:
    logger.warning(event.message)


_consumers: list[Callable[[TrainingWarning], None]] = [_log]
_left_out: ContextVar[frozenset[WarningKind]] = ContextVar("_left_out", default=frozenset())
