"""Put standard input into a file, so that it is read like one."""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tercet.errors import DataError

if sys.platform == "win32":
    from pathlib import WindowsPath as _PlatformPath
else:
    from pathlib import PosixPath as _PlatformPath

STANDARD_INPUT = "-"
# Byte order marks and white space, before the first character of the data.
_BEFORE = b"\xef\xbb\xbf \t\r\n"


class _InputPath(_PlatformPath):
    """A path of a temporary file that all messages, also later ones, call "standard input"."""

    def __fspath__(self) -> str:
        return super().__str__()

    def __str__(self) -> str:
        return "standard input"


@contextmanager
def standard_input_file() -> Iterator[Path]:
    """Write standard input into a temporary file, and yield its path. Its suffix is that of the format of the data.

    Raises:
        DataError: standard input is closed.
    """
    if sys.stdin is None:
        raise DataError("standard input is closed; pass a file")
    data = sys.stdin.buffer.read()
    with tempfile.TemporaryDirectory() as folder:
        path = _InputPath(folder, f"input{_suffix(data)}")
        path.write_bytes(data)
        yield path


def _suffix(data: bytes) -> str:
    """Return the suffix of JSON, JSON Lines or CSV, by the first character; more lines of JSON are found in `.json`."""
    content = data.lstrip(_BEFORE).rstrip()
    if content[:1] not in (b"{", b"["):
        return ".csv"
    return ".jsonl" if _is_row(content) else ".json"


def _is_row(content: bytes) -> bool:
    """Return whether the content is one line of JSON Lines: an object in one line, without lists and objects in it."""
    if len(content.splitlines()) > 1:
        return False
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and not any(isinstance(item, (list, dict)) for item in value.values())
