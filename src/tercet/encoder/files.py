"""JSON files that say what is wrong with them, and folders that are whole or absent."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tercet.errors import ModelError


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a model directory; `ModelError` if it is missing or holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path} is missing, so {path.parent} is not a whole model directory") from None
    except ValueError as error:
        raise ModelError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no JSON object")
    return content


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented UTF-8."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give a new folder to write into, which becomes `target` when the block ends without an error.

    A reader sees the old `target`, none, or the new one, never a part. Files of an existing `target`
    that the block does not write itself stay. After an error the old `target` is as it was.
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
    """Put `staging` in the place of `target`, or leave `target` where it was."""
    replaced = staging.with_suffix(".replaced")
    target.rename(replaced)
    try:
        staging.rename(target)
    except BaseException:
        replaced.rename(target)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def _open_to_readers(folder: Path) -> None:
    """Give the usual permissions: what makes temporary folders and weights lets only their owner read."""
    mask = _umask()
    folder.chmod(0o777 & ~mask)
    for path in folder.rglob("*"):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)


def _keep_other_files(old: Path, new: Path) -> None:
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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
