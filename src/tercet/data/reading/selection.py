"""Read a table as `ReadOptions` says: choose its rows, and join columns of texts."""

import logging
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tercet._events import WarningKind, emit_warning
from tercet._texts import is_missing_value
from tercet.data.columns.labelled import find_label_column
from tercet.data.columns.level_columns import join_label_columns
from tercet.data.columns.names import check_columns, is_key
from tercet.data.reading.options import ReadOptions
from tercet.data.reading.other_files import options_of_file, options_of_labels
from tercet.data.reading.sources import read_source
from tercet.data.tables.column_values import take_rows
from tercet.data.tables.table import Columns, NoRowsError, Table
from tercet.errors import DataError, counted, listed, short_repr

logger = logging.getLogger(__name__)
_USUAL_SPLITS = ("train", "test")
# The seed of `sample`. It is fixed, so that every command sees the same rows.
_SEED = 0


class NoSplitsError(DataError):
    """An error for a split of data that have none."""


def read_data(source: Any, options: ReadOptions) -> Table:
    """Read a table, choose its rows and join its columns of texts; see `ReadOptions`.

    Args:
        source: a file, the name of a data set on the hub, a table in memory, or a table that was read.
        options: what to read.

    Raises:
        DataError: as for `read_table`; a column of `options` does not exist; or no row is left.
    """
    table = read_all(source, options)
    if table is not source:
        log_not_read(table, options)
    if options.label_file is not None:
        table = _add_labels(table, options.label_file, options, source)
    table = _join_texts(_choose_rows(table, options), options.text_column)
    if options.label_levels is None or not options.level_columns:
        return table
    return join_label_columns(table, options.level_columns, options.label_levels)


def read_all(source: Any, options: ReadOptions) -> Table:
    """Read a table with all its rows. The arguments and errors are those of `read_data`."""
    own = options_of_file(options, source, options.label_file)
    table = read_source(
        source, options.split, header=own.header, csv_separator=own.csv_separator, encoding=own.encoding
    )
    if table is not source:
        check_split(table, options)
    return table


def check_split(table: Table, options: ReadOptions) -> None:
    """Check that the source of a table, all of whose rows were read, has splits if `options` names one.

    `train` and `test` cause a warning instead of an error, because commands use and print them by default.

    Raises:
        NoSplitsError: it has none.
    """
    if table.splits or options.split_column is not None or options.split == options.optional_split:
        return
    problem = f"{table.source} has no splits, but `split` is {options.split!r}"
    if options.split in _USUAL_SPLITS:
        emit_warning(WarningKind.UNUSED_ARGUMENT, f"{problem}, which is ignored: all rows are read")
        return
    raise NoSplitsError(f"{problem}; leave out `split`, or pass `split_column`, the column with the split of each row")


def name_split(table: Table, options: ReadOptions) -> Table:
    """Return a table whose source names the split, for messages, if others are read from the same source."""
    if len(table.splits) < 2:
        return table
    return replace(table, source=f"{table.source}, split {options.split!r}")


def log_not_read(table: Table, options: ReadOptions) -> None:
    """Log which splits of the source of a table are not read, if it has several."""
    if table.not_read:
        logger.info(
            f"{table.source}: the split {options.split!r} is read; not read: {listed(table.not_read, 5)}; for another "
            "split, pass split"
        )


def _add_labels(table: Table, label_file: str, options: ReadOptions, source: Any) -> Table:
    """Add the column "label" of another file; `source` is that of the table."""
    own = options_of_labels(options, label_file, source)
    labels = read_source(label_file, header=own.header, csv_separator=own.csv_separator, encoding=own.encoding)
    column = find_label_column(labels.columns, labels.source, options.label_name)
    if len(labels) != len(table):
        raise DataError(
            f"{table.source} has {counted(len(table), 'row')}, but {labels.source} has {len(labels):,}; there must be "
            "one label for each row, in the same order"
        )
    check_same_order(table, labels, column)
    name, base = options.label_name or "label", table.columns

    def read(wanted: str) -> Sequence[Any]:
        return labels.columns[column] if wanted == name else base[wanted]

    def read_all() -> dict[str, Any]:
        return {**table.complete_columns(), name: labels.columns[column]}

    return replace(table, columns=Columns([*base, name], read, len(table), read_all, read_rows=table.read_rows))


