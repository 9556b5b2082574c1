"""Names of the files in the folder of a head, and the check that no file of the user is in their place."""

from collections.abc import Iterable
from pathlib import Path

from tercet._files.model_files import METRICS_FILE, is_model_folder, is_record
from tercet.errors import DataError, listed

WEIGHTS_FILE, ENTRY_FILE = "head.safetensors", "head.json"


def check_head_places(folder: Path, *, more_files: Iterable[str] = (METRICS_FILE,)) -> None:
    """Raise `DataError` if a head cannot be written to `folder` without a loss of files of the user.

    Args:
        folder: the folder. It need not exist.
        more_files: the JSON files that are written beside the head.
    """
    if is_model_folder(folder):
        raise DataError(f"{folder} is the folder of a model; choose another output for the head")
    names = [name for name in (ENTRY_FILE, *more_files) if (folder / name).exists()]
    foreign = [name for name in names if not is_record(folder / name)]
    if (folder / WEIGHTS_FILE).exists() and ENTRY_FILE not in names:
        foreign.append(WEIGHTS_FILE)
    if foreign:
        raise DataError(
            f"{folder} has files that are not those of a head, but have their names: {listed(sorted(foreign))}; move "
            "them away, or choose another output"
        )
