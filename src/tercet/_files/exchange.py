"""Exchange the files of an existing folder for new ones. If a process is killed meanwhile, the next one completes it.

The new files wait in a hidden folder inside the existing one, which has these entries:

    new/     the new files
    old/     the files of the existing folder that leave
    ready    the names of these old files; it exists from the moment that the exchange has started

The most important files leave first and arrive last, so that a folder with a mixture of files is never a valid model.
"""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tercet._files.paths import PREFIX
from tercet.errors import ModelError


def start_exchange(target: Path, stage: Path, owns: Callable[[str], bool]) -> None:
    """Write down which files of `target` leave: those that the new ones replace, and those that `owns` names."""
    new = stage / "new"
    written, folders = files_in(new), [path.relative_to(new).as_posix() for path in _folders(new)]
    for names, kind, other in ((written, "file", "folder"), (folders, "folder", "file")):
        for name in names:
            place = target / name
            if place.exists() and not place.is_symlink() and place.is_dir() != (kind == "folder"):
                raise ModelError(
                    f"cannot save to {target}: {name} is a {other} there, but a {kind} of the model has this name; "
                    "move it away"
                )
    # A link in the place of a new folder leaves too, so that nothing is written through it.
    leaving = {name for name in written if os.path.lexists(target / name)}
    leaving |= {name for name in folders if (target / name).is_symlink()}
    leaving |= {name for name in files_in(target, lambda folder: owns(f"{folder}/")) if owns(name)}
    for name in written:
        keep_permissions(target / name, new / name)
    (stage / "old").mkdir()
    partial = stage / "partial"
    partial.write_text(json.dumps(sorted(leaving)), encoding="utf-8")
    partial.rename(stage / "ready")


def exchange(target: Path, stage: Path, last: list[str]) -> None:
    """Move the old files out of `target` and the new ones into it. Move all of them back if one cannot be moved."""
    new, old = stage / "new", stage / "old"
    leaving: list[str] = json.loads((stage / "ready").read_text(encoding="utf-8"))
    arriving = files_in(new)

    def position(name: str) -> int:
        return last.index(name) if name in last else -1

    moved: list[tuple[Path, Path]] = []

    def move(source: Path, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        source.rename(place)
        moved.append((source, place))

    try:
        for name in sorted(leaving, key=position, reverse=True):
            # After a kill, what has left is in `old`, and the file in its place is a new one.
            if os.path.lexists(target / name) and not os.path.lexists(old / name):
                move(target / name, old / name)
        for folder in _folders(new):
            (target / folder.relative_to(new)).mkdir(parents=True, exist_ok=True)
        for name in sorted(arriving, key=position):
            move(new / name, target / name)
    except BaseException:
        for source, place in reversed(moved):
            with suppress(OSError):
                place.rename(source)
        raise
    for folder in {(target / name).parent for name in leaving} - {target}:
        with suppress(OSError):  # It has files of the user, or of the new model.
            folder.rmdir()
    (stage / "ready").unlink()
    shutil.rmtree(old, ignore_errors=True)


def files_in(folder: Path, enter: Callable[[str], bool] = lambda folder: True) -> list[str]:
    """Return the paths of all files and links in a folder, relative to it and with `/`.

    Args:
        folder: the folder.
        enter: whether to look into a subfolder, by its path.
    """
    found = []
    for place, folders, files in os.walk(folder):
        here = Path(place).relative_to(folder)
        linked = [name for name in folders if (Path(place) / name).is_symlink()]
        found += [(here / name).as_posix() for name in (*files, *linked)]
        folders[:] = [name for name in folders if not name.startswith(PREFIX) and enter((here / name).as_posix())]
    return found


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())


def keep_permissions(old: Path, new: Path) -> None:
    """Give `new` the permissions and the group of the file `old`, if it exists."""
    with suppress(FileNotFoundError):
        status = old.stat()
        with suppress(OSError, AttributeError):  # It needs membership of the group. Windows has no groups.
            os.chown(new, -1, status.st_gid)
        new.chmod(status.st_mode & 0o777)
