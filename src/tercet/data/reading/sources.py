"""Read tables from files, folders, standard input or data sets on the hub.

`files.py` reads one file. The formats are registered in `tercet.catalogue.FILE_FORMATS`; its method `register` adds a
format. Error messages name the file or data set and, if the error is in a row, its place: in a text file the line,
counted from 1 including the header (the last line of a row with line breaks), else the row, from 0.
"""

import glob
import inspect
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, TypeAlias

from tercet.data.formats.arrow_files import read_saved_dataset
from tercet.data.reading.files import read_file, reader_of
from tercet.data.reading.folders import is_saved_dataset, read_files, read_folder
from tercet.data.reading.in_memory import check_no_transform, choose_split, is_table_dict, table_of
from tercet.data.reading.standard_input import STANDARD_INPUT, standard_input_file
from tercet.data.tables.table import Columns, Table
from tercet.errors import DataError, short_repr

if TYPE_CHECKING:
    from datasets import Dataset

    from tercet.data.reading.in_memory import ArrowTable

    # A file, the name of a data set on the hub, a table in memory, or a table that was read.
    Source: TypeAlias = str | Path | Dataset | ArrowTable | Mapping[str, Any] | Sequence[Any] | Table

# The maximum length of another library's error message within ours, in characters.
_REASON_LIMIT = 500
_SPECIAL_FILES = {
    stat.S_ISFIFO: "a named pipe (FIFO)",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


def name_of(source: "Source | None") -> str | None:
    """Return the path of a file or the name on the hub as a string; None for a table in memory and for None."""
    return str(source) if isinstance(source, (str, Path)) else None


def read_source(source: Any, split: str = "train", **reading: Any) -> Table:
    """Return the table of a file, of a data set on the hub, or of a Python object, see `table_of`.

    Args:
        source: the file, the name of the data set, the object, a dictionary of such objects by split, or a table, which
            is returned.
        split: the split of a data set on the hub, or of a dictionary. For data without splits, which most files and
            single tables are, `splits` of the table is empty. A `datasets.Dataset` has the split in its `split`.
        reading: as for `read_table`.

    Raises:
        DataError: as for `read_table`; or `source` has another type.
    """
    if isinstance(source, Table):
        return source
    if isinstance(source, (str, Path)):
        return read_table(source, split, **reading)
    data = choose_split(source, split)
    check_no_transform(data, "data")
    table = table_of(data, "data", also="a file, the name of a data set on the hub, ")
    if is_table_dict(source):
        splits = list(map(str, source))
    elif str(getattr(data, "split", None)) == split:  # A `datasets.Dataset` knows the split that it was loaded from.
        splits = [split]
    else:
        return table
    return replace(table, columns=Columns.of_split(table.columns, splits, [name for name in splits if name != split]))


def read_table(
    name: str | Path,
    split: str = "train",
    *,
    header: bool | None = None,
    csv_separator: str | None = None,
    encoding: str | None = None,
) -> Table:
    """Read a table from a file, a folder, standard input, or a data set on the hub.

    Args:
        name: a path, `-` for standard input (CSV or JSON Lines), or the name of a data set on the hub. A path may be a
            folder or a pattern of files with equal columns, such as `data/*.csv` (see `folders.py`). If no file with
            this name exists, it is the name of a data set, unless it has a supported file extension, starts with ".",
            "/" or "~", or contains several slashes.
        split: the split of a data set on the hub, of a saved data set, of a JSON file with splits or of a folder with
            them; or the sheet of a .xlsx file with several. Other files are read as a whole; then `splits` of the table
            is empty.
        header: whether the first line of a .csv, .tsv or .xlsx file contains the column names. If False, the columns
            are named "0", "1" and so on. None decides by the line, and logs what is not usual.
        csv_separator: the separator of the columns of a text file, such as ";" or "tab". None finds it.
        encoding: the encoding of a text file, such as "cp1252". None finds it.

    Raises:
        DataError: the file does not exist, is a pipe or a device, has an unsupported type, cannot be read, is malformed
            or has no rows; its separator, its header or its encoding may be several and no argument says which; an
            argument is not for this format; or the data set cannot be loaded or has no rows.
    """
    options: dict[str, Any] = {"header": header, "csv_separator": csv_separator, "encoding": encoding}
    if str(name) == STANDARD_INPUT:
        with standard_input_file() as file:
            return read_file(file, split, options)
    path = _expanded(name)
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        if files := sorted(map(Path, glob.glob(str(path)))) if glob.has_magic(str(path)) else []:
            return read_files(files, str(name), split, lambda file: read_table(file, split, **options))
        if reader_of(path) or str(name).startswith((".", "/", "~")) or str(name).count("/") > 1:
            raise DataError(f"no file {short_repr(str(name))}; check the path") from None
        return _read_hub(str(name), split)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{str(name)[:80]!r} cannot be read as a file: {reason}") from None
    if stat.S_ISDIR(mode):
        if is_saved_dataset(path):
            dataset, splits = read_saved_dataset(path, split)
            table = table_of(dataset, str(path))
            return replace(table, columns=Columns.of_split(table.columns, splits, [s for s in splits if s != split]))
        table = read_folder(path, split, encoding, lambda file: read_table(file, split, **options))
        if len(table) == 0:
            raise DataError(f"{path} has no texts in its folders")
        return table
    if not stat.S_ISREG(mode):
        kind = next((kind for test, kind in _SPECIAL_FILES.items() if test(mode)), "no regular file")
        raise DataError(f"{path} is {kind}; write the data into a file and pass the file, or pass - for standard input")
    return read_file(path, split, options)


def takes_split(name: str | Path) -> bool:
    """Return whether `read_table` uses `split`: for data sets on the hub, folders, and files that may have several."""
    return takes_option(name, "split")


def takes_option(source: Any, option: str) -> bool:
    """Return whether `read_table` accepts an option for a source. If this is not a single file, it does."""
    path = _expanded(source) if isinstance(source, (str, Path)) else None
    reader = reader_of(path) if path is not None and path.is_file() else None
    return reader is None or option in inspect.signature(reader).parameters


def _expanded(name: str | Path) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # There is no such user.
        raise DataError(f"no file {short_repr(str(name))}: there is no such home folder; check the path") from None


def _read_hub(name: str, split: str) -> Table:
    from datasets import load_dataset

    try:
        dataset = load_dataset(name, split=split)
    except Exception as error:  # `datasets` raises many types: its own, those of the network, and built-in exceptions.
        reason = shorten(str(error), _REASON_LIMIT) or type(error).__name__
        raise DataError(
            f"no file {short_repr(name)}, and no data set of this name can be loaded from the hub: {reason}"
        ) from error
    table = table_of(dataset, f"{name} ({split})")
    return replace(table, columns=Columns.of_split(table.columns, [split], []))
