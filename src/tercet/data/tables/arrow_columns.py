"""Columns in Arrow: in memory if they are small, else in a temporary file that is mapped into memory.

TextColumn      a sequence of strings; Python strings exist only for the part that is read
ColumnBuilder   makes a `TextColumn` of values that arrive in parts
column_values   returns the values of a column of pyarrow
take_rows       returns the values of some rows of any column
shared_values   returns the values as a list in which equal strings are one object
texts_of        returns a column of a `datasets.Dataset` as a `TextColumn`
integers_of     returns a column of a `datasets.Dataset` as an array of integers
dataset_of      returns a `datasets.Dataset` of columns, which are not copied
renamed         returns some columns of a `datasets.Dataset` under new names
label_ids_of    returns the column `label` of a prepared `datasets.Dataset`
remember_texts  keeps the column of a data set, so that its texts are hashed once
select_rows     returns some rows of a `datasets.Dataset`
add_labels      adds label ids to a `datasets.Dataset` of texts, which are not copied
"""

import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from weakref import WeakKeyDictionary

import numpy as np

from tercet.data.tables.text_hashes import hash_texts
from tercet.errors import DataError

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

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


class ColumnFile:
    """A temporary file with an Arrow table of one column, which is removed with this object, at the latest at the exit.

    Raises:
        DataError: the file cannot be written.
    """

    def __init__(self, name: str = "text") -> None:
        import pyarrow

        self.name = name
        try:
            handle, path = tempfile.mkstemp(prefix="tercet-", suffix=".arrow")
            os.close(handle)
            self.path = Path(path)
            self._remove = weakref.finalize(self, _remove, path, os.getpid())
            self._sink = pyarrow.OSFile(path, "wb")
        except OSError as error:
            raise self._error(error) from None
        self._writer: Any = None

    def write(self, chunk: "pyarrow.Array") -> None:
        """Append an array."""
        import pyarrow

        batch = pyarrow.record_batch([chunk], names=[self.name])
        try:
            if self._writer is None:
                self._writer = pyarrow.ipc.new_stream(self._sink, batch.schema)
            self._writer.write_batch(batch)
        except OSError as error:
            raise self._error(error) from None

    def read(self) -> "list[pyarrow.Array]":
        """Close the file, and return its arrays, mapped into memory."""
        import pyarrow

        try:
            self._writer.close()
            self._sink.close()
            table = pyarrow.ipc.open_stream(pyarrow.memory_map(str(self.path))).read_all()
        except OSError as error:
            raise self._error(error) from None
        return list(table.column(0).chunks)

    def _error(self, error: OSError) -> DataError:
        return DataError(
            f"large columns are kept in a temporary file, which cannot be written in {tempfile.gettempdir()}: "
            f"{error.strerror or error}; free space there, or name another folder in the environment variable TMPDIR"
        )


def _remove(path: str, process: int) -> None:
    if os.getpid() == process:  # A forked process has the same object.
        with suppress(PermissionError):  # Windows keeps a file that is still mapped.
            Path(path).unlink(missing_ok=True)


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


def take_rows(values: Any, rows: Any) -> Any:
    """Return the values of some rows: of a list as a list, of a `TextColumn` or an array of pyarrow as another one."""
    return values.take(np.asarray(rows, dtype=np.int64)) if hasattr(values, "take") else [values[row] for row in rows]


def column_values(column: "pyarrow.ChunkedArray") -> "TextColumn | list[Any]":
    """Return the values of a column of pyarrow: a `TextColumn` of strings, which are not copied, else a list."""
    return TextColumn(column.chunks) if _is_text(column.type) else list(column.to_pylist())


def _is_text(kind: "pyarrow.DataType") -> bool:
    import pyarrow

    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind))


def shared_values(values: Iterable[Any]) -> list[Any]:
    """Return the values as a list in which equal strings are one object, for a column of labels."""
    known: dict[str, str] = {}
    return [known.setdefault(value, value) if type(value) is str else value for value in values]


# The columns by data set, so that the texts of one are hashed once.
_COLUMNS: "WeakKeyDictionary[Dataset, dict[str, TextColumn]]" = WeakKeyDictionary()


def texts_of(dataset: "Dataset", name: str) -> "TextColumn | list[Any]":
    """Return a column of a data set: a `TextColumn` if it has strings, else a list."""
    known = _COLUMNS.setdefault(dataset, {})
    if name not in known:
        column = dataset.data.column(name)
        if not _is_text(column.type):
            return list(dataset.with_format(None)[name][:])
        known[name] = TextColumn(column.chunks, None, _rows_of(dataset))
    return known[name]


