"""The table whose labels are cleaned, and what to do with its incomplete rows and odd labels."""

from collections.abc import Sequence
from dataclasses import dataclass

from tercet.data.reading.options import DEFAULT_OPTIONS, ReadOptions


@dataclass(frozen=True)
class CleaningRules:
    """What to do with incomplete rows and odd labels of a table, and what messages say about the table.

    Args:
        source: the file or data set, for messages.
        options: what to do with incomplete rows, and with combined and similar labels.
        lines: the line number of each row in its file, for messages; None names the rows instead.
        incomplete: whether to keep incomplete rows, with the empty string as text or label, and to keep combined and
            similar labels apart if `options` does not say what to do with them. For an inspection, which counts them.
        fixed: whether the caller has no such options, so that a message advises to change the data.
        several_labels: whether the caller takes rows with several labels, so that a message may advise `multi_label`.
    """

    source: str
    options: ReadOptions = DEFAULT_OPTIONS
    lines: Sequence[int] | None = None
    incomplete: bool = False
    fixed: bool = False
    several_labels: bool = False
