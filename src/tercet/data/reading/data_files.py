"""Find the data files among the files of a folder.

data_files         returns the data files of a folder
holds_data         returns whether a folder has data files and no texts
holds_texts        returns whether a folder has .txt files
holds_other_files  returns whether a folder has files that are no data files
describes          returns whether a file describes the data, by its name
is_data            returns whether a file is a data file, by its format
format_of          returns the format of a file
uncompressed_name  returns the name of a file without the suffix of a compression
"""

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from tercet.catalogue import FILE_FORMATS
from tercet.data.formats.compressed import COMPRESSED, inner_name
from tercet.data.formats.split_names import is_split
from tercet.errors import DataError, listed

logger = logging.getLogger(__name__)

# The start of file names that are neither data nor texts.
HIDDEN = (".", "_")
# Formats in which a folder of texts has one text in each file.
_TEXT_EXTENSIONS = (".txt", ".md")
# The names, without extension, of files that people, the hub, Kaggle and other archives put beside data files.
_DESCRIPTIONS = re.compile(
    "readme(_[a-z]{2,3})?(_[a-z]{2})?|licen[sc]e|copying|notice|changelog|citation|contributing|metadata|dataset_infos?|"
    "dataset_metadata|datapackage|croissant"
)
_DESCRIPTION_EXTENSIONS = (*_TEXT_EXTENSIONS, ".json", ".yml", ".yaml")


def data_files(folder: Path) -> list[Path]:
    """Return the data files of a folder, sorted, without texts, files that describe the data, and compressed copies."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith(HIDDEN))
    return _without_descriptions(
        folder, _without_copies(folder, [entry for entry in entries if format_of(entry) not in (None, ".txt")])
    )


def holds_data(folder: Path) -> bool:
    """Return whether a folder has data files, also in folders of splits, and neither .txt files nor other folders.

    Other files may lie beside them, such as README.md or a script.
    Example: `data/train-00000-of-00001.parquet` or `data/train/0000.parquet` in a data set of the hub.
    """
    entries = _undescribed(folder)
    data = [entry for entry in entries if is_data(entry) or _is_split_of_data(entry)]
    return bool(data) and not any(entry.is_dir() or format_of(entry) == ".txt" for entry in set(entries) - set(data))


def holds_texts(folder: Path) -> bool:
    """Return whether a folder has .txt files, beside those that describe the data."""
    return any(format_of(entry) == ".txt" for entry in _undescribed(folder))


def holds_other_files(folder: Path) -> bool:
    """Return whether a folder has files that may be texts or scripts: neither data files nor descriptions of them."""
    return any(entry.is_file() and not is_data(entry) for entry in _undescribed(folder))


def _undescribed(folder: Path) -> list[Path]:
    """Return the entries of a folder that are not hidden and, by their names, do not describe the data."""
    return [entry for entry in folder.iterdir() if not entry.name.startswith(HIDDEN) and not describes(entry)]


def _is_split_of_data(path: Path) -> bool:
    return path.is_dir() and is_split(path.name) and holds_data(path)


def is_data(path: Path) -> bool:
    """Return whether a file is a data file by its format, rather than one text."""
    return format_of(path) not in (None, *_TEXT_EXTENSIONS)


def _without_descriptions(folder: Path, files: Sequence[Path]) -> list[Path]:
    """Leave out files that describe the data, such as README.md and dataset_info.json, unless all files do.

    Markdown is training data of Rasa only if all files are Markdown. Beside others it is left out, and logged.
    """
    rest = [file for file in files if not describes(file)]
    if rest and (described := [file.name for file in files if file not in rest]):
        logger.info(f"{folder}: not read, because files of these names describe the data: {listed(described, 5)}")
    if any(map(is_data, rest)):
        if notes := [file.name for file in rest if format_of(file) == ".md"]:
            logger.info(f"{folder}: not read, because Markdown beside data files describes them: {listed(notes, 5)}")
        rest = [file for file in rest if format_of(file) != ".md"]
    return rest or list(files)


def describes(path: Path) -> bool:
    """Return whether the name of a file is a usual one of files that describe the data or their use."""
    file_format = format_of(path)
    stem = path.stem.lower() if file_format is None else uncompressed_name(path).removesuffix(file_format)
    named = _DESCRIPTIONS.fullmatch(re.sub("[-.]", "_", stem)) is not None
    return named and file_format in (None, *_DESCRIPTION_EXTENSIONS) and not path.is_dir()


def format_of(path: Path) -> str | None:
    """Return the format of a file, which may be compressed; None for any other file or folder."""
    if not path.is_file():
        return None
    try:
        name = inner_name(path).lower()
    except DataError:  # An archive of several files.
        return None
    suffixes = [suffix for suffix in FILE_FORMATS if name.endswith(suffix)]
    return max(suffixes, key=len) if suffixes else None


def uncompressed_name(path: Path) -> str:
    """Return the name of a file in small letters, without the suffix of a compression."""
    suffix = path.suffix.lower()
    return path.name.lower().removesuffix(suffix if suffix in COMPRESSED else "")


def _without_copies(folder: Path, files: list[Path]) -> list[Path]:
    """Leave out, and log, the compressed files that are also there without compression."""
    names = {file.name.lower() for file in files}
    copies = [file for file in files if uncompressed_name(file) in names - {file.name.lower()}]
    if copies:
        logger.info(f"{folder}: not read, because they are also there uncompressed: {listed([f.name for f in copies])}")
    return [file for file in files if file not in copies]
