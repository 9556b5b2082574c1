"""Open text files in the encoding that they have, or that the user has named."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tercet.data.formats.compressed import open_binary
from tercet.data.formats.encodings import check_binary, find_encoding, invalid_byte, unicode_of
from tercet.errors import DataError


@contextmanager
def open_text(path: Path, encoding: str | None = None) -> Iterator[TextIO]:
    """Open a text file, which may be compressed. Line breaks are not translated.

    Args:
        path: the file.
        encoding: its encoding; None finds it, see `find_encoding`.

    Raises:
        DataError: the file is no text file, is damaged, or has another encoding. The message names the first invalid
            byte, or the encodings that are possible.
    """
    found = find_encoding(path, encoding)
    try:
        with open_binary(path) as binary, io.TextIOWrapper(binary, encoding=found, newline="") as file:
            yield file
    except UnicodeError:  # also of UTF-16 with an odd number of bytes
        raise invalid_byte(path, found) from None


def check_start(start: bytes, source: str) -> None:
    """Raise `DataError` if the first bytes of a stream are those of another encoding or of no text."""
    check_binary(start, source)
    if (found := unicode_of(start)) is not None:
        name = found[:6].upper()
        raise DataError(f"{source} is {name}; save it as UTF-8 (for example with iconv -f {name} -t UTF-8)")
