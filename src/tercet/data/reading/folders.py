"""Read folders: one with a folder of texts for each label, one of data files, or one that `datasets` has saved."""

import logging
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from tercet._texts import FilePlaces
from tercet.catalogue import FILE_FORMATS
from tercet.data.formats.encodings import check_encoding, guess_encoding
from tercet.data.formats.split_names import SPLIT_WORDS, is_split, split_words
from tercet.data.reading.data_files import (
    HIDDEN,
    data_files,
    describes,
    format_of,
    holds_data,
    holds_other_files,
    holds_texts,
    is_data,
    uncompressed_name,
)
from tercet.data.tables.table import Columns, Table
from tercet.data.tables.text_column import ColumnBuilder
from tercet.errors import DataError, counted, listed

logger = logging.getLogger(__name__)

_SAVED = ("state.json", "dataset_dict.json")


def is_saved_dataset(path: Path) -> bool:
    """Return whether a folder was written by `save_to_disk` of `datasets`."""
    return any((path / name).is_file() for name in _SAVED)


def read_folder(path: Path, split: str, encoding: str | None, read_file: Callable[[Path], Table]) -> Table:
    """Return the table of a folder.

    A folder with folders has a text in each file, and the name of its folder is the label. If the folders are splits,
    such as `train` and `test`, `split` chooses one. A folder without folders has data files of one format, and files
    that describe them, such as README.md. If their names are those of several splits, such as `train.csv` and
    `test-00000-of-00001.csv`, `split` chooses some of them. A folder whose only folder has data files is read as that
    one.

    Args:
        path: the folder.
        split: the split to read.
        encoding: the encoding of the texts; None finds it for each file.
        read_file: a function that reads a data file, or a folder inside of this one.

    Raises:
        DataError: the folder has neither folders nor data files of one format, several folders of data files, or no
            such split; or a file cannot be read.
    """
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(HIDDEN))
    if not folders:
        files = data_files(path)
        formats = {format_of(file) for file in files}
        if len(formats) == 1:
            return read_files(files, str(path), split, read_file)
        found = f"files of several formats ({listed(sorted(filter(None, formats)))})" if formats else "no data files"
        raise DataError(
            f"{path} is a folder with {found}; pass a file in it, or a folder with a folder of texts for each label "
            f"(supported files: {listed(FILE_FORMATS, limit=20)})"
        )
    if all(is_split(folder.name) for folder in folders):
        chosen_folders = [folder for folder in folders if folder.name == split] or [
            folder for folder in folders if split in split_words(folder.name)
        ]
        if len(chosen_folders) != 1:
            raise DataError(
                f"{path} has no split {split!r}; pass split, one of {listed([f.name for f in folders], 12)}"
            )
        table = read_folder(chosen_folders[0], split, encoding, read_file)
        not_read = [folder.name for folder in folders if folder != chosen_folders[0]]
        return replace(
            table, columns=Columns.of_split(table.columns, _splits(folder.name for folder in folders), not_read)
        )
    of_data = [folder for folder in folders if holds_data(folder)]
    # Two folders of texts are labels; one alone does not decide, nor do files of which some may be texts of a label.
    has_labels = sum(map(holds_texts, folders)) > 1 and not any(map(holds_other_files, of_data))
    if not of_data or has_labels:
        return _texts_by_label(path, [folder for folder in folders if folder not in of_data], of_data, encoding)
    beside = [file.name for file in data_files(path) if is_data(file) and not describes(file)]
    if len(folders) == 1 and not beside:  # As in a clone of a data set on the hub: README.md and the folder data.
        return read_file(folders[0])
    raise DataError(
        f"{path} has data in {listed([*beside, *(folder.name for folder in of_data)], 5)}; pass one of them, such as "
        f"{of_data[0]}, or, if each file is one text, give all files the extension .txt"
    )


def _splits(names: Iterable[str]) -> list[str]:
    """Return the words in names that are those of splits, sorted."""
    return sorted({word for name in names for word in split_words(name)} & SPLIT_WORDS)


def _files_of_split(files: Sequence[Path], source: str, split: str) -> tuple[Sequence[Path], Sequence[str]]:
    """Return the data files of a split and the names of all splits; all files if their names do not name several.

    Beside a file such as `test.csv`, files that name no split are those of `train`.
    """
    names = {file: uncompressed_name(file).removesuffix(format_of(file) or "") for file in files}
    words = {file: frozenset(split_words(name)) & SPLIT_WORDS for file, name in names.items()}
    splits = _splits(names.values())
    unnamed = [file for file, found in words.items() if not found]
    num_splits = len({found for found in words.values() if found})
    if num_splits == 0 or (num_splits == 1 and (not unnamed or {"train", "training"} & set(splits))):
        return files, splits if split in splits else ()
    chosen = [file for file, name in names.items() if name == split] or [
        file for file, found in words.items() if split in found
    ]
    if not chosen and split == "train":
        chosen = unnamed
    if not chosen:
        raise DataError(
            f"{source} has files of several splits, but no split {split!r}; pass split, one of {listed(splits)}"
        )
    return chosen, splits


