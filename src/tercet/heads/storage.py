"""Write the folder of a head, and read it.

head.safetensors   the tensor `weight` (out_dim, in_dim), float32
head.json          the format version, both dimensions, and facts about the training
metrics.json       the record of the run that trained the head, if there was one
"""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from tercet._files import atomic_directory, check_format_version, expand_path, read_json, resolve_path, write_json
from tercet._files.head_files import ENTRY_FILE, WEIGHTS_FILE, check_head_places
from tercet._files.model_files import is_model_folder
from tercet._version import __version__
from tercet.encoder.pretrained.files import check_regular_files, read_header
from tercet.errors import EmbeddingError, ModelError, listed
from tercet.heads.linear import LinearHead

_FORMAT_VERSION = 1


def save_head(
    head: LinearHead,
    folder: str | Path,
    *,
    facts: dict[str, Any] | None = None,
    more_files: dict[str, Any] | None = None,
    overwrite: bool = True,
) -> None:
    """Write a head into a folder atomically. Other files of an existing folder stay.

    Args:
        head: the head.
        folder: the folder; missing parent folders are created.
        facts: further entries of `head.json`, such as the settings of the training.
        more_files: further JSON files to write into the folder: the content by file name.
        overwrite: whether the folder may have files already.

    Raises:
        DataError: the folder has files although `overwrite` is False, is the folder of a model, has files that are not
            those of a head but have their names, or another process writes to it.
        ModelError: the folder cannot be written.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_head(LinearHead(torch.eye(2)), folder)
        ...     load_head(folder).weight
        tensor([[1., 0.],
                [0., 1.]])
    """
    folder, more_files = resolve_path(folder), more_files or {}
    files = (WEIGHTS_FILE, ENTRY_FILE, *more_files)
    with atomic_directory(folder, owns=files.__contains__, last=(ENTRY_FILE,), overwrite=overwrite) as staging:
        check_head_places(folder, more_files=more_files)
        save_file({"weight": head.weight}, staging / WEIGHTS_FILE, metadata={"format": "pt"})
        for name, content in more_files.items():
            write_json(staging / name, content)
        own = {
            "format_version": _FORMAT_VERSION,
            "tercet_version": __version__,
            "in_dim": head.in_dim,
            "out_dim": head.out_dim,
        }
        write_json(staging / ENTRY_FILE, {**own, **(facts or {})})


def load_head(folder: str | Path) -> LinearHead:
    """Read a head from the folder that `save_head` or `tercet train` wrote.

    Raises:
        ModelError: the folder does not exist or is not the folder of a head, a file is missing or damaged, or the files
            do not belong together.
    """
    folder = expand_path(folder)
    entry, path = folder / ENTRY_FILE, folder / WEIGHTS_FILE
    if not entry.exists():
        what = "does not exist" if not folder.exists() else "has no file head.json"
        if is_model_folder(folder):
            what = "is the folder of a model"
        raise ModelError(f"{folder} is not the folder of a head: it {what}; pass the output of the training of a head")
    check_regular_files(folder)
    content = read_json(entry)
    check_format_version(entry, content.get("format_version"), _FORMAT_VERSION, "the file of a head")
    sizes = [content.get("out_dim"), content.get("in_dim")]
    if not path.exists():
        raise ModelError(f"{path} is missing, so {folder} is not a complete head; copy it again")
    shapes = read_header(path)
    if shapes != {"weight": sizes}:
        raise ModelError(
            f"{path} does not match head.json in the same folder: it has the tensors {listed(shapes.items())}, "
            f"expected 'weight' of size {sizes}; copy both files again"
        )
    try:
        return LinearHead(load_file(path)["weight"])
    except (SafetensorError, EmbeddingError) as error:
        raise ModelError(f"{path} is not a valid head: {error}") from error
