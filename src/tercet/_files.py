"""Reading JSON, and atomic writing: a reader sees the old file or folder, or the new one, never a part of it.

atomic_file             writes a file that replaces its target when the block ends
atomic_directory        writes a folder that replaces its target when the block ends
remove_directory        removes a folder at once, as a reader sees it
read_json, write_json   one JSON object in a file
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tercet.errors import DataError, ModelError

# The prefix of a folder that is being removed. A folder with it is left over from a process that was killed.
REMOVED_PREFIX = ".removed-"


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file of a model directory; raise `ModelError` if it is missing or invalid."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path} is missing, so {path.parent} is not a complete model directory") from None
    except ValueError as error:
        raise ModelError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} does not hold a JSON object")
    return content


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON in UTF-8."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file, which replaces `path` when the block ends without an error.

    Raises:
        DataError: the file cannot be written; `path` is unchanged.
    """
    partial = path.with_name(f".{path.name}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        _flush_to_disk(partial)
        partial.replace(path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # There is nothing to remove if the file could not be created.
            partial.unlink(missing_ok=True)


def remove_directory(folder: Path) -> None:
    """Remove a folder. It is renamed first, so that a reader never sees a part of it."""
    removed = folder.with_name(f"{REMOVED_PREFIX}{folder.name}")
    shutil.rmtree(removed, ignore_errors=True)
    folder.rename(removed)
    shutil.rmtree(removed, ignore_errors=True)


@contextmanager
def atomic_directory(target: Path) -> Iterator[Path]:
    """Yield the path of a temporary folder, which replaces `target` when the block ends without an error.

    Files of an existing `target` that the block does not write are kept. After an error, `target` is unchanged.

    Raises:
        ModelError: the folder cannot be written.
    """
    target = target.resolve()
    if target.exists() and not target.is_dir():
        raise ModelError(f"cannot save to {target}: it is a file; name a folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    except OSError as error:
        raise ModelError(f"cannot save to {target}: {error.strerror}") from error
    try:
        yield staging
        _open_to_readers(staging)
        if target.exists():
            _keep_other_files(target, staging)
            _swap(staging, target)
        else:
            staging.rename(target)
    except OSError as error:
        raise ModelError(f"cannot save to {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _swap(staging: Path, target: Path) -> None:
    """Replace `target` by `staging`, or leave it unchanged if that fails."""
    replaced = staging.with_suffix(".replaced")
    target.rename(replaced)
    try:
        staging.rename(target)
    except BaseException:
        replaced.rename(target)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def _open_to_readers(folder: Path) -> None:
    """Set the default permissions, because temporary folders and weight files are readable by their owner only."""
    mask = _umask()
    folder.chmod(0o777 & ~mask)
    for path in folder.rglob("*"):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)


def _keep_other_files(old: Path, new: Path) -> None:
    """Link or copy the entries of the old folder that the new one does not have."""
    for entry in old.iterdir():
        if (new / entry.name).exists():
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, new / entry.name, symlinks=True, copy_function=_link_or_copy)
        else:
            _link_or_copy(entry, new / entry.name)


def _link_or_copy(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
