"""Read sentences from a stream, one per line, as soon as they arrive."""

import os
from collections.abc import Iterator

from tercet._texts import text_key
from tercet.data.formats.text_files import check_start
from tercet.errors import DataError

# Maximum number of bytes that are read at once. It limits the number of lines that are yielded together.
_BLOCK_BYTES = 1 << 16
# Maximum number of bytes of a line, as for a field of a .csv file.
_MAX_LINE_BYTES = 1 << 24


def read_lines(descriptor: int, source: str) -> Iterator[list[str]]:
    """Yield the lines of a stream in lists, without lines that show nothing. Memory does not grow with the stream.

    A list has the lines that can be read without waiting, at least one. So a line is yielded when it was written to the
    stream, and the lines of a long file are yielded in large lists. A line ends with a line feed, or with a carriage
    return and a line feed.

    Args:
        descriptor: the file descriptor of the stream.
        source: the name of the stream, for messages.

    Raises:
        DataError: the stream cannot be read, is not UTF-8, or has a line of more than 16 MiB. The message names the
            line.
    """
    number, rest = 0, b""
    while block := _read(descriptor, source):
        if number == 0 and not rest:
            check_start(block, source)
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > _MAX_LINE_BYTES:
            raise DataError(f"{source}, line {number + len(lines) + 1}: the line is longer than 16 MiB; break it up")
        if texts := _texts(lines, number, source):
            yield texts
        number += len(lines)
    if rest and (texts := _texts([rest], number, source)):
        yield texts


def _read(descriptor: int, source: str) -> bytes:
    try:
        return os.read(descriptor, _BLOCK_BYTES)
    except OSError as error:
        raise DataError(f"cannot read {source}: {error.strerror}") from None


def _texts(lines: list[bytes], number: int, source: str) -> list[str]:
    """Return the lines that show something, as text; `number` is that of the line before the first one."""
    texts = []
    for at, line in enumerate(lines, start=number + 1):
        try:
            text = line.removesuffix(b"\r").decode("utf-8-sig" if at == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{source}, line {at}, is not UTF-8: byte {line[error.start]:#04x}; convert the stream to UTF-8 (for "
                "example with iconv -f LATIN1 -t UTF-8)"
            ) from None
        if text_key(text):
            texts.append(text)
    return texts
