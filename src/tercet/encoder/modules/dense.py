"""Dense: a module that applies a linear layer and an activation to the sentence embedding."""

import importlib
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tercet._files import read_json, write_json
from tercet.encoder.features import Features
from tercet.encoder.modules.base import Module, check_dimension
from tercet.encoder.modules.weights import check_shape, read_weights, write_weights
from tercet.errors import ModelError, listed

_FEATURE_OPTIONS = {"module_input_name", "module_output_name", "use_residual"}


class Dense(Module):
    """A module that applies a linear layer and an activation to `sentence_embedding`.

    The shape changes from `(batch, in_features)` to `(batch, out_features)`.

    Args:
        activation: a module of `torch` without weights, created without arguments, such as `torch.nn.ReLU()`. Only its
            name is saved, so another module could not be loaded again. The default is `torch.nn.Tanh()`, as in
            sentence-transformers.
        init_weight: the first weights `(out_features, in_features)`; by default random.
        init_bias: the first bias `(out_features,)`; by default random.
        peer: `activation_function`, another name of `activation`, for which None means no activation.

    Raises:
        ModelError: a dimension is not a positive integer, the activation could not be loaded again, or the layer would
            have a residual connection or other features than `sentence_embedding`.
        TypeError: an argument is unknown.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        activation: nn.Module | None = None,
        init_weight: Tensor | None = None,
        init_bias: Tensor | None = None,
        **peer: Any,
    ) -> None:
        super().__init__()
        check_dimension("in_features", in_features)
        check_dimension("out_features", out_features)
        if "activation_function" in peer:
            activation = peer.pop("activation_function") or nn.Identity()
        if _is_unsupported(peer):
            raise ModelError(f"Dense has no residual connection and changes sentence_embedding only; got {peer}")
        if unknown := set(peer) - _FEATURE_OPTIONS:
            raise TypeError(f"Dense has no argument {listed(sorted(unknown))}")
        activation = nn.Tanh() if activation is None else activation
        _activation_name(activation)
        self.linear = nn.Linear(in_features, out_features, bias=bias)
        if init_weight is not None:
            self.linear.weight = nn.Parameter(init_weight)
        if init_bias is not None and bias:
            self.linear.bias = nn.Parameter(init_bias)
        self.activation: Any = activation

    @classmethod
    def load(cls, folder: str | Path) -> "Dense":
        """Read the module from a folder.

        Raises:
            ModelError: a file is missing or damaged, the weights do not have the shapes that `config.json` requires, or
                the input, output, residual connection or activation is not supported.
            KeyError, TypeError, ImportError, RuntimeError: `config.json` lacks a size or has an invalid value. Loading
                a whole model turns them into a `ModelError`.
        """
        folder = Path(folder)
        config = read_json(folder / "config.json")
        if _is_unsupported(config):
            raise ModelError(
                f"{folder / 'config.json'} describes a Dense module that has a residual connection, or whose input or "
                "output is not sentence_embedding; neither is supported"
            )
        activation = _load_activation(config.get("activation_function", "torch.nn.modules.activation.Tanh"), folder)
        sizes = [config["out_features"], config["in_features"]]
        check_shape(folder, "linear.weight", sizes, "out_features and in_features")
        dense = cls(config["in_features"], config["out_features"], config.get("bias", True), activation)
        read_weights(dense, folder)
        return dense

    @property
    def output_size(self) -> int:
        """The dimension of the sentence embedding after this module: `out_features`."""
        return self.linear.out_features

    @property
    def in_features(self) -> int:
        """The dimension of the sentence embedding before this module."""
        return self.linear.in_features

    out_features = output_size

    def forward(self, features: Features) -> Features:
        """Apply the linear layer and the activation."""
        return {**features, "sentence_embedding": self.activation(self.linear(features["sentence_embedding"]))}

    def save(self, folder: str | Path) -> None:
        """Write `config.json` and the weights."""
        folder = Path(folder)
        config = {
            "in_features": self.linear.in_features,
            "out_features": self.linear.out_features,
            "bias": self.linear.bias is not None,
            "activation_function": _activation_name(self.activation),
        }
        write_json(folder / "config.json", config)
        write_weights(self, folder)


def _is_unsupported(options: dict[str, Any]) -> bool:
    """Return whether options describe a residual connection, or other features than `sentence_embedding`."""
    names = (options.get("module_input_name"), options.get("module_output_name"))
    return bool(options.get("use_residual")) or any(name not in (None, "sentence_embedding") for name in names)


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
