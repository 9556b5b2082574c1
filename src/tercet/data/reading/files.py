"""Read one file with the reader of its format, which its extension determines."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tercet.catalogue import FILE_FORMATS, resolve
from tercet.data.formats.compressed import inner_name, is_compressed
from tercet.data.formats.encodings import guess_encoding
from tercet.data.formats.header import has_no_header
from tercet.data.tables.table import Columns, Content, Table
from tercet.errors import DataError, listed


def read_file(path: Path, split: str, options: Mapping[str, Any]) -> Table:
    """Read a file with the reader of its format.

    Args:
        path: the file.
        split: the split to read, if the file may have several.
        options: the arguments `header`, `csv_separator` and `encoding` of `read_table`, by name.

    Raises:
        DataError: the format is not supported, the file cannot be read or has no rows, or an argument is not for it.
    """
    reader = reader_of(path)
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


def reader_of(path: Path) -> Callable[..., Content] | None:
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
