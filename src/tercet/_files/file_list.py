"""Folders of which Tercet removes only what it wrote: a list in the folder names the files."""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tercet._files.json_files import parse_json
from tercet._files.paths import PREFIX

_LIST = f"{PREFIX}files.json"


def list_files(folder: Path) -> None:
    """Write the list of the files that `folder` has now."""
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if not path.is_dir()]
    (folder / _LIST).write_text(json.dumps(names), encoding="utf-8")


def is_listed(folder: Path) -> bool:
    """Return whether `folder` has a list of files that Tercet wrote."""
    return not folder.is_symlink() and (folder / _LIST).is_file()


def find_unlisted(folder: Path) -> list[str]:
    """Return the files in `folder` that its list does not name, without empty folders; all files if it has no list.

    For what is not a folder, such as a file or a link, return its own name.
    """
    if folder.is_symlink() or not folder.is_dir():
        return [folder.name]
    names: set[str] = set()
    with suppress(OSError, ValueError, TypeError):
        names = {_LIST, *parse_json((folder / _LIST).read_bytes())}
    found = [
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()
    ]
    return sorted(set(found) - names)


def remove_listed(folder: Path, *, first: Iterable[str] = ()) -> bool:
    """Remove the files that the list in `folder` names, then the folder if it is empty. Return whether it is gone.

    A folder without a list stays as it is.

    Args:
        folder: the folder.
        first: the files to remove first, so that a folder that is partly removed is never taken for a complete one.
    """
    if not is_listed(folder):
        return False
    with suppress(OSError, ValueError, TypeError):
        names = parse_json((folder / _LIST).read_bytes())
        for name in (*first, *names):
            place = folder / str(name)
            if ".." not in Path(name).parts and not Path(name).is_absolute() and not _passes_link(folder, place):
                place.unlink(missing_ok=True)
        (folder / _LIST).unlink()
    remove_empty_folders(folder)
    return not folder.exists()


def remove_empty_folders(folder: Path) -> None:
    """Remove all folders in `folder` that have no file, and `folder` itself if nothing is left."""
    for place, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            os.rmdir(place)


def _passes_link(folder: Path, place: Path) -> bool:
    return any(parent.is_symlink() for parent in place.parents if parent.is_relative_to(folder))
