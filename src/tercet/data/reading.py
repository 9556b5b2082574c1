"""Read tables from files or from data sets on the hub.

The file extension determines the format. The formats are registered in `tercet.catalogue.FILE_FORMATS`; its method
`register` adds a format. Error messages name the file or data set and, if the error is in a row, its place: in a text
file the line, counted from 1 including the header (the last line of a row with line breaks), else the row, from 0.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from tercet.catalogue import FILE_FORMATS, resolve
from tercet.errors import DataError, listed

if TYPE_CHECKING:
    from datasets import Dataset

# The columns by name, and the line number of each row (None if the format has no lines).
Content = tuple[dict[str, list[Any]], list[int] | None]

# The maximum length of another library's error message within ours, in characters.
_REASON_LIMIT = 500
# The maximum length of a CSV field, in characters. The default of Python, 131,072, is too short for long documents.
_CSV_FIELD_LIMIT = 2**24
_DELIMITER_NAMES = {",": "a comma", "\t": "a tab"}


@dataclass(frozen=True)
class Table:
    """A table: named columns of equal length.

    Args:
        source: the file or data set, for messages.
        columns: the values of each column, by name, in the order of the columns.
        lines: the number of the line on which each row ends; None if the format has no lines.
    """

    source: str
    columns: dict[str, list[Any]]
    lines: list[int] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))


def read_source(source: "str | Path | Dataset", split: str = "train") -> Table:
    """Return the table of a file, of a data set on the hub, or of a `datasets.Dataset` in memory.

    Args:
        source: the file, the name of the data set, or the data set.
        split: the split of a data set on the hub. It is ignored for files and for data sets in memory.

    Raises:
        DataError: as for `read_table`; or `source` has another type, or is a data set in memory without rows.
    """
    if isinstance(source, (str, Path)):
        return read_table(source, split)
    if not hasattr(source, "column_names") or isinstance(source.column_names, dict):
        raise DataError(
            f"data of type {type(source).__name__} are not supported; pass a file, the name of a data set on the hub, "
            "or a datasets.Dataset (one split of a DatasetDict)"
        )
    table = _table_of(source, "data")
    if len(table) == 0:
        raise DataError("the data set has no rows of data")
    return table


def read_table(name: str | Path, split: str = "train") -> Table:
    """Read a table from a file, or from a data set on the hub.

    Args:
        name: a path, or the name of a data set on the hub. If no file with this name exists, it is the name of a data
            set, unless it has a supported file extension, starts with ".", "/" or "~", or contains several slashes.
        split: the split of a data set on the hub. It is ignored for files.

    Raises:
        DataError: the file does not exist, is a folder, has an unsupported type, cannot be read, is not UTF-8, is
            malformed or has no rows; or the data set cannot be loaded.
    """
    path = Path(name).expanduser()
    reader = _reader(path)
    try:
        exists = path.exists()
    except OSError as error:
        raise DataError(f"{str(name)[:80]!r} cannot be a file name: {error.strerror}") from None
    if not exists:
        if reader or str(name).startswith((".", "/", "~")) or str(name).count("/") > 1:
            raise DataError(f"no file {str(name)!r}; check the path")
        return _read_hub(str(name), split)
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a file in it (supported: {listed(FILE_FORMATS, limit=20)})")
    if reader is None:
        raise DataError(
            f"{path} has an unsupported file type; the file extension must be one of {listed(FILE_FORMATS, limit=20)}"
        )
    try:
        columns, lines = reader(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        if error.object[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise DataError(f"{path} is UTF-16; save it as UTF-8 (iconv -f UTF-16 -t UTF-8)") from None
        raise DataError(
            f"{path} is not UTF-8: byte {error.object[error.start]:#04x} on line {_line_of_invalid_byte(path)}; "
            "save it as UTF-8 (for example with iconv -f LATIN1 -t UTF-8)"
        ) from None
    table = Table(str(path), columns, lines)
    if len(table) == 0:
        raise DataError(f"{path} has no rows of data")
    return table


def read_csv(path: Path) -> Content:
    """Read a file of comma-separated values. The first line contains the column names. Blank lines are skipped."""
    return _read_separated(path, ",")


def read_tsv(path: Path) -> Content:
    """Read a file of tab-separated values. The first line contains the column names. Blank lines are skipped."""
    return _read_separated(path, "\t")


def read_json_lines(path: Path) -> Content:
    """Read a file with one JSON object per line. All objects must have the same keys. Blank lines are skipped."""
    columns: dict[str, list[Any]] = {}
    lines: list[int] = []
    with path.open(encoding="utf-8-sig") as file:
        for number, row in _json_rows(file, path):
            if not columns:
                columns = {name: [] for name in row}
            if row.keys() != columns.keys():
                raise DataError(
                    f"{path}, line {number}: the keys are {listed(row)}, but in the first row they are "
                    f"{listed(columns)}; all rows must have the same keys"
                )
            for name, value in row.items():
                columns[name].append(value)
            lines.append(number)
    return columns, lines


def read_parquet(path: Path) -> Content:
    """Read a Parquet file. Its rows have no line numbers."""
    import pyarrow
    from pyarrow import parquet

    try:
        return dict(parquet.read_table(path).to_pydict()), None
    except pyarrow.ArrowException as error:
        raise DataError(f"{path} is not a readable Parquet file: {shorten(str(error), _REASON_LIMIT)}") from None


def _reader(path: Path) -> Callable[[Path], Content] | None:
    """Return the reader for the file extension; None if it is not supported.

    If several registered extensions match, such as `.txt` and `.part.txt`, the longest determines the reader.
    """
    suffixes = [suffix for suffix in FILE_FORMATS if path.name.lower().endswith(suffix.lower())]
    return resolve(FILE_FORMATS[max(suffixes, key=len)].reader) if suffixes else None


def _read_separated(path: Path, delimiter: str) -> Content:
    csv.field_size_limit(_CSV_FIELD_LIMIT)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next(rows, [])
            _check_header(header, path)
            columns: list[list[Any]] = [[] for _ in header]
            lines: list[int] = []
            for row in rows:
                if not row:
                    continue
                if len(row) != len(header):
                    advice = (
                        f'put fields that contain {_DELIMITER_NAMES[delimiter]} in "double quotes"'
                        if len(row) > len(header)
                        else "add the missing fields"
                    )
                    raise DataError(
                        f"{path}, line {rows.line_num}: {len(row)} fields, but the header has {len(header)}; {advice}"
                    )
                lines.append(rows.line_num)
                for column, value in zip(columns, row, strict=True):
                    column.append(value)
        except csv.Error as error:
            hint = "; a double quote was opened and not closed" if "unexpected end" in str(error) else ""
            raise DataError(f"{path}, line {rows.line_num}: {error}{hint}") from None
    return dict(zip(header, columns, strict=True)), lines


def _json_rows(lines: Iterable[str], path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: not valid JSON: {getattr(error, 'msg', error)}") from None
        if not isinstance(row, dict):
            raise DataError(
                f"{path}, line {number}: not a JSON object; each line must be an object, "
                'for example {"text": "hello", "label": "greeting"}'
            )
        yield number, row


def _read_hub(name: str, split: str) -> Table:
    from datasets import load_dataset

    try:
        dataset = load_dataset(name, split=split)
    except Exception as error:  # `datasets` raises many types: its own, those of the network, and built-in exceptions.
        reason = shorten(str(error), _REASON_LIMIT) or type(error).__name__
        raise DataError(
            f"no file {name!r}, and no data set of this name can be loaded from the hub: {reason}"
        ) from error
    return _table_of(dataset, f"{name} ({split})")


def _table_of(dataset: "Dataset", source: str) -> Table:
    """Return the columns of a data set. A `ClassLabel` column contains label names, and None for missing labels."""
    from datasets import ClassLabel

    plain = dataset.with_format(None)
    columns = {column: list(plain[column]) for column in plain.column_names}
    for column, feature in plain.features.items():
        if isinstance(feature, ClassLabel):
            # Data sets of the hub contain -1 or None where a label is not published.
            columns[column] = [
                None if label is None or label < 0 else feature.names[label] for label in columns[column]
            ]
    return Table(source, columns)


def _check_header(header: list[str], path: Path) -> None:
    if not header:
        raise DataError(f"{path}: the first line is empty or missing; it must contain the names of the columns")
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise DataError(f"{path}, line 1: several columns have the same name: {listed(sorted(twice))}; rename them")


def _line_of_invalid_byte(path: Path) -> int:
    """Return the number of the first line that is not valid UTF-8.

    The exception of the decoder does not contain the line number, because the decoder reads several lines ahead.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return number
