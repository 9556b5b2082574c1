"""Write tables in parts, in the format of a file extension. `writers.py` has a writer for each format."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tercet.catalogue import FILE_FORMATS, resolve
from tercet.data.writers import BinaryOutput, arrow_array
from tercet.errors import DataError, listed, short_repr


class TableWriter(Protocol):
    """A writer of the rows of one table."""

    def write(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Append rows. Each call has the same columns."""

    def close(self) -> None:
        """Write what is left. The file itself stays open."""


def writable_suffixes() -> list[str]:
    """Return the file extensions of the formats that can be written."""
    return [suffix for suffix, spec in FILE_FORMATS.items() if spec.writer is not None]


def find_suffix(path: Path, argument: str = "output") -> str:
    """Return the file extension of a path that determines how it is written.

    Raises:
        DataError: the format is unknown or cannot be written; `argument` names the value in the message.
    """
    suffixes = [suffix for suffix in writable_suffixes() if path.name.lower().endswith(suffix)]
    if not suffixes:
        raise DataError(f"{argument} must end in {' or '.join(writable_suffixes())}, got {str(path)!r}")
    return max(suffixes, key=len)


def open_writer(suffix: str, file: BinaryOutput) -> TableWriter:
    """Return a writer of the format with this file extension, which writes into `file`."""
    writer: TableWriter = resolve(FILE_FORMATS[suffix].writer)(file)
    return writer


def prepare_columns(columns: Mapping[str, Any], suffix: str, source: str) -> dict[str, Any]:
    """Return columns that the format can hold, before the work. For `.parquet`, lists become arrays of pyarrow.

    Raises:
        DataError: a column has values of several types, or binary values, which the format cannot hold.
    """
    if suffix == ".parquet":
        return {
            name: arrow_array(values, f"{source}: the column {short_repr(name)}") for name, values in columns.items()
        }
    if binary := [name for name, values in columns.items() if _is_binary(values)]:
        raise DataError(f"{source}: binary values, as in the column {listed(binary, 1)}, need a .parquet file")
    return dict(columns)


def _is_binary(values: Any) -> bool:
    if isinstance(values, list):
        return any(isinstance(value, bytes) for value in values)
    return "binary" in str(getattr(values, "type", ""))
