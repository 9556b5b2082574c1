"""Read vectors and their labels.

The labels are a column of the file of vectors, or of another file. A row without a vector, with one of another length
or with NaN is an error that names the row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from tercet._events import WarningKind, emit_warning
from tercet._texts import row_places
from tercet.data.cleaning.cleaning import clean_rows
from tercet.data.cleaning.resolving import match_labels
from tercet.data.cleaning.rules import CleaningRules
from tercet.data.columns.labelled import find_label_column
from tercet.data.formats.vector_files import check_finite, is_vector_file, read_vectors
from tercet.data.labels.labelled_sentences import LabelledSentences
from tercet.data.labels.numbering import number_labels
from tercet.data.labels.set_counts import check_several
from tercet.data.loading.labelled import with_lists
from tercet.data.reading.options import DEFAULT_OPTIONS, ReadOptions
from tercet.data.reading.selection import check_same_order
from tercet.data.reading.sources import read_table
from tercet.errors import DataError, counted, rows_have


@dataclass(frozen=True)
class LabelledVectors:
    """Vectors and their labels.

    Attributes:
        vectors: `(n, dim)`, floating-point.
        rows: the label ids and names. The sentence of a row is a key of its vector; equal vectors have the same key.
    """

    vectors: np.ndarray
    rows: LabelledSentences

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, rows: Sequence[int] | np.ndarray) -> "LabelledVectors":
        """Return the given rows, in the given order. Label ids and names do not change."""
        return LabelledVectors(self.vectors[rows], self.rows.take(rows))


def load_vectors(
    source: str | Path,
    options: ReadOptions = DEFAULT_OPTIONS,
    *,
    vector_column: str | None = None,
    label_file: str | Path | None = None,
    known_labels: Sequence[str] | None = None,
    known_from: str = "the training data",
) -> LabelledVectors:
    """Read vectors and their labels, clean the labels (see `ReadOptions`) and number them.

    Args:
        source: a .npy or .parquet file.
        options: the column of the labels, how to read their file, and what to do with labels that are probably not what
            they seem. Rows without a vector are treated as `drop_missing` says, too.
        vector_column: the column of the vectors of a .parquet file.
        label_file: a file with the labels in the order of the vectors; None reads them from `source`.
        known_labels: the label names of other data, such as the training data; see `load_labelled`.
        known_from: the other data, for messages.

    Raises:
        DataError: a file cannot be read, a column is not found, the vectors are invalid, the numbers of labels and
            vectors differ, or the labels are invalid. The message names the row.
    """
    if options.level_columns:
        raise DataError("vectors take the levels of a label from one column; pass one label_column and label_levels")
    if label_file is None and is_vector_file(source):
        raise DataError(f"{source} has vectors only; pass label_file, a file with a label for each row, in their order")
    vectors, missing = read_vectors(source, vector_column)
    table = read_table(
        source if label_file is None else label_file,
        header=options.header,
        csv_separator=options.csv_separator,
        encoding=options.encoding,
    )
    columns = [name for name in table.columns if label_file is not None or name != vector_column]
    column = find_label_column(columns, table.source, options.label_name)
    if len(table) != len(vectors):
        raise DataError(
            f"{source} has {counted(len(vectors), 'vector')}, but {table.source} has {counted(len(table), 'label')}; "
            "there must be one label per vector, in the same order"
        )
    if label_file is not None and not is_vector_file(source):
        check_same_order(read_table(source), table, column)
    kept = _complete(missing, str(source), options)
    check_finite(vectors, kept, str(source))
    lines = table.places_of(kept)
    labels = [table.columns[column][row] for row in kept]
    options = with_lists(labels, column, table.source, options)
    rules = CleaningRules(table.source, options, lines, several_labels=True)
    clean = clean_rows(["vector"] * len(kept), labels, rules)
    kept = kept[clean.rows]
    lines = table.places_of(kept)
    values = clean.labels
    if known_labels is not None:
        names = [str(value) for value in values]
        values = match_labels(names, known_labels, known_from, rules, multi_label=options.multi_label)
    label_ids, label_names = number_labels(values, table.source, lines)
    if known_labels is None and options.multi_label is not None:
        check_several(label_names, options.multi_label, table.source)
    vectors = vectors if len(kept) == len(vectors) else vectors[kept]
    rows = LabelledSentences(vector_keys(vectors), label_ids, label_names, kept, multi_label=options.multi_label)
    return LabelledVectors(vectors, rows)


def vector_keys(vectors: np.ndarray) -> list[str]:
    """Return a key of each row `(n, dim)`. Equal rows have the same key, and different rows have different keys."""
    rows = np.ascontiguousarray(vectors)
    return [blake2b(row.tobytes(), digest_size=16).hexdigest() for row in rows]


def _complete(missing: np.ndarray, source: str, options: ReadOptions) -> np.ndarray:
    """Return the numbers of the rows with a vector."""
    rows = np.flatnonzero(missing)
    if len(rows):
        message = f"{source}: {rows_have(len(rows), len(missing))} no vector ({row_places(rows.tolist())})"
        if options.drop_missing is False or len(rows) == len(missing):
            raise DataError(f"{message}; fill them in, or pass drop_missing=True to leave the rows out")
        emit_warning(WarningKind.CHANGED_DATA, f"{message}; these rows are left out")
    return np.flatnonzero(~missing)