def read_files(files: Sequence[Path], source: str, split: str, read_file: Callable[[Path], Table]) -> Table:
    """Return the rows of several files as one table. If their names are those of splits, only one split is read.

    Args:
        files: the files of a folder, or of a pattern.
        source: the folder or the pattern, for messages.
        split: the split to read.
        read_file: a function that reads a data file.

    Raises:
        DataError: a file cannot be read, or has other columns than the first one; or no file is of this split.
    """
    chosen, splits = _files_of_split(files, source, split)
    table = _read_parts(chosen, source, read_file)
    not_read = [file.name for file in files if file not in chosen]
    return replace(table, columns=Columns.of_split(table.columns, splits or table.splits, not_read))


def _read_parts(files: Sequence[Path], source: str, read_file: Callable[[Path], Table]) -> Table:
    tables = [read_file(file) for file in files]
    names = list(tables[0].columns)
    for table in tables[1:]:
        if sorted(table.columns) != sorted(names):
            raise DataError(
                f"{table.source} has the columns {listed(table.columns)}, but {tables[0].source} has {listed(names)}; "
                "read the files one by one, or make their columns equal"
            )
    if len(tables) > 1:
        logger.info(f"{source}: {len(tables):,} files, {sum(map(len, tables)):,} rows")

    def read(name: str) -> Sequence[Any]:
        builder = ColumnBuilder()
        for table in tables:
            builder.extend_column(table.columns[name])
        return builder.column()

    columns = Columns(names, read, sum(map(len, tables)), splits=tables[0].splits)
    return Table(source, columns, file_places=_places_in(tables, files))


def _places_in(tables: Sequence[Table], files: Sequence[Path]) -> FilePlaces:
    """Return the places of the rows of all tables: lines if each file has lines, else rows."""
    ends = list(accumulate(map(len, tables)))
    has_lines = all(table.lines is not None for table in tables)
    file_names = [file.name for file in files]
    names = file_names if len(set(file_names)) == len(file_names) else list(map(str, files))

    def place_of(row: int) -> str:
        at = bisect_right(ends, row)
        number = row - ends[at] + len(tables[at])
        lines = tables[at].lines if has_lines else None
        return f"{number if lines is None else lines[number]} of {names[at]}"

    return FilePlaces("line" if has_lines else "row", place_of, range(sum(map(len, tables))))


def _texts_by_label(path: Path, folders: Sequence[Path], of_data: Sequence[Path], encoding: str | None) -> Table:
    texts: list[str] = []
    labels: list[str] = []
    names: list[str] = []
    guessed: list[Path] = []
    data: list[str] = []
    known = None if encoding is None else check_encoding(encoding)
    for folder in folders:
        for file in sorted(folder.iterdir()):
            if file.name.startswith(HIDDEN):
                continue
            if is_data(file):
                data.append(str(file.relative_to(path)))
                continue
            if file.is_dir():
                raise DataError(
                    f"{path} has folders inside of folders ({file}); pass a folder whose folders are the labels and "
                    "have one text in each file"
                )
            found, reason = (known, None) if known is not None else guess_encoding(file)
            if reason is not None:
                guessed.append(file)
            try:
                texts.append(file.read_bytes().decode(found).replace("\r\n", "\n").strip())
            except UnicodeDecodeError:
                raise DataError(f"{file} is not in the encoding {found}; pass another encoding") from None
            labels.append(folder.name)
            names.append(str(file.relative_to(path)))
    _warn_of_others(path, [*folders, *of_data], set(labels), data)
    if guessed:
        logger.info(
            f"{path}: {len(guessed):,} of {counted(len(texts), 'file')}, such as {guessed[0]}, are not UTF-8 and are "
            "read as cp1252 (Western European); for another encoding, pass encoding"
        )
    places = FilePlaces("file", names.__getitem__, range(len(names)))
    return Table(str(path), {"text": texts, "label": labels, "file": names}, file_places=places)


def _warn_of_others(path: Path, folders: Sequence[Path], labels: set[str], data: Sequence[str]) -> None:
    """Warn of what a user may take for labels or rows: empty folders, names with an underscore, data files.

    `data` has the data files in the folders.
    """
    others = [*(folder.name for folder in folders if folder.name not in labels), *data]
    for entry in sorted(path.iterdir()):
        if is_data(entry) or (entry.is_dir() and entry.name.startswith("_")):
            others.append(entry.name)
    if others:
        files = (
            f", and files such as {data[0]} are data, not one text; give them the extension .txt to read them"
            if data
            else ""
        )
        logger.warning(
            f"{path}: {listed(others, 5)} gave no rows; a label is a folder with texts whose name does not start "
            f"with . or _{files}"
        )
