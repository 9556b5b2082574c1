"""Write files and folders atomically: build them in a hidden folder, then rename them to their place.

The hidden folder has a random name and is open to its owner only, so nobody can plant a link in it. It is on the same
file system as the target: beside it, or inside it if the target is an existing folder. An existing folder stays where
it is, with its permissions and all other files, and its files are exchanged. That works for mounted folders and for the
current folder too.

If the process is killed before the exchange, the old files are unchanged. If it is killed during the exchange, the next
writer to the same target completes it (`exchange.py`).
"""

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tercet._files.exchange import exchange, files_in, keep_permissions, start_exchange
from tercet._files.lock import keep_lock_file, locked, name_for
from tercet._files.paths import PREFIX, check_unused, is_mount_point, resolve_path
from tercet.errors import DataError, ModelError

# Number of seconds to wait for another process that writes to the same target.
_SECONDS_TO_WAIT = 10
# The beginning of the names of the hidden folders inside an existing target.
_INSIDE = f"{PREFIX}inside-"


def _owns_nothing(name: str) -> bool:
    return False


@contextmanager
def atomic_file(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield the path of a temporary file that the block writes; it replaces `path` if the block ends without an error.

    After an error, `path` is unchanged. Missing parent folders are created. If `path` is a symbolic link, the file that
    it leads to is replaced. A file that exists keeps its permissions. The temporary file has the file extension of
    `path`. What killed processes left for `path` is removed.

    Raises:
        DataError: the file cannot be written, or exists when the block ends although `overwrite` is False, or the block
            raises an `OSError`.
    """
    target = resolve_path(path)
    try:
        if target.exists() and not target.is_file():
            raise DataError(f"cannot write {path}: it is not a regular file; choose another path")
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target, seconds=_SECONDS_TO_WAIT) as may_have_leftovers:
            # To look for leftovers each time would read a folder of many files for each of them.
            if may_have_leftovers:
                remove_leftovers(target)
            with staging(target) as stage:
                partial = stage / f"new{target.suffix}"
                partial.touch()
                yield partial
                keep_permissions(target, partial)
                with partial.open("r+b") as file:
                    os.fsync(file.fileno())
                check_unused(path, overwrite=overwrite)
                _replace_file(partial, target)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def atomic_directory(
    target: Path,
    *,
    owns: Callable[[str], bool] = _owns_nothing,
    last: Iterable[str] = (),
    overwrite: bool = True,
) -> Iterator[Path]:
    """Yield the path of a temporary folder. When the block ends without an error, its files come into `target`.

    After an error, `target` is unchanged. A new `target` appears complete, by one rename. In an existing one, the files
    that the block writes or that `owns` names are exchanged, and everything else stays.

    Args:
        target: the folder; if it is a symbolic link, the folder that it leads to.
        owns: whether an old file is removed even if the block does not write it, by its path in the folder, with `/`.
        last: the files that a reader looks for first, in the order in which they arrive after all others.
        overwrite: whether `target` may have files when the block ends.

    Raises:
        DataError: another process writes to `target`, or it has files although `overwrite` is False.
        ModelError: `target` is a file, the folder cannot be written, or the block raises an `OSError`.
    """
    target = resolve_path(target)
    if target.exists() and not target.is_dir():
        raise ModelError(f"cannot save to {target}: it is a file; pass the path of a folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target, seconds=_SECONDS_TO_WAIT):
            remove_leftovers(target, last)
            with staging(target) as stage:
                new = stage / "new"
                new.mkdir()
                yield new
                _open_to_readers(new)
                check_unused(target, overwrite=overwrite)
                if stage.parent == target:
                    start_exchange(target, stage, owns)
                    exchange(target, stage, list(last))
                else:
                    new.rename(target)
    except OSError as error:
        raise ModelError(f"cannot save to {target}: {error.strerror or error}") from error


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """Yield a new folder with a random name, which only this user can enter, and remove it at the end.

    It is inside `target` if that is a folder, else beside it.
    """
    name = secrets.token_hex(4)
    stage = target / f"{_INSIDE}{name}" if target.is_dir() else target.parent / f"{name_for(target)}-{name}"
    try:  # Ctrl-C may come as soon as the folder exists.
        stage.mkdir(mode=0o700)  # Fails if the name exists, even as a symbolic link.
        yield stage
    finally:
        with _looked_for_later(stage, target):
            # If an error left the old files there, the next writer exchanges them.
            if not files_in(stage / "old"):
                _remove(stage)


def remove_leftovers(target: Path, last: Iterable[str] = ()) -> None:
    """Remove the hidden folders that killed processes left for `target`. Complete an exchange that had started.

    The caller holds the lock of `target`, so no other process uses these folders.

    Raises:
        OSError: an exchange cannot be completed.
    """
    for stage in target.parent.glob(f"{name_for(target)}-*"):
        with _looked_for_later(stage, target):
            _remove(stage)
    for stage in target.glob(f"{_INSIDE}*") if target.is_dir() else ():
        with _looked_for_later(stage, target):
            if (stage / "ready").exists():
                exchange(target, stage, list(last))
            _remove(stage)


@contextmanager
def _looked_for_later(stage: Path, target: Path) -> Iterator[None]:
    """Let the next writer look for leftovers if the block does not remove `stage`, also at an error or at Ctrl-C."""
    try:
        yield
    finally:
        if os.path.lexists(stage):
            keep_lock_file(target)


def _remove(stage: Path) -> None:
    with suppress(OSError):
        (stage / "ready").unlink(missing_ok=True)  # first, because without its other files it describes no exchange
        shutil.rmtree(stage)


def _open_to_readers(folder: Path) -> None:
    """Give the files in a folder the permissions that new files have; safetensors creates them for the owner only."""
    mode = folder.stat().st_mode & 0o666  # `mkdir` has applied the umask.
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)


def _replace_file(partial: Path, target: Path) -> None:
    try:
        partial.replace(target)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.EXDEV) or not is_mount_point(target):
            raise
        with partial.open("rb") as source, target.open("r+b") as file:  # A file that is mounted cannot be replaced.
            shutil.copyfileobj(source, file)
            file.truncate()
            os.fsync(file.fileno())
