"""The writers of CSV, TSV, JSON Lines and Parquet files.

A writer gets rows as columns: lists, or arrays of pyarrow. Values keep their types where the format has them.

    .csv, .tsv    strings as they are, lists and booleans as JSON, dates in ISO 8601; a missing value or NaN is empty
    .jsonl        JSON, dates in ISO 8601; NaN and infinite numbers are null
    .parquet      the types of the values
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tercet.data.tables.cells import as_list
from tercet.errors import DataError, short_repr

if TYPE_CHECKING:
    import pyarrow


class BinaryOutput(Protocol):
    """The target of a writer: a binary file, or anything else that takes bytes."""

    def write(self, data: bytes, /) -> int:
        """Write bytes."""


class TextOutput(Protocol):
    """The target of `row_writer`: a text file, or anything else that takes strings."""

    def write(self, text: str, /) -> int:
        """Write text."""


class _Lines:
    """Writes rows that end in a carriage return and a line feed, with a line feed instead."""

    def __init__(self, file: TextOutput) -> None:
        self._file = file

    def write(self, row: str) -> int:
        return self._file.write(row.removesuffix("\r\n") + "\n")


def row_writer(file: TextOutput, separator: str = ",") -> Any:
    """Return a `csv.writer` whose rows end in a line feed.

    Readers also end a row at a carriage return alone. Python before 3.13 encloses it in quotes only if it is a part of
    the end of a row.

    Args:
        file: a text file that translates no line breaks.
        separator: the character between two columns.
    """
    return csv.writer(_Lines(file), delimiter=separator, lineterminator="\r\n")


class SeparatedWriter:
    """A writer of separated values. The names of the columns come first."""

    def __init__(self, file: BinaryOutput, separator: str) -> None:
        self._file, self._separator, self._started = file, separator, False

    def write(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Append rows."""
        text = io.StringIO()
        rows = row_writer(text, self._separator)
        if not self._started:
            rows.writerow(columns)
        self._started = True
        rows.writerows(zip(*(map(_field, as_list(values)) for values in columns.values()), strict=True))
        # UTF-8 has no lone surrogates (halves of characters), which JSON Lines can contain.
        self._file.write(text.getvalue().encode("utf-8", errors="replace"))

    def close(self) -> None:
        """Do nothing: all rows are written."""


class JsonLinesWriter:
    """A writer of one JSON object per line."""

    def __init__(self, file: BinaryOutput) -> None:
        self._file = file

    def write(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Append rows."""
        lines = [
            _json(dict(zip(columns, row, strict=True)))
            for row in zip(*(as_list(values) for values in columns.values()), strict=True)
        ]
        self._file.write("".join(f"{line}\n" for line in lines).encode())

    def close(self) -> None:
        """Do nothing: all rows are written."""


class ParquetWriter:
    """A writer of Parquet files. It keeps all rows until `close`, because only all of them determine the types."""

    def __init__(self, file: BinaryOutput) -> None:
        self._file = file
        self._parts: dict[str, list[Sequence[Any]]] = {}

    def write(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Keep rows."""
        for name, values in columns.items():
            self._parts.setdefault(name, []).append(values)

    def close(self) -> None:
        """Write all rows.

        Raises:
            DataError: a column has values of several types.
        """
        import pyarrow

        write_parquet(pyarrow.table({name: _joined(parts, name) for name, parts in self._parts.items()}), self._file)


def write_parquet(table: "pyarrow.Table", file: BinaryOutput | Path) -> None:
    """Write a table as Parquet. Columns have a dictionary of their values, except numbers with a fraction.

    The values of embeddings hardly repeat. With a dictionary, writing 1,000 of them takes four times as long, and the
    file is larger by a third.
    """
    from pyarrow import parquet

    parquet.write_table(table, file, use_dictionary=[path for path in map(_path_of_repeated, table.schema) if path])


def _path_of_repeated(field: "pyarrow.Field") -> str:
    """Return the path of the values of a column in a Parquet file; "" for numbers with a fraction and for records."""
    from pyarrow import types

    path, kind = field.name, field.type
    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        path, kind = f"{path}.list.element", kind.value_type
    return "" if types.is_floating(kind) or types.is_nested(kind) else path


def csv_writer(file: BinaryOutput) -> SeparatedWriter:
    """Return a writer of comma-separated values."""
    return SeparatedWriter(file, ",")


def tsv_writer(file: BinaryOutput) -> SeparatedWriter:
    """Return a writer of tab-separated values."""
    return SeparatedWriter(file, "\t")


def _joined(parts: list[Sequence[Any]], name: str) -> Any:
    import pyarrow

    if not all(hasattr(part, "to_pylist") for part in parts):
        return arrow_array([value for part in parts for value in part], f"the column {short_repr(name)}")
    chunks = [chunk for part in parts for chunk in getattr(part, "chunks", [part])]
    return pyarrow.chunked_array(chunks, type=parts[0].type)  # type: ignore[attr-defined]


def arrow_array(values: Any, place: str) -> Any:
    """Return values as an array of pyarrow.

    Raises:
        DataError: they have several types; `place` names the column in the message.
    """
    import pyarrow

    if hasattr(values, "to_pylist"):
        return values
    try:
        array = pyarrow.array(values)
    except (pyarrow.ArrowException, OverflowError) as error:
        raise DataError(f"{place} cannot be written to a .parquet file ({error}); write a .jsonl file") from None
    return array.cast(pyarrow.string()) if pyarrow.types.is_null(array.type) else array


def _field(value: Any) -> Any:
    """Return a value as the field of a row of separated values."""
    if value is None or value != value:  # NaN
        return None
    if isinstance(value, (bool, list, dict)):
        return _json(value)
    return value if isinstance(value, (str, int, float)) else _text(value)


def _json(value: Any) -> str:
    value = _finite(value)
    text = json.dumps(value, ensure_ascii=False, default=_text)
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate (half of a character), which only an escape can hold
        return json.dumps(value, default=_text)
    return text


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
