"""Read tables from files, folders, standard input or data sets on the hub.

The file extension determines the format. The formats are registered in `tercet.catalogue.FILE_FORMATS`; its method
`register` adds a format. Error messages name the file or data set and, if the error is in a row, its place: in a text
file the line, counted from 1 including the header (the last line of a row with line breaks), else the row, from 0.
"""

import glob
import inspect
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, TypeAlias

from tercet.catalogue import FILE_FORMATS, resolve
from tercet.data.formats.arrow_files import read_saved_dataset
from tercet.data.formats.compressed import inner_name, is_compressed
from tercet.data.formats.encodings import guess_encoding
from tercet.data.formats.header import has_no_header
from tercet.data.reading.folders import is_saved_dataset, read_files, read_folder
from tercet.data.reading.in_memory import check_no_transform, choose_split, is_table_dict, table_of
from tercet.data.reading.standard_input import STANDARD_INPUT, standard_input_file
from tercet.data.tables.table import Columns, Content, Table
from tercet.errors import DataError, listed, short_repr

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
            return _read_file(file, split, options)
    path = _expanded(name)
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        if files := sorted(map(Path, glob.glob(str(path)))) if glob.has_magic(str(path)) else []:
            return read_files(files, str(name), split, lambda file: read_table(file, split, **options))
        if _reader(path) or str(name).startswith((".", "/", "~")) or str(name).count("/") > 1:
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
    return _read_file(path, split, options)


def takes_split(name: str | Path) -> bool:
    """Return whether `read_table` uses `split`: for data sets on the hub, folders, and files that may have several."""
    return takes_option(name, "split")


def takes_option(source: Any, option: str) -> bool:
    """Return whether `read_table` accepts an option for a source. If this is not a single file, it does."""
    path = _expanded(source) if isinstance(source, (str, Path)) else None
    reader = _reader(path) if path is not None and path.is_file() else None
    return reader is None or option in inspect.signature(reader).parameters


def _conversion(path: Path) -> str:
    """Return how to convert a text file; nothing for other files."""
    try:
        encoding, _ = guess_encoding(path)
    except DataError:
        return ""
    lines = f"Path({str(path)!r}).read_text({encoding!r}).splitlines()"
    pair = "dict(zip(('label', 'text'), line.split(maxsplit=1)))"
    return (
        "; if each line has a label and a text, convert it, for example with: import json; from pathlib import Path; "
        f"Path({str(path.with_suffix('.jsonl'))!r}).write_text("
        f"''.join(json.dumps({pair}) + chr(10) for line in {lines}))"
    )


def _expanded(name: str | Path) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # There is no such user.
        raise DataError(f"no file {short_repr(str(name))}: there is no such home folder; check the path") from None


def _read_file(path: Path, split: str, options: dict[str, Any]) -> Table:
    reader = _reader(path)
    if reader is None:
        raise DataError(
            f"{path} has an unsupported file type; the file extension must be one of {listed(FILE_FORMATS, limit=20)}"
            f"{_conversion(path)}"
        )
    accepted = inspect.signature(reader).parameters
    for name, value in options.items():
        if name not in accepted and value is not None and not (name == "header" and value):
            raise DataError(_not_for(path, name))
    given = {"split": split} if "split" in accepted else {}
    given |= {name: options[name] for name in ("csv_separator", "encoding") if name in accepted}
    header = options["header"]
    if "header" not in accepted:
        return _checked(path, *_run(reader, path, given), given.get("split"))
    if header is None and accepted["header"].default is False:
        header = False
    content = _run(reader, path, {**given, "header": header is not False})
    table = _checked(path, *content, given.get("split"), guessed=header is None)
    if header is None and has_no_header(table):
        table = _checked(path, *_run(reader, path, {**given, "header": False}), given.get("split"))
    return table


def _not_for(path: Path, name: str) -> str:
    if name == "header":
        return f"header=False is for .csv, .tsv and .xlsx files; {path} has the names of its columns in the data"
    kinds = {"csv_separator": ".csv, .tsv and .txt files", "encoding": "text files"}
    return f"{name} is for {kinds[name]}; leave it out for {path}"


def _run(reader: Callable[..., Content], path: Path, arguments: dict[str, Any]) -> Content:
    try:
        return reader(path, **arguments)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:  # from the reader of a plugin
        raise DataError(f"{path} is not UTF-8 ({error.reason}); save it as UTF-8") from None


def _checked(
    path: Path, columns: Any, lines: Sequence[int] | None, split: str | None, *, guessed: bool = False
) -> Table:
    """Return the table of a file that has rows.

    `split` is the split that its reader got, if it takes one; `guessed` is whether its first line may be data.
    """
    if not isinstance(columns, Columns):
        if len({len(values) for values in columns.values()}) > 1:
            raise DataError(f"{path}: the reader of this format returned columns of different lengths")
        if split is not None:  # Our own readers with this argument return `Columns`, with the splits of the file.
            columns = Columns.of_split(columns, [split], [])
    table = Table(str(path), columns, lines)
    if len(table) == 0:
        # A file of one line may be data without a header.
        hint = f"; its only line is read as the column names ({listed(columns, 4)})" if guessed else ""
        raise DataError(f"{path} has no rows of data{hint}")
    return table


def _reader(path: Path) -> Callable[..., Content] | None:
    """Return the reader for the file extension; None if it is not supported.

    If several registered extensions match, such as `.txt` and `.part.txt`, the longest determines the reader. Of a
    compressed file, the name of the file inside does.

    Raises:
        DataError: the file is compressed, and its format must not be.
    """
    name = inner_name(path).lower()
    suffixes = [suffix for suffix in FILE_FORMATS if name.endswith(suffix.lower())]
    if not suffixes:
        return None
    reader: Callable[..., Content] = resolve(FILE_FORMATS[max(suffixes, key=len)].reader)
    if is_compressed(path) and "encoding" not in inspect.signature(reader).parameters:
        raise DataError(f"{path} is compressed, which is supported for text files only; unpack it")
    return reader


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
