"""Read and write JSON files, and write files and folders atomically.

atomic_file             write a temporary file, then rename it to the target
atomic_directory        write a temporary folder, then rename it to the target
remove_directory        rename a folder, then delete it
read_json, write_json   read or write a JSON file
"""

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tercet.errors import DataError, ModelError

# `remove_directory` adds this prefix to the name of a folder before it deletes the folder. If such a folder exists, the
# process was killed during the deletion.
REMOVED_PREFIX = ".removed-"
# The largest JSON file of a model is its tokenizer, with at most some 35 MB.
_MAX_JSON_BYTES = 64 * 2**20


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file of a model directory.

    Raises:
        ModelError: the file is missing, cannot be read, is not valid JSON, or does not contain a JSON object.
    """
    content = read_json_value(path)
    if not isinstance(content, dict):
        raise ModelError(f"{path} must contain a JSON object, but it contains a {type(content).__name__}")
    return content


def read_json_value(path: Path) -> Any:
    """Return the JSON value in a file of a model directory.

    Raises:
        ModelError: the file is missing, cannot be read, or is not valid JSON. FIFOs, devices and files above 64 MiB are
            not read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path} is not a regular file; a model directory needs a JSON file there")
        if status.st_size > _MAX_JSON_BYTES:
            raise ModelError(f"{path} has {status.st_size:,} bytes; a JSON file of a model has at most 64 MiB")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path} is missing, so {path.parent} is not a complete model directory") from None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except RecursionError:
        raise ModelError(f"{path} is nested too deeply to be read") from None
    except ModelError:
        raise
    except ValueError as error:
        raise ModelError(f"{path} is not valid JSON: {error}") from None


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON in UTF-8."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file that the block writes; it replaces `path` if the block ends without an error.

    After an error, `path` is unchanged. Missing parent folders are created. The temporary file has the
    file extension of `path`.

    Raises:
        DataError: the file cannot be written, or the block raises an `OSError`.
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
    """Rename a folder, then delete it, so that the folder is never partly deleted under its own name.

    If the renamed folder cannot be deleted, it stays, and no error is raised.
    """
    removed = folder.with_name(f"{REMOVED_PREFIX}{folder.name}")
    shutil.rmtree(removed, ignore_errors=True)
    folder.rename(removed)
    shutil.rmtree(removed, ignore_errors=True)


@contextmanager
def atomic_directory(target: Path) -> Iterator[Path]:
    """Yield the path of a temporary folder, which replaces `target` when the block ends without an error.

    After an error, `target` is unchanged. If `target` exists, its top-level files and folders are kept, except those
    that the block writes. An existing `target` is replaced by two renames; `target` is missing between the two.

    Raises:
        ModelError: `target` is a file, the folder cannot be written, or the block raises an `OSError`.
    """
    target = target.resolve()
    if target.exists() and not target.is_dir():
        raise ModelError(f"cannot save to {target}: it is a file; pass the path of a folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    except OSError as error:
        raise ModelError(f"cannot save to {target}: {error.strerror or error}") from error
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
    """Replace `target` by `staging`; restore `target` if the second rename fails."""
    replaced = staging.with_suffix(".replaced")
    target.rename(replaced)
    try:
        staging.rename(target)
    except BaseException:
        replaced.rename(target)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def _open_to_readers(folder: Path) -> None:
    """Give a folder and its content the default permissions of the umask.

    Temporary folders and safetensors files are created with permissions for their owner only.
    """
    mask = _umask()
    folder.chmod(0o777 & ~mask)
    for path in folder.rglob("*"):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)


def _keep_other_files(old: Path, new: Path) -> None:
    """Hard-link or copy into `new` the top-level files and folders of `old` that `new` does not have."""
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
