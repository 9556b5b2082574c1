"""Let one process at a time write to a path.

The lock is a hidden file beside the path (`home_of`) that its process has locked. The system releases the lock when the
process ends, however it ends. So a lock file that a killed process left does not block the next one, which
looks for temporary files if it finds a lock file.
"""

import errno
import hashlib
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from tercet._files.paths import PREFIX, is_mount_point
from tercet.errors import DataError

logger = logging.getLogger(__name__)

# Number of seconds between two attempts to get a lock.
_PAUSE = 0.05
# Number of hexadecimal digits in the names of temporary files, and the length of `name_for`.
_DIGITS = 10
NAME_LENGTH = len(PREFIX) + _DIGITS


@dataclass(frozen=True)
class _Holder:
    """The holder of a lock: its thread, whether the lock file existed before, and whether it stays afterwards."""

    thread: int
    existed: bool
    stays: bool = False


# The lock files that this process holds. To the system, a lock belongs to the process.
_held: dict[Path, _Holder] = {}
_guard = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_held.clear)  # A child does not hold the locks of its parent.


def home_of(target: Path) -> Path:
    """Return the folder for what belongs to `target` (a resolved path) but is not part of it: the lock and checkpoints.

    It is the folder that contains `target`. If `target` is a mounted folder, or its parent is not writable, it is
    `target` itself: nothing can be renamed across a mount, and the files beside a container's volume are lost with the
    container.
    """
    if target.is_dir() and (is_mount_point(target) or not os.access(target.parent, os.W_OK)):
        return target
    return target.parent


def name_for(target: Path) -> str:
    """Return the beginning of the names of all temporary files and folders for `target`. It is short for any name."""
    return PREFIX + hashlib.sha256(os.fsencode(target.name)).hexdigest()[:_DIGITS]


class LockedError(DataError):
    """An error for a path that another process or thread writes to."""


@contextmanager
def locked(target: Path, *, seconds: float = 0) -> Iterator[bool]:
    """Hold the lock of `target`, a resolved path in an existing folder. The same thread may hold it twice.

    Yield whether the lock file existed, because a process that held the lock was killed, or could not remove its
    temporary files. Only then may there be temporary files of `target`, which that process has left.

    Args:
        target: the path to write to.
        seconds: how long to wait for another process or thread that holds the lock.

    Raises:
        LockedError: another process or thread writes to `target`.
        OSError: the lock file cannot be created.
    """
    path = _lock_file(target)
    holder = _held.get(path)
    if holder is not None and holder.thread == threading.get_ident():
        yield holder.existed
        return
    deadline = time.monotonic() + seconds
    while (file := _try_lock(path)) is None:
        if time.monotonic() >= deadline:
            raise LockedError(
                f"another process or thread is writing to {target}{_holder(path)}; wait for its end, or choose another "
                "path"
            )
        time.sleep(_PAUSE)
    try:
        yield _held[path].existed
    finally:
        holder = _held.get(path)
        if holder is not None and not holder.stays:  # A child that was forked meanwhile holds nothing.
            with suppress(OSError):  # The folder may be gone. On Windows, an open file cannot be removed.
                path.unlink(missing_ok=True)
        file.close()
        _held.pop(path, None)


def keep_lock_file(target: Path) -> None:
    """Keep the lock file of `target` when its lock is released, so that the next writer looks for temporary files."""
    path = _lock_file(target)
    if (holder := _held.get(path)) is not None:
        _held[path] = replace(holder, stays=True)


def _lock_file(target: Path) -> Path:
    return home_of(target) / f"{name_for(target)}.lock"


def _try_lock(path: Path) -> IO[bytes] | None:
    with _guard:
        if path in _held:
            return None
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        existed = False
        try:
            number = os.open(path, flags | os.O_EXCL, 0o666)
        except FileExistsError:
            number, existed = os.open(path, flags, 0o666), True
        file = os.fdopen(number, "r+b")
        try:
            _lock(file)
            # The holder removes the file when it releases the lock, and then this is not the file at `path` any more.
            if not os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                raise BlockingIOError
        except (BlockingIOError, PermissionError, FileNotFoundError):
            file.close()
            return None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                file.close()
                raise
            logger.warning(f"{path.parent} does not support locks; do not start a second run with the same output")
        file.truncate()
        file.write(f"{os.getpid()}\n".encode())
        file.flush()
        _held[path] = _Holder(threading.get_ident(), existed=existed)
        return file


def _lock(file: IO[bytes]) -> None:
    """Lock a file, or raise `BlockingIOError` or `PermissionError` if another process has locked it."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        # Unlike with `flock`, a process that is forked meanwhile does not hold the lock too.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(path: Path) -> str:
    if path in _held:  # To open and close the file would release the lock of this process.
        return ""
    with suppress(OSError, ValueError):
        return f" (process {int(path.read_bytes())})"
    return ""
