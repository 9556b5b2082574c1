"""Read and write the weights of a module that is not a Transformer."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from tercet.encoder.pretrained.files import read_header
from tercet.errors import ModelError

WEIGHTS = "model.safetensors"


def check_shape(folder: Path, name: str, expected: list[int], settings: str) -> None:
    """Compare the shape of a weight with config.json, before a module of a wrong, huge size is created.

    Args:
        settings: the names of the sizes in config.json, for the message.

    Raises:
        ModelError: the folder has no safetensors weights, the file is invalid, or the weight has another shape.
    """
    path = folder / WEIGHTS
    if not path.exists():
        raise ModelError(f"{folder} has no {WEIGHTS}; only safetensors weights are read")
    shape = read_header(path).get(name)
    if shape is not None and shape != expected:
        raise ModelError(
            f"the weights in {path} do not match config.json in the same folder: {name} has the size {shape}, but "
            f"{settings} are {expected}"
        )


def read_weights(module: nn.Module, folder: Path) -> None:
    """Load the weights of a module from its folder.

    Raises:
        ModelError: the file is damaged, or the weights have other names or shapes than the module.
    """
    path = folder / WEIGHTS
    try:
        module.load_state_dict(load_file(path))
    except SafetensorError as error:
        raise ModelError(f"{path} is not a valid safetensors file: {error}; copy or download it again") from error
    except RuntimeError as error:
        # The first line of the error only says that loading failed. The next lines name the weights and shapes.
        reason = " ".join(str(error).split("\n", 1)[-1].split())
        raise ModelError(f"the weights in {path} do not match config.json in the same folder: {reason}") from error


def write_weights(module: nn.Module, folder: Path) -> None:
    """Write the weights of a module into its folder."""
    weights = {name: value.contiguous() for name, value in module.state_dict().items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
