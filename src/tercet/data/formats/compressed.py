"""Open files that may be compressed: .gz, .zst, and .zip archives with one file."""

import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tercet.errors import DataError, listed

# The bit of the flags of a file in a .zip archive.
_ENCRYPTED = 0x1


def inner_name(path: Path) -> str:
    """Return the name of the file inside a compressed one, which determines the format; else the name of `path`.

    Raises:
        DataError: a .zip archive is damaged, has an unsupported version, or does not contain exactly one file.
    """
    suffix = path.suffix.lower()
    if suffix in (".gz", ".zst"):
        return path.name[: -len(suffix)]
    if suffix == ".zip" and path.is_file():
        return _only_member(path)
    return path.name


def is_compressed(path: Path) -> bool:
    """Return whether the file extension is one of a compressed file."""
    return path.suffix.lower() in _OPENERS


@contextmanager
def open_binary(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to read its bytes, uncompressed.

    Raises:
        DataError: a compressed file is damaged, or an archive has a password or an unsupported compression.
    """
    opener = _OPENERS.get(path.suffix.lower(), Path.open)
    try:
        with opener(path, "rb") as file:
            yield file
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged: {error}") from None
    except OSError as error:
        if error.errno is not None or not is_compressed(path):
            raise
        raise DataError(f"{path} is damaged: {error}") from None  # from the library of .zst


def _only_member(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            # macOS adds a hidden folder to its archives.
            names = [item.filename for item in archive.infolist() if not item.is_dir()]
    except zipfile.BadZipFile as error:
        raise DataError(f"{path} is damaged: {error}") from None
    except NotImplementedError as error:
        raise _unsupported(path, str(error)) from None
    names = [name for name in names if not name.startswith("__MACOSX/")]
    if len(names) != 1:
        raise DataError(f"{path} contains {len(names)} files ({listed(names, 3)}); unpack it and pass one of them")
    return names[0]


@contextmanager
def _open_zip(path: Path, mode: str) -> Iterator[IO[bytes]]:
    name = _only_member(path)
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(name).flag_bits & _ENCRYPTED:
            raise DataError(f"{path} is protected by a password; unpack it and pass the file that it contains")
        try:
            member = archive.open(name)
        except NotImplementedError as error:
            raise _unsupported(path, str(error)) from None
        with member:
            yield member


def _unsupported(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path} cannot be unpacked by Python ({reason}); unpack it with another program and pass the file that it "
        "contains"
    )


@contextmanager
def _open_zst(path: Path, mode: str) -> Iterator[IO[bytes]]:
    import pyarrow

    with pyarrow.OSFile(str(path)) as raw, pyarrow.CompressedInputStream(raw, "zstd") as stream:
        yield io.BytesIO(stream.read())  # The stream itself cannot be rewound.


_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".zst": _open_zst, ".zip": _open_zip}
# The suffixes of compressed files.
COMPRESSED = tuple(_OPENERS)
