"""The input of `tercet classify` and `encode`: a table with all its columns, or sentences as they arrive."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tercet.cli.console import print_note
from tercet.data.cleaning.messages import REMEDY
from tercet.data.reading.options import ReadOptions
from tercet.data.reading.standard_input import STANDARD_INPUT
from tercet.data.tables.table import Table
from tercet.errors import DataError, listed

# Number of rows that are classified and written together: a window of `SentenceTransformer.encode`.
_ROWS_AT_ONCE = 4096
_REMEDY_FOR_ARRAY = (
    "an array has a vector for each row, so fill them in, remove the rows, or write a .parquet file, which leaves them "
    "out and has the columns of the others"
)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Some rows of the input.

    Attributes:
        texts: the sentences.
        columns: all columns of the input, lists or arrays of pyarrow.
        labels: the given label of each row, None for a missing one; None without a label column.
        has_integer_labels: whether all labels of the input are integers.
    """

    texts: list[str]
    columns: Mapping[str, Any]
    labels: list[Any] | None = None
    has_integer_labels: bool = False


def open_input(data: str, options: ReadOptions, suffix: str) -> "StandardInput | TableInput":
    """Return the input. A table is read and checked as a whole, standard input only when its parts are used.

    Args:
        data: a file, the name of a data set on the hub, or `-` for standard input.
        options: how to read a table.
        suffix: the file extension of the output, which must be able to hold the columns.

    Raises:
        DataError: the table cannot be read or has a row without a text, or an option for tables is given with `-`.
    """
    if data == STANDARD_INPUT:
        if options != ReadOptions():
            raise DataError(
                "standard input has one sentence per line and no columns; leave out the options for columns and rows, "
                "or write a file"
            )
        return StandardInput()
    return read_table_input(data, options, suffix)


class StandardInput:
    """Sentences from standard input, one per line. A part has the lines that have arrived."""

    source, names, num_rows, label_column = "standard input", ["text"], None, None

    def __init__(self) -> None:
        if sys.stdin is None:
            raise DataError("standard input is closed; pass a file")

    def parts(self, label_levels: str | None = None) -> Iterator[Rows]:
        """Yield the lines as they arrive, without empty ones. They have no labels, and so no levels."""
        from tercet.data.reading.lines import read_lines

        if sys.stdin.isatty():
            print_note("type one sentence per line; Ctrl-D ends the input")
        for texts in read_lines(sys.stdin.fileno(), self.source):
            yield Rows(texts=texts, columns={"text": texts})


@dataclass(frozen=True, kw_only=True)
class TableInput:
    """A table that was read.

    Attributes:
        source: the file or data set, for messages.
        texts: the sentences.
        columns: all columns, lists or arrays of pyarrow.
        text_column: the column of the sentences, or several with commas.
        label_column: the column of given labels; None if there is none.
        label_cells: the values of this column.
    """

    source: str
    texts: list[str]
    columns: Mapping[str, Any]
    text_column: str
    label_column: str | None
    label_cells: Sequence[Any] | None

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return list(self.columns)

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return len(self.texts)

    def parts(self, label_levels: str | None = None) -> Iterator[Rows]:
        """Yield all rows in order. With `label_levels`, each list of levels is one label, such as "billing/refund"."""
        labels = self._labels(label_levels)
        has_integers = {type(label) for label in labels or () if label is not None} == {int}
        for start in range(0, len(self.texts), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            yield Rows(
                texts=self.texts[rows],
                columns={name: values[rows] for name, values in self.columns.items()},
                labels=None if labels is None else labels[rows],
                has_integer_labels=has_integers,
            )

    def _labels(self, label_levels: str | None) -> list[Any] | None:
        """Return the given label of each row, None for a missing one; None without a label column.

        With `label_levels`, a cell that is not a path is its text, a label that the classifier does not know.
        """
        if self.label_cells is None:
            return None
        cells = self.label_cells
        from tercet.data.cleaning.label_forms import trim_labels
        from tercet.data.columns.level_columns import join_label_lists
        from tercet.data.tables.cells import plain_values

        if label_levels is not None:
            cells = join_label_lists(cells, label_levels, self.source, invalid=str)
        return trim_labels(plain_values(cells))[0]


@dataclass(frozen=True, kw_only=True)
class FoundRows:
    """The rows of a table that have a text. Only the columns that are needed to find them were read.

    Attributes:
        table: the table.
        text_column: the column of the sentences, or several with commas.
        label_column: the column of given labels; None if there is none.
        kept: the numbers of the rows that have a text.
        texts: the texts of these rows.
    """

    table: Table
    text_column: str
    label_column: str | None
    kept: Sequence[int]
    texts: list[str]


def find_rows(data: str, options: ReadOptions, *, with_labels: bool = True, remedy: str = REMEDY) -> FoundRows:
    """Find the columns of a table and the rows that have a text. The arguments are those of `read_table_input`.

    The error for rows without a text says to do what `remedy` says.

    Raises:
        DataError: as for `open_input`.
        NoTextError: no row has a text.
        NoRowsError: no row is one of the split.
    """
    from tercet.data.cleaning.incomplete_rows import texts_of_rows
    from tercet.data.columns.guessing import find_text
    from tercet.data.columns.labelled import find_given_labels
    from tercet.data.reading.selection import read_data

    table = read_data(data, options)
    text = find_text(table, options.text_column)
    others = [name for name in table.columns if name != text]
    label = find_given_labels(others, table.source, options.label_name) if with_labels else None
    kept, texts = texts_of_rows(table, text, drop_missing=options.drop_missing, remedy=remedy)
    return FoundRows(table=table, text_column=text, label_column=label, kept=kept, texts=texts)


def read_table_input(data: str, options: ReadOptions, suffix: str, *, with_labels: bool = True) -> TableInput:
    """Read a table with all its columns, without rows that have no text. The arguments are those of `open_input`.

    Raises:
        DataError: as for `find_rows`, with the same subclasses.
    """
    from tercet.data.tables.column_values import take_rows
    from tercet.data.writing import prepare_columns

    remedy = _REMEDY_FOR_ARRAY if suffix == ".npy" else REMEDY
    found = find_rows(data, options, with_labels=with_labels, remedy=remedy)
    table, kept, label = found.table, found.kept, found.label_column
    columns = prepare_columns(table.complete_columns(), suffix, table.source)
    if len(kept) < len(table):
        columns = {name: take_rows(values, kept) for name, values in columns.items()}
    return TableInput(
        source=table.source,
        texts=found.texts,
        columns=columns,
        text_column=found.text_column,
        label_column=label,
        label_cells=None if label is None else take_rows(table.columns[label], kept),
    )


def check_new_names(names: list[str], added: list[str], source: str) -> None:
    """Raise `DataError` if the input already has a column with the name of one that is added."""
    if taken := [name for name in added if name in names]:
        plural = "columns" if len(taken) > 1 else "column"
        raise DataError(
            f"{source} already has the {plural} {listed(taken)}, which would be added; rename or remove "
            f"{'them' if len(taken) > 1 else 'it'}"
        )
