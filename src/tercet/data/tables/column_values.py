"""The values of a column of any kind: a list, a `TextColumn` or an array of pyarrow.

take_rows       returns the values of some rows
column_values   returns the values of a column of pyarrow
shared_values   returns the values as a list in which equal strings are one object
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from tercet.data.tables.text_column import TextColumn

if TYPE_CHECKING:
    import pyarrow


def take_rows(values: Any, rows: Any) -> Any:
    """Return the values of some rows: of a list as a list, of a `TextColumn` or an array of pyarrow as another one."""
    return values.take(np.asarray(rows, dtype=np.int64)) if hasattr(values, "take") else [values[row] for row in rows]


def column_values(column: "pyarrow.ChunkedArray") -> "TextColumn | list[Any]":
    """Return the values of a column of pyarrow: a `TextColumn` of strings, which are not copied, else a list."""
    return TextColumn(column.chunks) if is_text_type(column.type) else list(column.to_pylist())


def is_text_type(kind: "pyarrow.DataType") -> bool:
    """Return whether a type of pyarrow is that of strings."""
    import pyarrow

    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind))


def shared_values(values: Iterable[Any]) -> list[Any]:
    """Return the values as a list in which equal strings are one object, for a column of labels."""
    known: dict[str, str] = {}
    return [known.setdefault(value, value) if type(value) is str else value for value in values]