def check_same_order(table: Table, labels: Table, label_column: str) -> None:
    """Raise `DataError` if both tables have a column of ids or texts of the same name, and a value differs."""
    for name in table.columns:
        if name not in labels.columns or name == label_column or not is_key(name):
            continue
        pairs = zip(table.columns[name], labels.columns[name], strict=True)
        row = next((row for row, (one, other) in enumerate(pairs) if str(one).strip() != str(other).strip()), None)
        if row is not None:
            raise DataError(
                f"{table.source} and {labels.source} have different values in the column {short_repr(name)} in row "
                f"{table.row_number(row)}, so their rows are in another order; sort both files, or join them"
            )


def _choose_rows(table: Table, options: ReadOptions) -> Table:
    rows: Sequence[int] = range(len(table))
    if options.split_column is not None:
        check_columns([options.split_column], list(table.columns), table.source)
        values = table.columns[options.split_column]
        rows = [row for row, value in enumerate(values) if str(value).strip() == options.split]
        if not rows:
            names = sorted({str(value).strip() for value in values})
            raise NoRowsError(
                f"{table.source}: no row has {options.split!r} in the column {short_repr(options.split_column)}; pass "
                f"split, one of {listed(names, 12)}"
            )
    if options.limit is not None:
        rows = rows[: options.limit]
    if options.sample is not None and options.sample < len(rows):
        rows = sorted(random.Random(_SEED).sample(rows, options.sample))
    if len(rows) == len(table):
        return table
    total, base, read_rows = len(table), table, table.read_rows
    source = f"{table.source} ({len(rows):,} of {total:,} rows)"
    columns = Columns(
        table.columns,
        lambda name: take_rows(base.columns[name], rows),
        len(rows),
        lambda: {name: take_rows(values, rows) for name, values in base.complete_columns().items()},
        read_rows=read_rows and (lambda name, chosen: read_rows(name, [rows[row] for row in chosen])),
    )
    lines = None if table.lines is None else [table.lines[row] for row in rows]
    places = (
        None if table.file_places is None else table.file_places.with_rows([table.file_places.rows[r] for r in rows])
    )
    numbers = [table.row_number(row) for row in rows]
    num_source_rows = total if table.num_source_rows is None else table.num_source_rows
    return replace(
        table, source=source, columns=columns, lines=lines, rows=numbers, num_source_rows=num_source_rows,
        file_places=places,
    )  # fmt: skip


def _join_texts(table: Table, text_column: str | None) -> Table:
    """Add the column "title,body" if it is the text column: the values of both, joined by a line break."""
    if text_column is None or text_column in table.columns or "," not in text_column:
        return table
    names = text_parts(text_column, table.columns)
    check_columns(names, list(table.columns), table.source)
    base = table.columns

    def read(name: str) -> Sequence[Any]:
        return _joined([base[part] for part in names]) if name == text_column else base[name]

    complete: Callable[[], Mapping[str, Any]] = table.complete_columns
    columns = Columns([*base, text_column], read, len(table), lambda: dict(complete()), read_rows=table.read_rows)
    return replace(table, columns=columns)


def text_parts(text_column: str, columns: Collection[str]) -> list[str]:
    """Return the columns that `text_column` names: a column of the table, or those of "title,body"."""
    return [text_column] if text_column in columns else [name.strip() for name in text_column.split(",")]


def _joined(columns: Sequence[Sequence[Any]]) -> list[str | None]:
    """Return the values of each row, joined by line breaks, without missing ones; None if all are missing."""
    joined = []
    for values in zip(*columns, strict=True):
        present = [str(value) for value in values if not is_missing_value(value) and str(value).strip()]
        joined.append("\n".join(present) if present else None)
    return joined
