"""Columns of strings in Arrow: in memory if they are small, else in a temporary file that is mapped into memory.

TextColumn      a sequence of strings; Python strings exist only for the part that is read
ColumnBuilder   makes a `TextColumn` of values that arrive in parts
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tercet.data.tables.column_file import ColumnFile
from tercet.data.tables.text_hashes import hash_texts

if TYPE_CHECKING:
    import pyarrow

# The number of values that are Python objects at a time.
PART = 10_000
# Larger columns are written to a file. Below, a file would be slower than memory.
_MAX_BYTES = 64 << 20
Rows = Sequence[int] | np.ndarray


class TextColumn(Sequence[Any]):
    """A read-only sequence of strings in Arrow, of which some may be None. A slice of it is a list.

    Args:
        chunks: the arrays of strings of pyarrow, one after the other.
        file: the file that the arrays are mapped from; None for arrays in memory.
        rows: int64 `(n,)`, the numbers of the values in the arrays that the column has; None for all.

    Example:
        >>> column = TextColumn.of(["a goal", "a soup", "a match"]).take([2, 0])
        >>> len(column), column[0], list(column)
        (2, 'a match', ['a match', 'a goal'])
    """

    def __init__(
        self, chunks: Sequence["pyarrow.Array"], file: "ColumnFile | None" = None, rows: np.ndarray | None = None
    ) -> None:
        self.chunks, self.file, self.rows = chunks, file, rows
        self._starts = np.concatenate(([0], np.cumsum([len(chunk) for chunk in chunks], dtype=np.int64)))

    @classmethod
    def of(cls, values: Iterable[str | None]) -> "TextColumn":
        """Return the column of strings. A column is returned as it is."""
        if isinstance(values, TextColumn):
            return values
        builder = ColumnBuilder()
        builder.extend(values)
        column = builder.column()
        if not isinstance(column, TextColumn):
            raise TypeError("the values are not all strings")
        return column

    def __len__(self) -> int:
        return int(self._starts[-1]) if self.rows is None else len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._values(np.arange(len(self))[index])
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of a column with {len(self)} rows")
        return self._values(np.array([index % len(self)]))[0]

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self), PART):
            yield from self._values(np.arange(start, min(start + PART, len(self))))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"TextColumn({len(self):,} rows, {self[:3]}…)"

    def copy(self) -> "TextColumn":
        """Return a column with the same values and nothing else in its arrays."""
        if self.rows is None:
            return self
        builder = ColumnBuilder()
        builder.extend_column(self)
        column = builder.column()
        assert isinstance(column, TextColumn)
        return column

    @property
    def is_small(self) -> bool:
        """True if the arrays are in memory, and few."""
        return self.file is None and sum(chunk.nbytes for chunk in self.chunks) <= _MAX_BYTES

    def take(self, rows: Rows) -> "TextColumn":
        """Return the values of some rows. They are not copied."""
        rows = np.asarray(rows, dtype=np.int64)
        if len(rows) == len(self) and (rows == np.arange(len(self))).all():
            return self
        taken = TextColumn(self.chunks, self.file, rows if self.rows is None else self.rows[rows])
        if "hashes" in self.__dict__:
            taken.__dict__["hashes"] = self.hashes[rows]
        return taken

    @cached_property
    def hashes(self) -> np.ndarray:
        """The hash of each text, see `hash_texts`, uint64 `(n,)`; None has that of the empty text."""
        parts = [hash_texts(self[start : start + PART]) for start in range(0, len(self), PART)]
        return np.concatenate(parts) if parts else np.empty(0, dtype="<u8")

    def _values(self, positions: np.ndarray) -> list[Any]:
        """Return the values at these positions of the column."""
        rows = positions if self.rows is None else self.rows[positions]
        order = None if (rows[1:] >= rows[:-1]).all() else np.argsort(rows, kind="stable")
        ordered = rows if order is None else rows[order]
        found: list[Any] = []
        chunk_of = np.searchsorted(self._starts, ordered, side="right") - 1
        bounds = np.flatnonzero(np.diff(chunk_of, prepend=-1, append=-1)).tolist()
        for start, stop in pairwise(bounds):
            number = chunk_of[start]
            inside = ordered[start:stop] - self._starts[number]
            chunk = self.chunks[number]
            is_slice = bool((np.diff(inside) == 1).all())
            found += (chunk.slice(int(inside[0]), len(inside)) if is_slice else chunk.take(inside)).to_pylist()
        if order is None:
            return found
        values: list[Any] = [None] * len(found)
        for position, value in zip(order.tolist(), found, strict=True):
            values[position] = value
        return values

    def __reduce__(self) -> Any:
        return TextColumn.of, (list(self),)


class ColumnBuilder:
    """A column of values that arrive in parts. It is a `TextColumn` unless a value is neither a string nor None."""

    def __init__(self) -> None:
        self._chunks: list[pyarrow.Array] = []
        self._bytes = 0
        self._file: ColumnFile | None = None
        self._others: list[Any] | None = None

    def extend(self, values: Iterable[Any]) -> None:
        """Append values."""
        values = list(values)
        for start in range(0, len(values), PART):
            self._append(values[start : start + PART])

    def extend_column(self, values: Sequence[Any]) -> None:
        """Append the values of a column."""
        if self._others is None and isinstance(values, TextColumn) and values.rows is None:
            for chunk in values.chunks:
                self.append_array(chunk.cast("string"))
        else:
            for start in range(0, len(values), PART):
                self.extend(values[start : start + PART])

    def append_array(self, chunk: "pyarrow.Array") -> None:
        """Append an array of strings."""
        self._bytes += chunk.nbytes
        if self._file is None and self._bytes > _MAX_BYTES:
            self._file = ColumnFile()
            for earlier in self._chunks:
                self._file.write(earlier)
            self._chunks = []
        if self._file is None:
            self._chunks.append(chunk)
        else:
            self._file.write(chunk)

    def column(self) -> "TextColumn | list[Any]":
        """Return the column: a list if it has other values than strings and None."""
        if self._others is not None:
            return self._others
        return TextColumn(self._chunks if self._file is None else self._file.read(), self._file)

    def _append(self, values: list[Any]) -> None:
        import pyarrow

        if self._others is None:
            try:
                self.append_array(pyarrow.array(values, pyarrow.string()))
                return
            except (pyarrow.ArrowException, TypeError, UnicodeEncodeError):  # another type, or half of a character
                self._others = list(self.column())
                self._file = None
        self._others += values
