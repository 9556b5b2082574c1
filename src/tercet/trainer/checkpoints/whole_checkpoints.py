"""Distinguish whole checkpoints from incomplete and damaged ones: a list of the files of each, with checksums.

`seal_checkpoint` writes `run.json` as the last file of a checkpoint: the identity of the run, and the checksum of each
file. A run is resumed only from a whole checkpoint, whose files are all there and unchanged. `latest_checkpoint`
returns the newest of these.
"""

import zipfile
import zlib
from pathlib import Path
from typing import Any

from transformers import TrainerState
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME

from tercet._files import find_checkpoints, parse_json, write_json
from tercet.errors import DataError
from tercet.trainer.checkpoints.run_identity import RunIdentity

FILE = "run.json"
_REQUIRED = (TRAINER_STATE_NAME, OPTIMIZER_NAME, SCHEDULER_NAME)
_BLOCK = 1 << 20


def seal_checkpoint(folder: Path, identity: RunIdentity) -> None:
    """Write `run.json` into a checkpoint whose other files are all written."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): _checksum(path) for path in paths}
    write_json(folder / FILE, {"identity": identity.to_dict(), "files": files})


def read_identity(checkpoint: Path) -> dict[str, Any]:
    """Return the identity of the run that wrote a checkpoint without a problem (see `find_problem`)."""
    identity: dict[str, Any] = parse_json((checkpoint / FILE).read_bytes())["identity"]
    return identity


def find_problem(checkpoint: Path) -> str | None:
    """Return why a run cannot be resumed from a checkpoint, or None if the checkpoint is whole."""
    try:
        for path in checkpoint.rglob("*"):  # Reading a pipe would never end.
            if not path.is_file() and not path.is_dir():
                return f"{path.relative_to(checkpoint)} is not a regular file"
        content = parse_json((checkpoint / FILE).read_bytes())
        files, _ = content["files"], content["identity"]["arguments"]
        for name, checksum in files.items():
            path = checkpoint / name
            if not path.is_file():
                return f"{name} is missing"
            if _checksum(path, complete=True) != checksum:
                return f"{name} is damaged or was changed"
        for name in _REQUIRED:
            if name not in files:
                return f"it has no {name}, as with save_only_model=True"
        if not any(name.startswith("rng_state") for name in files):
            return "it has no state of the random number generators"
        if not isinstance(TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME)).global_step, int):
            return f"{TRAINER_STATE_NAME} is invalid"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except OSError as error:
        return f"cannot read {Path(error.filename or FILE).name}: {error.strerror or error}"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"{FILE} or {TRAINER_STATE_NAME} is invalid"
    return None


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint in `folder` that a run can be resumed from, or None."""
    return newest_whole(folder)[0]


def newest_whole(folder: Path) -> tuple[Path | None, dict[Path, str]]:
    """Return the newest whole checkpoint in a folder, or None, and the newer ones with the reason to skip each."""
    skipped: dict[Path, str] = {}
    for checkpoint in filter(Path.is_dir, reversed(find_checkpoints(folder))):
        problem = find_problem(checkpoint)
        if problem is None:
            return checkpoint, skipped
        skipped[checkpoint] = problem
    return None, skipped


def check_whole(checkpoint: Path) -> None:
    """Raise `DataError` if a checkpoint does not exist, is incomplete or is damaged."""
    if not checkpoint.is_dir():
        raise DataError(f"cannot resume: there is no checkpoint {checkpoint}")
    problem = find_problem(checkpoint)
    if problem is not None:
        whole, _ = newest_whole(checkpoint.parent)
        remedy = (
            f"resume from {whole}" if whole else f"{checkpoint.parent} has no whole checkpoint; start the run again"
        )
        raise DataError(f"cannot resume from {checkpoint}: {problem}; {remedy}")


def _checksum(path: Path, *, complete: bool = False) -> int:
    """Return the CRC-32 of a file. Zip files, as `torch.save` writes them, have checksums, which need not be computed.

    Args:
        path: the file.
        complete: whether to verify the content of a zip file against its checksums. If it is wrong, return -1.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if complete and archive.testzip() is not None:
                return -1
            return zlib.crc32(repr([(item.filename, item.CRC) for item in archive.infolist()]).encode())
    except zipfile.BadZipFile:
        pass
    except Exception:  # A damaged zip file raises errors of many classes.
        return -1
    value = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            value = zlib.crc32(block, value)
    return value
