"""Check the files of a model folder before a library opens them, and read the headers of safetensors files."""

import json
import stat
from pathlib import Path

from tercet._files import read_json
from tercet.errors import ModelError, listed

# The files that loaders open. A FIFO among them would block for ever, and a device has no end.
_SUFFIXES = (".json", ".safetensors", ".txt", ".model", ".py", ".bin", ".jinja")
_MAX_HEADER_BYTES = 100 * 2**20  # the limit of the safetensors format
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_ADAPTER, _ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "tekken.json")


def check_regular_files(folder: Path) -> None:
    """Raise `ModelError` if a file of the folder is not a regular file or cannot be read.

    Links are followed, because the cache of the hub consists of links.
    """
    for path in sorted(folder.iterdir()):
        if path.suffix not in _SUFFIXES:
            continue
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise ModelError(f"{path} is {kind}; a model folder needs a file there")


def is_adapter(folder: Path) -> bool:
    """Return whether a folder has a peft adapter."""
    return (folder / _ADAPTER).exists()


def base_of_adapter(folder: Path) -> str | None:
    """Return the base model that an adapter names; None if the folder has the base model itself.

    Raises:
        ModelError: the adapter has no safetensors weights, or it names no base model.
    """
    config = read_json(folder / _ADAPTER)
    if not (folder / _ADAPTER_WEIGHTS).exists():
        raise ModelError(f"{folder} is a peft adapter without {_ADAPTER_WEIGHTS}; only safetensors weights are read")
    if (folder / "config.json").exists():
        return None
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise ModelError(
            f"{folder} is a peft adapter, but {_ADAPTER} names no base model: base_model_name_or_path is {base!r}"
        )
    return base


def has_tokenizer(folder: Path) -> bool:
    """Return whether a folder has a file with a vocabulary."""
    return any(any(folder.glob(pattern)) for pattern in _TOKENIZER_FILES)


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of an encoder.

    Raises:
        ModelError: there is none, or the index names a file that is missing, outside of the folder, or of another
            format. An index could name a pickle file, which `transformers` would read.
    """
    if (folder / _WEIGHTS).exists():
        return [folder / _WEIGHTS]
    if not (folder / _INDEX).exists():
        raise ModelError(
            f"cannot load an encoder from {folder}: it has no {_WEIGHTS}, and only safetensors weights are read"
        )
    weight_map = read_json(folder / _INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map or not all(isinstance(f, str) for f in weight_map.values()):
        raise ModelError(f"{folder / _INDEX}: weight_map must name the safetensors file of each weight")
    names = sorted(set(weight_map.values()))
    foreign = [name for name in names if Path(name).name != name or not name.endswith(".safetensors")]
    if foreign:
        raise ModelError(
            f"{folder / _INDEX} names {listed(foreign)}; only safetensors files in the same folder are read"
        )
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{folder / _INDEX} names files that are missing: {listed(missing)}; copy or download them")
    return [folder / name for name in names]


def read_header(path: Path) -> dict[str, list[int]]:
    """Return the shape of each tensor in a safetensors file, without reading the tensors.

    Raises:
        ModelError: the file is not a valid safetensors file.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(_MAX_HEADER_BYTES, path.stat().st_size):
                raise ValueError("the length of its header is wrong")
            content = json.loads(file.read(length))
        shapes = {name: entry["shape"] for name, entry in content.items() if name != "__metadata__"}
        if not all(isinstance(size, int) for shape in shapes.values() for size in shape):
            raise ValueError("a shape is not a list of integers")
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path} is not a valid safetensors file: {error}; copy or download it again") from None
    return shapes
