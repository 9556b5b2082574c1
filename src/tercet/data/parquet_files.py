"""Read Parquet files: first the schema, then the columns that are used."""

import logging
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from tercet.data.table import AnyColumns, Columns, Content
from tercet.errors import DataError, short_repr

if TYPE_CHECKING:
    import pyarrow

logger = logging.getLogger(__name__)

# The maximum length of an error message of pyarrow within ours, in characters.
_REASON_LIMIT = 500
# With more rows, a warning comes before they are read. A file of 200 kB can hold a hundred million equal rows.
_MANY_ROWS = 5_000_000


def read_parquet(path: Path) -> Content:
    """Read a Parquet file. Its rows have no line numbers. A column is read when it is used."""
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            schema, num_rows = file.schema_arrow, file.metadata.num_rows
    except (pyarrow.ArrowException, ValueError) as error:
        raise DataError(_unreadable(path, error)) from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise DataError(_unreadable(path, error)) from None  # pyarrow raises it for some broken files
    if num_rows > _MANY_ROWS:
        logger.warning(
            f"{path} has {num_rows:,} rows; reading them takes minutes and gigabytes. Use a part of them to start with"
        )

    def read(name: str) -> list[Any]:
        if len(schema.get_all_field_indices(name)) > 1:
            raise DataError(f"{path}: several columns have the same name: {short_repr(name)}; rename them")
        return _column(path, name, schema.field(name).type, num_rows)

    return Columns(schema.names, read, num_rows, lambda: _all_columns(path)), None


def _all_columns(path: Path) -> AnyColumns:
    """Return all columns as arrays of pyarrow, of any type."""
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            table = file.read()
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        raise DataError(_unreadable(path, error)) from None
    names = table.column_names
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"{path}: several columns have the same name: {short_repr(twice[0])}; rename them")
    return dict(zip(names, table.columns, strict=True))


def _column(path: Path, name: str, kind: "pyarrow.DataType", num_rows: int) -> list[Any]:
    """Return the values of a column of strings, numbers, booleans or lists of them."""
    import pyarrow
    from pyarrow import parquet, types

    inner = kind
    while types.is_dictionary(inner) or types.is_nested(inner):
        if not (types.is_dictionary(inner) or types.is_list(inner) or types.is_large_list(inner)):
            break
        inner = inner.value_type
    is_text = str(inner) in ("string", "large_string", "string_view")
    if not (
        is_text
        or types.is_integer(inner)
        or types.is_floating(inner)
        or types.is_boolean(inner)
        or types.is_null(inner)
    ):
        raise DataError(f"{path}: the column {short_repr(name)} has the type {kind}; convert it to strings or integers")
    try:
        # As a dictionary, equal strings are decoded once.
        with parquet.ParquetFile(path, read_dictionary=[name] if inner is kind and is_text else None) as file:
            column = file.read(columns=[name]).column(name)
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        raise DataError(_unreadable(path, error)) from None
    values: list[Any] = []
    for chunk in column.chunks:
        try:
            if types.is_dictionary(chunk.type):
                entries = [*chunk.dictionary.to_pylist(), None]
                values += [entries[index] for index in chunk.indices.fill_null(len(entries) - 1).to_pylist()]
            else:
                values += chunk.to_pylist()
        except UnicodeDecodeError:
            raise DataError(
                f"{path}, row {len(values) + _first_invalid(chunk)}: the column {short_repr(name)} is not UTF-8; "
                "write the file again with strings in UTF-8"
            ) from None
    if len(values) != num_rows:
        raise DataError(
            f"{path} is damaged: the column {short_repr(name)} has {len(values):,} values, but the file should have "
            f"{num_rows:,} rows"
        )
    return values


def _first_invalid(chunk: "pyarrow.Array") -> int:
    """Return the number of the first value that is not UTF-8."""
    for row, value in enumerate(chunk):
        try:
            value.as_py()
        except UnicodeDecodeError:
            return row
    raise AssertionError("all values are UTF-8")


def _unreadable(path: Path, error: Exception) -> str:
    return f"{path} is not a readable Parquet file: {shorten(str(error), _REASON_LIMIT)}"
