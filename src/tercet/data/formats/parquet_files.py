"""Read Parquet files: first the schema, then the columns that are used."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from tercet.data.tables.table import AnyColumns, Columns, Content, repeated_column
from tercet.data.tables.text_column import ColumnBuilder
from tercet.errors import DataError, short_repr

if TYPE_CHECKING:
    import pyarrow

logger = logging.getLogger(__name__)

# The maximum length of an error message of pyarrow within ours, in characters.
_REASON_LIMIT = 500
# With more rows, a warning comes before they are read. A file of 200 kB can hold a hundred million equal rows.
_MANY_ROWS = 5_000_000
# The number of rows that are read at a time.
_ROWS_AT_ONCE = 50_000


def read_parquet(path: Path) -> Content:
    """Read a Parquet file. Its rows have no line numbers. A column is read when it is used."""
    schema, num_rows = read_schema(path)
    if num_rows > _MANY_ROWS:
        logger.warning(f"{path} has {num_rows:,} rows; reading them takes minutes. Use a part of them to start with")

    def read(name: str) -> Sequence[Any]:
        check_column(schema, name, path)
        return _column(path, name, schema.field(name).type, num_rows)

    return Columns(schema.names, read, num_rows, lambda: _all_columns(path)), None


def read_schema(path: Path) -> tuple["pyarrow.Schema", int]:
    """Return the schema and the number of rows of a Parquet file, without reading its rows.

    Raises:
        DataError: the file is no Parquet file.
        OSError: the file cannot be opened.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            return file.schema_arrow, file.metadata.num_rows
    except (pyarrow.ArrowException, ValueError) as error:
        raise DataError(_unreadable(path, error)) from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise DataError(_unreadable(path, error)) from None  # pyarrow raises it for some broken files


def check_column(schema: "pyarrow.Schema", name: str, path: Path) -> None:
    """Raise `DataError` if a column cannot be read: its name is that of another one, or its type is unsupported."""
    from pyarrow import types

    _check_names([other for other in schema.names if other == name], path)
    kind, inner = schema.field(name).type, _inner(schema.field(name).type)
    if not (
        _is_text(inner)
        or types.is_integer(inner)
        or types.is_floating(inner)
        or types.is_boolean(inner)
        or types.is_null(inner)
    ):
        raise DataError(f"{path}: the column {short_repr(name)} has the type {kind}; convert it to strings or integers")


def check_all_columns(schema: "pyarrow.Schema", path: Path) -> None:
    """Raise `DataError` if two columns have the same name, so that the table cannot be written again."""
    _check_names(schema.names, path)


def has_texts(schema: "pyarrow.Schema", name: str) -> bool:
    """Return whether a column has strings."""
    from pyarrow import types

    kind = schema.field(name).type
    return not types.is_nested(kind) and _is_text(_inner(kind))


def _check_names(names: Sequence[str], path: Path) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise repeated_column(path, twice[0])


def _inner(kind: "pyarrow.DataType") -> "pyarrow.DataType":
    """Return the type of the values in lists and dictionaries; of any other type, itself."""
    from pyarrow import types

    while types.is_dictionary(kind) or types.is_list(kind) or types.is_large_list(kind):
        kind = kind.value_type
    return kind


def _is_text(kind: "pyarrow.DataType") -> bool:
    return str(kind) in ("string", "large_string", "string_view")


def _all_columns(path: Path) -> AnyColumns:
    """Return all columns as arrays of pyarrow, of any type."""
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            table = file.read()
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        raise DataError(_unreadable(path, error)) from None
    check_all_columns(table.schema, path)
    return dict(zip(table.column_names, table.columns, strict=True))


def _column(path: Path, name: str, kind: "pyarrow.DataType", num_rows: int) -> Sequence[Any]:
    """Return the values of a column of strings, numbers, booleans or lists of them; strings as a `TextColumn`."""
    import pyarrow
    from pyarrow import parquet, types

    is_text = _is_text(_inner(kind))
    builder, others = ColumnBuilder(), list[Any]()
    num_read = 0
    try:
        with parquet.ParquetFile(path, memory_map=True) as file:
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=[name]):
                chunk = batch.column(0)
                if is_text and types.is_dictionary(chunk.type):
                    chunk = chunk.dictionary_decode()
                if is_text and not types.is_nested(chunk.type):
                    _check_utf8(chunk, path, name, num_read)
                    builder.append_array(chunk.cast(pyarrow.string()))
                else:
                    others += _to_list(chunk, path, name, num_read)
                num_read += len(chunk)
    except DataError:
        raise
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        raise DataError(_unreadable(path, error)) from None
    values = builder.column() if is_text and not types.is_nested(kind) else others
    if len(values) != num_rows:
        raise DataError(
            f"{path} is damaged: the column {short_repr(name)} has {len(values):,} values, but the file should have "
            f"{num_rows:,} rows"
        )
    return values


def _check_utf8(chunk: "pyarrow.Array", path: Path, name: str, before: int) -> None:
    """Raise `DataError` if a string is not UTF-8; `before` is the number of rows before the chunk."""
    import pyarrow

    try:
        chunk.validate(full=True)
    except pyarrow.ArrowInvalid:
        raise _not_utf8(path, name, before + _first_invalid(chunk)) from None


def _to_list(chunk: "pyarrow.Array", path: Path, name: str, before: int) -> list[Any]:
    try:
        return list(chunk.to_pylist())
    except UnicodeDecodeError:
        raise _not_utf8(path, name, before + _first_invalid(chunk)) from None


def _not_utf8(path: Path, name: str, row: int) -> DataError:
    return DataError(
        f"{path}, row {row}: the column {short_repr(name)} is not UTF-8; write the file again with strings in UTF-8"
    )


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
