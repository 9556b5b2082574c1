"""Find the Parquet files of a folder or a pattern, and check all of them before the work.

Their metadata are checked. Texts are read only if the metadata are not enough.
"""

import glob
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tercet._files import expand_path
from tercet.cli.flags import flag_of
from tercet.cli.table_input import FoundRows, find_rows
from tercet.data.reading.options import ReadOptions
from tercet.data.tables.table import NoRowsError
from tercet.errors import DataError, listed

if TYPE_CHECKING:
    import pyarrow

logger = logging.getLogger(__name__)

_SUFFIX = ".parquet"
# Each of them would be applied to every file.
_FOR_ONE_FILE = ("limit", "sample")
# The input files and their schemas.
Files: TypeAlias = Mapping[Path, "pyarrow.Schema"]


def find_files(data: str, output: Path | None, split: str | None = None) -> Files | None:
    """Return the input files if `data` is a folder or a pattern and `output` is a folder; None for a single table.

    Args:
        data: the input.
        output: the output.
        split: a split, to return only the files with this word in their names; None returns all. A single file must be
            of a format with splits.

    Returns:
        The files that have rows, in the order of their names, each with its schema.

    Raises:
        DataError: there are no Parquet files with rows or of this split, or two with the same name; a file cannot be
            read; or a single file has no splits.
    """
    from tercet.data.reading.sources import takes_split

    files = None if output is None or _names_a_file(output) else _parquet_files(data)
    if files is None:
        if split not in (None, ReadOptions.split) and not takes_split(data):
            raise DataError(
                f"{data} has no splits; leave out --split, or pass --split-column, the column with the split of each "
                "row"
            )
        return None
    if split is not None and files:
        files = _files_of_split(files, data, split)
    full, empty = _schemas_of(files)
    if empty:
        logger.warning(f"{data}: files without rows get no file in {output}: {listed(empty, 3)}")
    if not full:
        what = "files with rows" if empty else "files"
        raise DataError(f"{data} has no {_SUFFIX} {what}; to write a folder, pass a folder or a pattern of such files")
    names = [file.name for file in full]
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise DataError(f"{data}: several files have the same name ({listed(twice, 3)}); pass one folder at a time")
    return full


def _parquet_files(data: str) -> list[Path] | None:
    """Return the Parquet files of a folder or a pattern, and warn about others in a folder; None for a single table."""
    path = expand_path(data)
    if path.is_dir():
        found = sorted(entry for entry in path.iterdir() if not entry.name.startswith((".", "_")))
    elif glob.has_magic(data) and not path.exists():
        found = sorted(map(Path, glob.glob(str(path), recursive=True)))
    else:
        return None
    files = [entry for entry in found if entry.suffix.lower() == _SUFFIX]
    if path.is_dir() and files and (others := [entry.name for entry in found if entry not in files]):
        logger.warning(f"{data}: only the {_SUFFIX} files are read; not read: {listed(others, 3)}")
    return files


def _names_a_file(output: Path) -> bool:
    """Return whether the extension is one that a command writes; that of a folder such as `v1.0` is not."""
    from tercet.data.writing import writable_suffixes

    return output.name.lower().endswith((".npy", *writable_suffixes()))


def _files_of_split(files: list[Path], data: str, split: str) -> list[Path]:
    """Return the files with the word of a split in their names, and log which are not read."""
    from tercet.data.formats.split_names import split_words

    chosen = [file for file in files if split.lower() in split_words(file.stem)]
    if not chosen:
        raise DataError(
            f"{data} has no file with the word {split!r} in its name, such as {split}-00000-of-00001.parquet, but "
            f"{listed(file.name for file in files)}; leave out --split, or pass --split-column, the "
            "column with the split of each row"
        )
    if len(chosen) < len(files):
        others = [file.name for file in files if file not in chosen]
        logger.info(f"{data}: the split {split!r} is read; not read: {listed(others)}")
    return chosen


def _schemas_of(files: Iterable[Path]) -> tuple[dict[Path, "pyarrow.Schema"], list[str]]:
    """Return the schemas of the files with rows, and the names of the others, which Spark writes for empty partitions.

    Raises:
        DataError: a file cannot be read.
    """
    from tercet.data.formats.parquet_files import read_schema

    full = {}
    empty = []
    for file in files:
        try:
            schema, num_rows = read_schema(file)
        except OSError as error:
            raise DataError(f"cannot read {file}: {error.strerror or error}") from None
        if num_rows:
            full[file] = schema
        else:
            empty.append(file.name)
    return full, empty


def check_options(options: ReadOptions) -> None:
    """Raise `DataError` for an option that is for a single file."""
    if given := [flag_of(name) for name in _FOR_ONE_FILE if getattr(options, name) is not None]:
        them = "it" if len(given) == 1 else "them"
        raise DataError(
            f"{' and '.join(given)} would apply to each file of the folder; leave {them} out, or pass one file"
        )


def choose_columns(files: Files, options: ReadOptions, *, with_labels: bool) -> ReadOptions:
    """Return the options with the columns of texts and labels that the first file with a text has.

    So no other column is guessed for another file.

    Args:
        files: the input files.
        options: how to read them.
        with_labels: whether to search for a column of labels.

    Raises:
        DataError: no file has a text, or a file cannot be read with these options: it has no column of one of these
            names, several with the same name, or values of another type; or, if rows must have a text, one has none.
    """
    from tercet.data.cleaning.incomplete_rows import NoTextError
    from tercet.data.columns.names import check_columns
    from tercet.data.formats.parquet_files import check_all_columns, check_column, has_texts
    from tercet.data.reading.selection import text_parts

    for file, schema in files.items():
        check_all_columns(schema, file)
    first = _first_with_text(files, options, with_labels=with_labels)
    # Without a column of splits, --split has chosen files: their content does not depend on it.
    split = options.split if options.split_column is not None else ReadOptions.split
    options = replace(options, text_column=first.text_column, label_column=first.label_column, split=split)
    for file, schema in files.items():
        texts = text_parts(first.text_column, schema.names)
        wanted = [*texts, first.label_column, options.split_column]
        check_columns(wanted, schema.names, str(file))
        for name in filter(None, wanted):
            check_column(schema, name, file)
        if options.drop_missing is False or not all(has_texts(schema, name) for name in texts):
            with suppress(NoTextError, NoRowsError):
                find_rows(str(file), options, with_labels=with_labels)
    return options


def _first_with_text(files: Files, options: ReadOptions, *, with_labels: bool) -> FoundRows:
    from tercet.data.cleaning.incomplete_rows import NoTextError

    for file in files:
        with suppress(NoTextError, NoRowsError):
            return find_rows(str(file), options, with_labels=with_labels)
    split, column = options.split, options.split_column
    also, check = ("", "") if column is None else (f" and {split!r} in the column {column!r}", " and --split")
    raise DataError(f"{next(iter(files)).parent}: no row of any file has a text{also}; check --text-column{check}")
