"""Read vectors, such as embeddings of a paid service.

.npy       an array `(n, dim)`
.parquet   a column of lists of numbers, all of the same length
"""

from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

import numpy as np

from tercet._events import WarningKind, emit_warning
from tercet._files import expand_path
from tercet._numbers import native_numbers
from tercet._texts import row_places
from tercet.data.columns.names import check_columns
from tercet.data.tables.table import repeated_column
from tercet.errors import DataError, listed, rows_have, short_repr

if TYPE_CHECKING:
    import pyarrow

_REASON_LIMIT = 500


def is_vector_file(source: object) -> bool:
    """Return whether the file of `source` can only contain vectors: its extension is .npy."""
    return isinstance(source, (str, Path)) and str(source).lower().endswith(".npy")


def read_vectors(source: str | Path, vector_column: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read vectors from a .npy or .parquet file.

    Args:
        source: the file.
        vector_column: the column of a .parquet file; None takes the only column of lists of numbers.

    Returns:
        The vectors `(n, dim)`, and bool `(n,)`: whether the vector of a row is missing. Its values are then 0.

    Raises:
        DataError: the file cannot be read or has another type, the column does not exist or has no vectors, or a vector
            has another length than the first one.
    """
    path = expand_path(source)
    if not path.is_file():
        raise DataError(f"no file {short_repr(str(source))}; check the path")
    if is_vector_file(source):
        if vector_column is not None:
            raise DataError(f"vector_column is for .parquet files; {source} is an array")
        return _read_npy(path)
    if path.suffix.lower() != ".parquet":
        raise DataError(f"{source} has an unsupported file type; vectors are read from .npy and .parquet files")
    return _read_parquet(path, vector_column)


def read_complete_vectors(source: str | Path, vector_column: str | None = None) -> np.ndarray:
    """Read vectors as `read_vectors` does. Raise `DataError` if a vector is missing, or has NaN or infinite values."""
    vectors, missing = read_vectors(source, vector_column)
    if missing.any():
        rows = np.flatnonzero(missing)
        raise DataError(
            f"{source}: {rows_have(len(rows), len(missing))} no vector ({row_places(rows.tolist())}); fill them in, or "
            "remove the rows"
        )
    check_finite(vectors, np.arange(len(vectors)), str(source))
    return vectors


def other_columns(source: str | Path, vector_column: str | None = None) -> dict[str, "pyarrow.ChunkedArray"]:
    """Return the columns of a .parquet file without that of the vectors; of a .npy file, none.

    Raises:
        DataError: another column is called `embedding`, the name of the vectors that are written.
    """
    if is_vector_file(source):
        return {}
    from pyarrow import parquet

    path = expand_path(source)
    column = _find_vector_column(parquet.read_schema(path), str(path), vector_column)
    table = parquet.read_table(path)
    names = [name for name in table.column_names if name != column]
    if "embedding" in names or len(set(names)) < len(names):
        raise DataError(f"{source} has other columns with equal names or with the name 'embedding'; write a .npy file")
    return {name: table.column(name) for name in names}


def _read_npy(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with path.open("rb") as file:  # `np.load` would also read archives and pickles.
            vectors = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path} is not a readable .npy file: {shorten(str(error), _REASON_LIMIT)}") from None
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating):
        raise DataError(
            f"{path} must have floating-point vectors (rows, dimensions), but it has {vectors.dtype} of shape "
            f"{vectors.shape}"
        )
    _check_size(vectors, str(path))
    return native_numbers(vectors), np.zeros(len(vectors), dtype=bool)


def _read_parquet(path: Path, column: str | None) -> tuple[np.ndarray, np.ndarray]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            column = _find_vector_column(schema, str(path), column)
            values = file.read(columns=[column]).column(column).combine_chunks()
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        if isinstance(error, DataError):
            raise
        if "Expected all lists to be of size" in str(error):
            raise DataError(
                f"{path}, column {short_repr(column)}: pyarrow {pyarrow.__version__} cannot read a column of vectors "
                "of a fixed size in which some are missing; update pyarrow, or write the file without these rows"
            ) from None
        raise DataError(f"{path} is not a readable Parquet file: {shorten(str(error), _REASON_LIMIT)}") from None
    if isinstance(values, pyarrow.ChunkedArray):  # A column without rows has no chunk.
        values = pyarrow.concat_arrays(values.chunks) if values.num_chunks else pyarrow.array([], values.type)
    place = f"{path}, column {short_repr(column)}"
    missing = values.is_null().to_numpy(zero_copy_only=False)
    present = values.drop_null()
    lengths = present.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    if len(lengths) == 0:
        raise DataError(f"{place}: there are no vectors; check the column")
    if (lengths != lengths[0]).any():
        number = int((lengths != lengths[0]).argmax())
        row = int(np.flatnonzero(~missing)[number])
        raise DataError(
            f"{place}, row {row}: the vector has {lengths[number]} values, but that of the first row has {lengths[0]}; "
            "all vectors must have the same length"
        )
    numbers = present.flatten()
    if numbers.null_count:
        number = int(numbers.is_null().to_numpy(zero_copy_only=False).argmax()) // int(lengths[0])
        raise DataError(f"{place}, row {int(np.flatnonzero(~missing)[number])}: a value of the vector is missing")
    flat = numbers.to_numpy(zero_copy_only=False)
    is_float = flat.dtype in (np.float16, np.float32, np.float64)
    # A view of Arrow's memory cannot be written, and torch warns of such arrays.
    flat = flat.copy() if is_float and not flat.flags.writeable else flat if is_float else flat.astype(np.float32)
    vectors = flat.reshape(len(present), int(lengths[0]))
    if missing.any():
        complete = np.zeros((len(missing), vectors.shape[1]), dtype=vectors.dtype)
        complete[~missing] = vectors
        vectors = complete
    _check_size(vectors, place)
    return vectors, missing


def _find_vector_column(schema: "pyarrow.Schema", source: str, column: str | None) -> str:
    """Return the name of the column of vectors."""
    check_columns([column], schema.names, source)
    found: list[str] = [name for name in schema.names if _is_vector(schema.field(schema.names.index(name)).type)]
    if column is None:
        if len(found) != 1:
            what = f"several columns have vectors: {listed(found)}" if found else "no column has lists of numbers"
            raise DataError(f"{source}: which column has the vectors? {what}; pass vector_column")
        return found[0]
    if schema.names.count(column) > 1:
        raise repeated_column(source, column)
    if column not in found:
        raise DataError(
            f"{source}: the column {short_repr(column)} has the type {schema.field(column).type}; a column of vectors "
            "must have lists of numbers" + (f", as {listed(found)} has" if len(found) == 1 else "")
        )
    return column


def _is_vector(kind: "pyarrow.DataType") -> bool:
    from pyarrow import types

    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(is_list and (types.is_floating(kind.value_type) or types.is_integer(kind.value_type)))


def _check_size(vectors: np.ndarray, source: str) -> None:
    if 0 in vectors.shape:
        raise DataError(f"{source}: there are no vectors: the shape is {vectors.shape}")


def check_finite(vectors: np.ndarray, kept: np.ndarray, source: str) -> None:
    """Raise `DataError` if a vector of the rows `kept` has NaN or infinite values. Warn of vectors of zeros."""
    invalid = ~np.isfinite(vectors).all(axis=1)
    invalid = np.intersect1d(np.flatnonzero(invalid), kept)
    if len(invalid):
        raise DataError(
            f"{source}: {rows_have(len(invalid), len(vectors))} a vector with NaN or infinite values "
            f"({row_places(invalid.tolist())}); remove or recompute these rows"
        )
    zero = np.intersect1d(np.flatnonzero(~vectors.any(axis=1)), kept)
    if len(zero):
        emit_warning(
            WarningKind.DOUBTFUL_DATA,
            f"{source}: {rows_have(len(zero), len(vectors))} a vector of zeros ({row_places(zero.tolist())}), which is "
            "equally near to every other vector; remove or recompute these rows",
        )
