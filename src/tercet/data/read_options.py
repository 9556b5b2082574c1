"""The options of reading labelled data."""

from dataclasses import dataclass
from pathlib import Path

from tercet.errors import DataError, listed, short_repr

COMBINED_LABELS = ("keep", "first", "drop")
SIMILAR_LABELS = ("merge", "keep")


@dataclass(frozen=True)
class ReadOptions:
    """How to read a table, and what to do with labels that are probably not what they seem.

    Args:
        text_column: the column of sentences; None takes the column with a usual name, such as `text` or `sentence`.
        label_column: the column of labels; None takes the column with a usual name, such as `label` or `intent`.
        split: the split of a data set on the hub. It is ignored for files and for data sets in memory.
        header: whether the first line of a .csv or .tsv file contains the column names. If False, the columns are named
            "0", "1" and so on. None reads the names from the first line, unless it looks like data.
        combined_labels: what to do with cells that contain several labels, such as "billing|refund": `keep` uses each
            combination as a label of its own, `first` uses the first label, `drop` leaves the rows out. None raises an
            error.
        similar_labels: what to do with labels that differ only in case, spaces, punctuation or form of a number,
            such as "Billing" and "billing": `merge` uses the most frequent form, `keep` keeps them apart. None raises
            an error.
        drop_missing: whether to leave out rows without a text or a label. If False, they are an error.

    Raises:
        DataError: `combined_labels` or `similar_labels` has another value.
    """

    text_column: str | None = None
    label_column: str | None = None
    split: str = "train"
    header: bool | None = None
    combined_labels: str | None = None
    similar_labels: str | None = None
    drop_missing: bool = False

    def __post_init__(self) -> None:
        for name, choices in (("combined_labels", COMBINED_LABELS), ("similar_labels", SIMILAR_LABELS)):
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise DataError(f"{name} must be one of {listed(choices)}, got {short_repr(value)}")


def is_vector_file(source: object) -> bool:
    """Return whether the file of `source` can only contain vectors: its extension is .npy."""
    return isinstance(source, (str, Path)) and str(source).lower().endswith(".npy")
