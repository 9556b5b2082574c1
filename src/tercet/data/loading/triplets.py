"""Read triplets."""

from typing import TYPE_CHECKING, Any

import numpy as np

from tercet._texts import validate_texts
from tercet.data.cleaning.incomplete_rows import complete_rows
from tercet.data.columns.content import check_texts_in
from tercet.data.columns.names import log_unused
from tercet.data.columns.triplets import find_triplet_columns
from tercet.data.labels.doubts import warn_of_doubtful_triplets
from tercet.data.reading.options import DEFAULT_OPTIONS, ReadOptions
from tercet.data.reading.selection import read_data
from tercet.data.tables.column_values import take_rows
from tercet.data.tables.dataset_columns import dataset_of
from tercet.data.tables.text_column import TextColumn
from tercet.errors import DataError, listed

if TYPE_CHECKING:
    from datasets import Dataset

    from tercet.data.reading.sources import Source


def load_triplets(source: "Source", options: ReadOptions = DEFAULT_OPTIONS) -> "Dataset":
    """Read triplets into a data set with the columns `anchor`, `positive` and `negative`. Log unused columns.

    Args:
        source: a file, the name of a data set on the hub, or a table in memory, see `tercet.data.reading.in_memory`.
        options: the split to read, and whether to leave out incomplete rows. The names of the columns are fixed and
            there are no labels, so the options for columns and labels must be None.

    Raises:
        DataError: `source` cannot be read or has another type, `options` names a text or label column, a column is
            missing, or a row is invalid. The message names the place.
    """
    return read_triplets(source, options)[0]


def read_triplets(source: "Source", options: ReadOptions) -> "tuple[Dataset, np.ndarray]":
    """Return the triplets, and the number of each one's row in the table, int64 `(num_triplets,)`."""
    of_labels = ("label_file", "label_levels", "multi_label", "combined_labels", "similar_labels")
    if given := [name for name in of_labels if getattr(options, name) is not None]:
        raise DataError(f"triplets have no labels; pass no {' and no '.join(given)} with the triplet loss")
    table = read_data(source, options)
    names = find_triplet_columns(table.columns, table.source)
    if options.text_column is not None or options.label_column is not None:
        raise DataError(
            "the triplet loss reads the columns anchor, positive and negative; pass no text_column and no label_column"
        )
    log_unused(table.columns, names, table.source)
    columns: dict[str, Any] = {name: table.columns[name] for name in names}
    lines, kept = table.places, np.arange(len(table))
    if options.drop_missing is not False:
        kept = np.array(complete_rows(list(columns.values()), table.source, lines), dtype=np.int64)
        columns = {name: take_rows(values, kept) for name, values in columns.items()}
        lines = table.places_of(kept)
    for name, values in columns.items():
        validate_texts(values, f"{table.source}, {name}", lines)
        check_texts_in(table, name, remedy=f"rename the columns to {listed(names)}")
    texts = {name: TextColumn.of(values) for name, values in columns.items()}
    warn_of_doubtful_triplets(texts, table.source, lines)
    rows = kept if table.rows is None else np.array(table.rows, dtype=np.int64)[kept]
    return dataset_of(texts), rows
