"""Read tables from files or from data sets on the hub.

The file extension determines the format. The formats are registered in `tercet.catalogue.FILE_FORMATS`; its method
`register` adds a format. Error messages name the file or data set and, if the error is in a row, its place: in a text
file the line, counted from 1 including the header (the last line of a row with line breaks), else the row, from 0.
"""

import inspect
import os
import stat
from collections.abc import Callable
from pathlib import Path
from textwrap import shorten
from typing import Any

from tercet.catalogue import FILE_FORMATS, resolve
from tercet.data.header import check_header
from tercet.data.in_memory import choose_split, table_of
from tercet.data.table import Columns, Content, Table
from tercet.errors import DataError, listed, short_repr

# The maximum length of another library's error message within ours, in characters.
_REASON_LIMIT = 500
_SPECIAL_FILES = {
    stat.S_ISFIFO: "a named pipe (FIFO)",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


def read_source(source: Any, split: str = "train", *, header: bool | None = None) -> Table:
    """Return the table of a file, of a data set on the hub, or of a Python object, see `table_of`.

    Args:
        source: the file, the name of the data set, the object, or a dictionary of such objects by split.
        split: the split of a data set on the hub, or of a dictionary. It is ignored for files and single tables.
        header: as for `read_table`.

    Raises:
        DataError: as for `read_table`; or `source` has another type.
    """
    if isinstance(source, (str, Path)):
        return read_table(source, split, header=header)
    return table_of(choose_split(source, split), "data", also="a file, the name of a data set on the hub, ")


def read_table(name: str | Path, split: str = "train", *, header: bool | None = None) -> Table:
    """Read a table from a file, or from a data set on the hub.

    Args:
        name: a path, or the name of a data set on the hub. If no file with this name exists, it is the name of a data
            set, unless it has a supported file extension, starts with ".", "/" or "~", or contains several slashes.
        split: the split of a data set on the hub. It is ignored for files.
        header: whether the first line of a .csv or .tsv file contains the column names. If False, the columns are named
            "0", "1" and so on. None reads the names from the first line, unless it looks like data.

    Raises:
        DataError: the file does not exist, is a folder, a pipe or a device, has an unsupported type, cannot be read, is
            not UTF-8, is malformed or has no rows; the first line looks like data and `header` is None; `header` is
            False, but the format has no header; or the data set cannot be loaded or has no rows.
    """
    path = _expanded(name)
    reader = _reader(path)
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        if reader or str(name).startswith((".", "/", "~")) or str(name).count("/") > 1:
            raise DataError(f"no file {short_repr(str(name))}; check the path") from None
        return _read_hub(str(name), split)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{str(name)[:80]!r} cannot be read as a file: {reason}") from None
    if stat.S_ISDIR(mode):
        raise DataError(f"{path} is a folder; name a file in it (supported: {listed(FILE_FORMATS, limit=20)})")
    if not stat.S_ISREG(mode):
        kind = next((kind for test, kind in _SPECIAL_FILES.items() if test(mode)), "no regular file")
        raise DataError(f"{path} is {kind}; write the data into a file and pass the file")
    if reader is None:
        raise DataError(
            f"{path} has an unsupported file type; the file extension must be one of {listed(FILE_FORMATS, limit=20)}"
        )
    return _read_file(path, reader, header)


def _expanded(name: str | Path) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # There is no such user.
        raise DataError(f"no file {short_repr(str(name))}: there is no such home folder; check the path") from None


def _read_file(path: Path, reader: Callable[..., Content], header: bool | None) -> Table:
    has_header = "header" in inspect.signature(reader).parameters
    if header is False and not has_header:
        raise DataError(f"header=False is for .csv and .tsv files; {path} has the names of its columns in the data")
    try:
        columns, lines = reader(path, header=header is not False) if has_header else reader(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:  # from the reader of a plugin
        raise DataError(f"{path} is not UTF-8 ({error.reason}); save it as UTF-8") from None
    if not isinstance(columns, Columns) and len({len(values) for values in columns.values()}) > 1:
        raise DataError(f"{path}: the reader of this format returned columns of different lengths")
    guessed = tuple(columns) if has_header and header is None else None
    table = Table(str(path), columns, lines, guessed)
    if len(table) == 0:
        # A file of one line may be data without a header.
        hint = f"; its only line is read as the column names ({listed(columns, 4)})" if guessed else ""
        raise DataError(f"{path} has no rows of data{hint}")
    if guessed is not None:
        check_header(table)
    return table


def _reader(path: Path) -> Callable[..., Content] | None:
    """Return the reader for the file extension; None if it is not supported.

    If several registered extensions match, such as `.txt` and `.part.txt`, the longest determines the reader.
    """
    suffixes = [suffix for suffix in FILE_FORMATS if path.name.lower().endswith(suffix.lower())]
    return resolve(FILE_FORMATS[max(suffixes, key=len)].reader) if suffixes else None


def _read_hub(name: str, split: str) -> Table:
    from datasets import load_dataset

    try:
        dataset = load_dataset(name, split=split)
    except Exception as error:  # `datasets` raises many types: its own, those of the network, and built-in exceptions.
        reason = shorten(str(error), _REASON_LIMIT) or type(error).__name__
        raise DataError(
            f"no file {short_repr(name)}, and no data set of this name can be loaded from the hub: {reason}"
        ) from error
    return table_of(dataset, f"{name} ({split})")
