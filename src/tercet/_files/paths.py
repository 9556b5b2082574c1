"""Paths that the user names: expand them, and find out where they lead."""

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tercet.errors import DataError, short_repr

# All hidden files and folders that Tercet creates beside or inside the user's folders have this prefix.
PREFIX = ".tercet-"


def as_path(path: str | Path, name: str = "a path") -> Path:
    """Return a path that a caller passed as a `Path`; the empty string is the current folder.

    Args:
        path: the path.
        name: the name of the argument, for messages.

    Raises:
        DataError: it is neither a string nor a path, or has a NUL character.
    """
    if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes):
        raise DataError(f"{name} must be a string or a pathlib.Path, got {short_repr(path)}")
    if "\0" in os.fspath(path):
        raise DataError(f"{name} must have no NUL character, got {os.fspath(path)!r}")
    return Path(path)


def expand_path(path: str | Path, name: str = "a path") -> Path:
    """Return the path with `~` replaced by the home folder, as the readers of data and models do.

    `name` is the name of the argument, for messages.

    Raises:
        DataError: see `as_path`; or the path is empty, or the home folder of that user is unknown.
    """
    if isinstance(path, str) and not path:
        raise DataError('the path is empty; pass the path of a file or folder, or "." for the current folder')
    try:
        return as_path(path, name).expanduser()
    except RuntimeError:
        raise DataError(f"{str(path)!r}: there is no home folder of the user {str(path).split('/')[0]!r}") from None


def resolve_path(path: str | Path) -> Path:
    """Return the absolute path behind `~`, symbolic links and `..`; it need not exist.

    Raises:
        DataError: the home folder is unknown, or the symbolic links form a loop.
    """
    path = expand_path(path)
    try:
        return path.resolve()
    except (RuntimeError, OSError) as error:  # Python 3.13 raises OSError for a loop.
        if isinstance(error, OSError) and error.errno != errno.ELOOP:
            raise _invalid(path, error) from None
        raise DataError(f"{path} leads through a loop of symbolic links; pass another path") from None


def beside(path: Path, ending: str) -> Path:
    """Return the path beside `path` whose name has `ending` added, also for `.` and `..`."""
    path = expand_path(path)
    path = path if path.name not in ("", "..") else resolve_path(path)
    return path.with_name(f"{path.name}{ending}")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an `OSError` in the block into a `DataError` with the path and a remedy."""
    try:
        yield
    except OSError as error:
        raise _invalid(path, error) from None


def _invalid(path: Path, error: OSError) -> DataError:
    if error.errno == errno.ENAMETOOLONG:
        return DataError(f"{str(path)[:80]!r} is an invalid path: {error.strerror}; choose a shorter name")
    if error.errno == errno.EINVAL:
        return DataError(f"{str(path)[:80]!r} is an invalid path: {error.strerror}")
    if error.errno == errno.EACCES or error.errno == errno.EPERM:
        return DataError(
            f"cannot write {path}: no permission to write to {error.filename or path.parent}; choose another path"
        )
    return DataError(f"cannot write {path}: {error.strerror or error}; choose another path")


def check_name(path: Path) -> None:
    """Raise `DataError` if a path is not UTF-8 or has control characters, which several writers of files cannot use."""
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError(f"the path {text!r} is not UTF-8; choose a path that is") from None
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise DataError(f"the path {text!r} has a line break or another control character; choose a path without it")


def is_mount_point(path: Path) -> bool:
    """Return whether something is mounted at `path`, a file or a folder. Such an entry cannot be renamed."""
    if os.path.ismount(path):
        return True
    if not sys.platform.startswith("linux"):
        return False
    try:  # This file lists mounts of a part of the same file system too, which `ismount` does not notice.
        mounts = Path("/proc/self/mountinfo").read_bytes()
    except OSError:
        return False
    place = os.fsencode(os.path.realpath(path))
    points = (line.split(b" ")[4] for line in mounts.splitlines())
    return any(re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]), point) == place for point in points)


def is_same(first: Path, second: Path) -> bool:
    """Return whether two paths lead to the same file or folder, through links of any kind; they need not exist."""
    if resolve_path(first) == resolve_path(second):
        return True
    try:
        return first.samefile(second)
    except OSError:
        return False


def is_used(path: Path) -> bool:
    """Return whether `path` is a file, or a folder with anything but what Tercet or the file system put there."""
    if not path.is_dir():
        return os.path.lexists(path) and path.exists()
    with os.scandir(path) as entries:
        return any(not entry.name.startswith(PREFIX) and entry.name != "lost+found" for entry in entries)


def check_unused(path: Path, *, overwrite: bool, argument: str = "output") -> None:
    """Raise `DataError` if `path` is in use (`is_used`) and `overwrite` is False.

    Args:
        path: the file or folder to write.
        overwrite: whether it may be in use.
        argument: the name of the argument that `path` is the value of, for the message.
    """
    if not overwrite and is_used(path):
        if path.is_dir():
            raise DataError(f"{path} already exists and is not empty; pass another {argument}, or overwrite=True")
        raise DataError(f"{path} already exists; choose another {argument} or add overwrite=True")