def integers_of(dataset: "Dataset", name: str) -> np.ndarray | None:
    """Return a column of integers or classes, int64 `(n,)`; None if it has another type, or if a value is missing."""
    import pyarrow

    column = dataset.data.column(name)
    if not pyarrow.types.is_integer(column.type) or pyarrow.types.is_uint64(column.type) or column.null_count:
        return None
    values: np.ndarray = column.to_numpy().astype(np.int64)
    rows = _rows_of(dataset)
    return values if rows is None else values[rows]


def dataset_of(columns: Mapping[str, TextColumn]) -> "Dataset":
    """Return a data set with these columns, which were taken from the same rows. Their values are copied if few."""
    from datasets import concatenate_datasets

    rows = next(iter(columns.values())).rows
    others = [column.rows for column in columns.values()]
    same = all(
        other is rows or (other is not None and rows is not None and np.array_equal(other, rows)) for other in others
    )
    if not same or (rows is not None and all(column.is_small for column in columns.values())):
        return dataset_of({name: column.copy() for name, column in columns.items()})
    whole = concatenate_datasets([_all_rows_of(column, name) for name, column in columns.items()], axis=1)
    dataset = whole if rows is None else _with_rows(whole, rows)
    for name, column in columns.items():
        remember_texts(dataset, name, column)
    return dataset


def _all_rows_of(column: TextColumn, name: str) -> "Dataset":
    """Return a data set with all values of the arrays of a column."""
    import pyarrow
    from datasets import Dataset
    from datasets.table import InMemoryTable

    if column.file is not None:  # Worker processes get the name of the file, and map it too.
        return Dataset.from_file(str(column.file.path)).rename_column(column.file.name, name)
    values = pyarrow.chunked_array(column.chunks, column.chunks[0].type if column.chunks else pyarrow.string())
    return Dataset(InMemoryTable(pyarrow.table({name: values})), fingerprint=uuid4().hex)


def select_rows(dataset: "Dataset", rows: np.ndarray) -> "Dataset":
    """Return the given rows of a data set, as its method `select` does, but without a Python object per row."""
    before = _rows_of(dataset)
    selected = _with_rows(dataset, rows if before is None else before[rows])
    for name, column in _COLUMNS.get(dataset, {}).items():
        remember_texts(selected, name, column.take(rows))
    return selected


def renamed(dataset: "Dataset", names: Mapping[str, str]) -> "Dataset":
    """Return the columns of texts with these names, under their new names. The texts are not copied.

    Args:
        dataset: a data set.
        names: the new name of each column that is kept, in the order of the result.
    """
    plain = dataset.with_format(None).select_columns(list(names)).rename_columns(dict(names))
    found = plain.select_columns(list(names.values()))
    for old, new in names.items():
        remember_texts(found, new, texts_of(dataset, old))
    return found


def add_labels(texts: "Dataset", label_ids: np.ndarray, feature: Any = None) -> "Dataset":
    """Return a data set with the columns `sentence` and `label`. The texts are not copied.

    Args:
        texts: a data set with the column `sentence`.
        label_ids: int64 `(n,)`, the label of each row.
        feature: the type of the label column; None is that of integers.
    """
    from datasets import Dataset, Value

    rows, whole = _rows_of(texts), texts
    if rows is not None:
        whole = Dataset(texts.data, info=texts.info, fingerprint=uuid4().hex)
        of_all = np.zeros(len(whole), dtype=np.int64)
        of_all[rows] = label_ids
        label_ids = of_all
    labelled = whole.add_column("label", label_ids, new_fingerprint=uuid4().hex, feature=feature or Value("int64"))
    found = labelled if rows is None else _with_rows(labelled, rows)
    remember_texts(found, "sentence", texts_of(texts, "sentence"))
    return found


def label_ids_of(dataset: Any) -> np.ndarray:
    """Return the column `label` of a prepared data set, int64 `(n,)`."""
    found = integers_of(dataset, "label")
    return np.asarray(dataset["label"][:]) if found is None else found


def _with_rows(dataset: "Dataset", rows: np.ndarray) -> "Dataset":
    """Return the given rows of the table of a data set."""
    import pyarrow
    from datasets import Dataset
    from datasets.table import InMemoryTable

    indices = InMemoryTable(pyarrow.table({"indices": pyarrow.array(rows.astype(np.uint64))}))
    return Dataset(dataset.data, info=dataset.info, indices_table=indices, fingerprint=uuid4().hex)


def _rows_of(dataset: "Dataset") -> np.ndarray | None:
    """Return the numbers of the rows of a data set in its table, int64 `(n,)`; None if it has them all in order."""
    indices = dataset._indices
    return None if indices is None else indices.column(0).to_numpy().astype(np.int64)


def remember_texts(dataset: "Dataset", name: str, column: "TextColumn | list[Any]") -> None:
    """Store a column of a data set, with its hashes if they are known, so that they are not computed again."""
    if isinstance(column, TextColumn):
        _COLUMNS.setdefault(dataset, {})[name] = column
