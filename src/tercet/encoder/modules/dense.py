"""Dense: a module that applies a linear layer and an activation to the sentence embedding."""

import importlib
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from tercet._files import read_json, write_json
from tercet.encoder.features import Features
from tercet.encoder.modules.base import Module, check_dimension
from tercet.encoder.pretrained.files import read_header
from tercet.errors import ModelError

_WEIGHTS = "model.safetensors"


class Dense(Module):
    """A module that applies a linear layer and an activation to `sentence_embedding`.

    The shape changes from `(batch, in_features)` to `(batch, out_features)`.

    Args:
        activation: a module of `torch` without weights, created without arguments, such as `torch.nn.ReLU()`. Only its
            name is saved, so another module could not be loaded again. The default is `torch.nn.Tanh()`, as in
            sentence-transformers.

    Raises:
        ModelError: a dimension is not a positive integer, or the activation could not be loaded again.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, activation: nn.Module | None = None
    ) -> None:
        super().__init__()
        check_dimension("in_features", in_features)
        check_dimension("out_features", out_features)
        activation = nn.Tanh() if activation is None else activation
        _activation_name(activation)
        self.linear = nn.Linear(in_features, out_features, bias=bias)
        self.activation: Any = activation

    @classmethod
    def load(cls, folder: Path) -> "Dense":
        """Read the module from a folder.

        Raises:
            ModelError: a file is missing or damaged, the weights do not have the shapes that `config.json` requires, or
                the input, output, residual connection or activation is not supported.
            KeyError, TypeError, ImportError, RuntimeError: `config.json` lacks a size or has an invalid value. Loading
                a whole model turns them into a `ModelError`.
        """
        config = read_json(folder / "config.json")
        names = [config.get("module_input_name"), config.get("module_output_name")]
        if any(name != "sentence_embedding" for name in names if name) or config.get("use_residual"):
            raise ModelError(
                f"{folder / 'config.json'} describes a Dense module that has a residual connection, or whose input or "
                "output is not sentence_embedding; neither is supported"
            )
        activation = _load_activation(config.get("activation_function", "torch.nn.modules.activation.Tanh"), folder)
        path = folder / _WEIGHTS
        if not path.exists():
            raise ModelError(f"{folder} has no {_WEIGHTS}; only safetensors weights are read")
        sizes, shape = [config["out_features"], config["in_features"]], read_header(path).get("linear.weight")
        if shape is not None and shape != sizes:  # The sizes of a huge layer are compared before it is created.
            raise ModelError(
                f"the weights in {path} do not match config.json in the same folder: linear.weight has the size "
                f"{shape}, but out_features and in_features are {sizes}"
            )
        dense = cls(config["in_features"], config["out_features"], config.get("bias", True), activation)
        try:
            dense.load_state_dict(load_file(path))
        except SafetensorError as error:
            raise ModelError(f"{path} is not a valid safetensors file: {error}; copy or download it again") from error
        except RuntimeError as error:
            # The first line of the error only says that loading failed. The next lines name the weights and shapes.
            reason = " ".join(str(error).split("\n", 1)[-1].split())
            raise ModelError(f"the weights in {path} do not match config.json in the same folder: {reason}") from error
        return dense

    @property
    def output_size(self) -> int:
        """The dimension of the sentence embedding after this module: `out_features`."""
        return self.linear.out_features

    def forward(self, features: Features) -> Features:
        """Apply the linear layer and the activation."""
        return {**features, "sentence_embedding": self.activation(self.linear(features["sentence_embedding"]))}

    def save(self, folder: Path) -> None:
        """Write `config.json` and the weights."""
        config = {
            "in_features": self.linear.in_features,
            "out_features": self.linear.out_features,
            "bias": self.linear.bias is not None,
            "activation_function": _activation_name(self.activation),
        }
        write_json(folder / "config.json", config)
        weights = {f"linear.{name}": value.contiguous() for name, value in self.linear.state_dict().items()}
        save_file(weights, folder / _WEIGHTS, metadata={"format": "pt"})


def _activation_name(activation: Any) -> str:
    """Return the dotted name that `Dense.save` writes.

    Raises:
        ModelError: `_load_activation` would not create the same activation from this name.
    """
    kind = type(activation)
    name = f"{kind.__module__}.{kind.__qualname__}"
    try:
        again: Any = _create_activation(name)
    except Exception:  # Whatever the reason, the activation cannot be created from its name.
        again = None
    # A module shows its constructor arguments in its `repr`.
    if type(again) is not kind or repr(again) != repr(activation) or any(True for _ in activation.parameters()):
        raise ModelError(
            f"activation {activation!r} of Dense could not be loaded again, because only the name of the activation is "
            "saved; use a module of torch without weights and without arguments, such as torch.nn.ReLU()"
        )
    return name


def _load_activation(dotted_name: object, folder: Path) -> nn.Module:
    """Create the activation with this class name; only classes in `torch` are loaded, so that no other code runs."""
    if not isinstance(dotted_name, str) or not dotted_name.startswith("torch."):
        raise ModelError(f"{folder} has the activation {dotted_name!r}; only activations in torch are loaded")
    try:
        found = _create_activation(dotted_name)
    except Exception as error:
        raise ModelError(
            f"{folder} has the activation {dotted_name!r}, which torch cannot create: {type(error).__name__}: {error}"
        ) from error
    if found is None:
        raise ModelError(f"{folder} has the activation {dotted_name!r}, which is not a subclass of torch.nn.Module")
    return found


def _create_activation(dotted_name: str) -> nn.Module | None:
    """Return a module of the class in torch, or None if the name is that of something else."""
    module, _, name = dotted_name.rpartition(".")
    if module.partition(".")[0] != "torch":
        return None
    found = getattr(importlib.import_module(module), name, None)
    return found() if isinstance(found, type) and issubclass(found, nn.Module) else None
