"""A temporary file for a column that does not fit in memory."""

import os
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tercet.errors import DataError

if TYPE_CHECKING:
    import pyarrow


class ColumnFile:
    """A temporary file with an Arrow table of one column.

    It is removed with this object and its arrays, at the latest at the exit. So it exists as long as a data set that
    was made of them, also by `shuffle` or `map`, and worker processes can map it.

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
            mapped = pyarrow.memory_map(str(self.path)).read_buffer()
            # The arrays of this buffer keep its base.
            buffer = pyarrow.foreign_buffer(mapped.address, mapped.size, base=(self, mapped))
            table = pyarrow.ipc.open_stream(pyarrow.BufferReader(buffer)).read_all()
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
