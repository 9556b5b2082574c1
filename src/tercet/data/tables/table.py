"""A table whose columns are read when they are used, so that a column that is not used never ends a command."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tercet._texts import FilePlaces, RowNumbers
from tercet.errors import DataError, short_repr

if TYPE_CHECKING:
    import numpy as np


def repeated_column(place: object, name: str) -> DataError:
    """Return the error for a name that several columns have. `place` is the file or data set, and the line if any."""
    if not name.strip():
        return DataError(f"{place}: several columns have values but no name; name them, or remove them")
    return DataError(f"{place}: several columns have the same name: {short_repr(name)}; rename them")


class NoRowsError(DataError):
    """An error for a table of which no row is chosen."""


class Columns(Mapping[str, Sequence[Any]]):
    """Columns by name: lists, or `TextColumn`s of strings. A column is read when it is first used.

    Args:
        names: the names, in the order of the columns. Of equal names, only the first counts.
        read: a function from a name to the values of the column. It raises `DataError` if the column cannot be read.
        num_rows: the number of values of each column.
        read_all: a function that returns every column of the file, by name; see `complete`. None reads the names.
        read_rows: a function from the name of a column of the source and numbers of rows to these values, which reads
            no others; None if the source reads whole columns.
        splits: the splits of the source, such as "train" and "test", if one of them was chosen.
        not_read: the names of the files or splits that were not chosen, for messages.
    """

    def __init__(
        self,
        names: Iterable[str],
        read: Callable[[str], Sequence[Any]],
        num_rows: int,
        read_all: "Callable[[], AnyColumns] | None" = None,
        *,
        read_rows: "Callable[[str, Sequence[int]], Sequence[Any]] | None" = None,
        splits: Sequence[str] = (),
        not_read: Sequence[str] = (),
    ) -> None:
        self.read_rows = read_rows
        self._names, self._read, self.num_rows, self._read_all = dict.fromkeys(names), read, num_rows, read_all
        self._values: dict[str, Sequence[Any]] = {}
        self.splits, self.not_read = tuple(splits), tuple(not_read)

    @classmethod
    def of_split(
        cls, columns: Mapping[str, Sequence[Any]], splits: Sequence[str], not_read: Sequence[str]
    ) -> "Columns":
        """Return the columns of a split, with the names of all splits and of those that were not read."""
        num_rows = columns.num_rows if isinstance(columns, cls) else len(next(iter(columns.values()), []))
        read_all = columns.complete if isinstance(columns, cls) else None
        read_rows = columns.read_rows if isinstance(columns, cls) else None
        return cls(
            columns, columns.__getitem__, num_rows, read_all, read_rows=read_rows, splits=splits, not_read=not_read
        )

    def complete(self) -> "AnyColumns":
        """Return every column of the file, in its order, to write it again.

        A column without a name has an empty one. The columns of a Parquet file are arrays of pyarrow, which keep their
        types; all others are lists or columns of texts.

        Raises:
            DataError: two columns have the same name, or a column cannot be read.
        """
        return dict(self) if self._read_all is None else self._read_all()

    def __getitem__(self, name: str) -> Sequence[Any]:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._values:
            self._values[name] = self._read(name)
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


# Columns by name: lists, or arrays of pyarrow.
AnyColumns = dict[str, Any]

# The columns by name, and the line number of each row (None if the format has no lines).
Content = tuple[Mapping[str, Sequence[Any]], Sequence[int] | None]


@dataclass(frozen=True)
class Table:
    """A table: named columns of equal length.

    Args:
        source: the file or data set, for messages.
        columns: the values of each column, by name, in the order of the columns.
        lines: the number of the line on which each row ends; None if the format has no lines.
        rows: the number of each row in the file or data set, if only some are in the table; None if all are.
        num_source_rows: the number of rows of the file or data set, if only some are in the table; None if all are.
        file_places: the file of each row and its line or row number there, if the table has several files.
    """

    source: str
    columns: Mapping[str, Sequence[Any]]
    lines: Sequence[int] | None = None
    rows: Sequence[int] | None = None
    num_source_rows: int | None = None
    file_places: FilePlaces | None = None

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits of the source, if one of them was chosen."""
        return self.columns.splits if isinstance(self.columns, Columns) else ()

    @property
    def not_read(self) -> tuple[str, ...]:
        """The names of the files or splits of the source that were not chosen."""
        return self.columns.not_read if isinstance(self.columns, Columns) else ()

    @property
    def places(self) -> Sequence[Any] | None:
        """The line of each row, or else its row number, for messages; None if rows are numbered as in the table."""
        if self.file_places is not None:
            return self.file_places
        return self.lines if self.lines is not None or self.rows is None else RowNumbers(self.rows)

    def places_of(self, rows: "Sequence[int] | np.ndarray") -> Sequence[Any]:
        """Return the places of some rows of the table `(n,)`, for messages about these rows."""
        import numpy as np  # after the start of the command line, which loads this module

        if self.file_places is not None:
            return self.file_places.with_rows(np.asarray(self.file_places.rows)[np.asarray(rows, dtype=np.int64)])
        if self.lines is not None:
            lines: Sequence[int] = np.asarray(self.lines)[np.asarray(rows, dtype=np.int64)].tolist()
            return lines
        return RowNumbers(rows if self.rows is None else np.asarray(self.rows)[np.asarray(rows, dtype=np.int64)])

    def row_number(self, row: int) -> int:
        """Return the number that a row of the table has in its file or data set."""
        return row if self.rows is None else self.rows[row]

    @cached_property
    def num_rows(self) -> int:
        """The number of rows."""
        if isinstance(self.columns, Columns):
            return self.columns.num_rows
        return len(next(iter(self.columns.values()), []))

    def complete_columns(self) -> AnyColumns:
        """Return every column, in their order, to write the table again; see `Columns.complete`."""
        return self.columns.complete() if isinstance(self.columns, Columns) else dict(self.columns)

    @property
    def read_rows(self) -> "Callable[[str, Sequence[int]], Sequence[Any]] | None":
        """The function that reads some values of a column; None if the source reads whole columns; see `Columns`."""
        return self.columns.read_rows if isinstance(self.columns, Columns) else None

    def __len__(self) -> int:
        return self.num_rows
