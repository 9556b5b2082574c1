"""Open text files, and say which encoding a file has that is not UTF-8."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tercet.errors import DataError

# The first bytes of a file, and what the file is. UTF-32 comes first, because its mark starts with that of UTF-16.
_SIGNATURES = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"\x1f\x8b": "a gzip file",
    b"PK\x03\x04": "a zip file (such as .xlsx)",
    b"PAR1": "a Parquet file",
}
_CHECKED_BYTES = 4096


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a text file in UTF-8, with or without a byte order mark. Line breaks are not translated.

    Raises:
        DataError: the file has another encoding or is no text file. The message names it, or the first invalid byte.
    """
    with path.open("rb") as binary:
        check_start(binary.read(_CHECKED_BYTES), str(path))
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError:
        byte, line = _invalid_byte(path)
        raise DataError(
            f"{path} is not UTF-8: byte {byte:#04x} on line {line}; save it as UTF-8 (for example with iconv -f LATIN1 "
            "-t UTF-8)"
        ) from None


def check_start(start: bytes, source: str) -> None:
    """Raise `DataError` if the first bytes of a file are those of another encoding or of no text file."""
    found = next((name for signature, name in _SIGNATURES.items() if start.startswith(signature)), None)
    if found is None and start.count(0) * 3 > len(start):
        # ASCII characters have one zero byte in UTF-16 and three in UTF-32.
        found = "UTF-32" if start.count(0) * 3 > 2 * len(start) else "UTF-16"
        if not start.strip(b"\x00"):
            found = "full of zero bytes"
    if found is None:
        return
    if found.startswith("UTF"):
        raise DataError(f"{source} is {found}; save it as UTF-8 (for example with iconv -f {found} -t UTF-8)")
    raise DataError(f"{source} is {found}, not a text file; unpack or convert it, or give it the right file extension")


def _invalid_byte(path: Path) -> tuple[int, int]:
    """Return the first byte that is not valid UTF-8, and the number of its line.

    The exception of the decoder does not contain the line number, because the decoder reads several lines ahead.
    """
    number = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return line[error.start], number
    raise AssertionError(f"{path} changed while it was read")
