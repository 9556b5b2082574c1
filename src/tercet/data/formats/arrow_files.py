"""Read .arrow files and folders that `datasets` has saved."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from tercet.data.tables.column_values import column_values
from tercet.data.tables.table import Columns, Content, repeated_column
from tercet.errors import DataError, listed

if TYPE_CHECKING:
    from datasets import Dataset


def read_arrow(path: Path) -> Content:
    """Read a file of Arrow, in the format for files or for streams. It is mapped into memory, not copied."""
    import pyarrow
    from pyarrow import ipc

    try:
        source = pyarrow.memory_map(str(path))
        try:
            table = ipc.open_file(source).read_all()
        except pyarrow.ArrowInvalid:
            source.seek(0)
            table = ipc.open_stream(source).read_all()
    except (pyarrow.ArrowException, ValueError) as error:
        raise DataError(f"{path} is not a readable Arrow file: {shorten(str(error), 500)}") from None

    def check_name(name: str) -> None:
        if table.column_names.count(name) > 1:
            raise repeated_column(path, name)

    def read(name: str) -> Sequence[Any]:
        check_name(name)
        return column_values(table.column(name))

    def read_all() -> dict[str, Any]:
        for name in table.column_names:
            check_name(name)
        return dict(zip(table.column_names, table.columns, strict=True))

    return Columns(table.column_names, read, table.num_rows, read_all), None


def read_saved_dataset(path: Path, split: str) -> "tuple[Dataset, list[str]]":
    """Return the data set in a folder that `save_to_disk` of `datasets` has written, and its splits if it has several.

    Raises:
        DataError: the folder is damaged, or has several splits and not this one.
    """
    from datasets import DatasetDict, load_from_disk

    try:
        found = load_from_disk(str(path))
    except Exception as error:  # `datasets` raises many types
        raise DataError(f"{path} is not a readable data set: {shorten(str(error), 500)}") from None
    if not isinstance(found, DatasetDict):
        return found, []
    if split not in found:
        raise DataError(f"{path} has no split {split!r}; pass split, one of {listed(found, 12)}")
    return found[split], list(found)
