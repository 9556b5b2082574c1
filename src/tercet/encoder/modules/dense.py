"""Dense: a module that applies a linear layer and an activation, by default to the sentence embedding."""

import importlib
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tercet._files import read_json, write_json
from tercet.encoder.features import Features
from tercet.encoder.modules.base import Module, check_dimension
from tercet.encoder.modules.weights import check_shape, read_weights, write_weights
from tercet.errors import ModelError, listed

_EMBEDDING = "sentence_embedding"


class Dense(Module):
    """A module that applies a linear layer and an activation to `sentence_embedding`, or to another feature.

    The last dimension changes from `in_features` to `out_features`.

    Args:
        activation: a module of `torch` without weights, created without arguments, such as `torch.nn.ReLU()`. Only its
            name is saved, so another module could not be loaded again. The default is `torch.nn.Tanh()`, as in
            sentence-transformers.
        init_weight: the first weights `(out_features, in_features)`; by default random.
        init_bias: the first bias `(out_features,)`; by default random.
        module_input_name: the feature that the layer reads.
        module_output_name: the feature that it writes; by default the same.
        use_residual: whether to add the input to the output, after another linear layer if the sizes differ.
        peer: `activation_function`, another name of `activation`, for which None means no activation.

    Raises:
        ModelError: a dimension is not a positive integer, or the activation could not be loaded again.
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
        module_input_name: str = _EMBEDDING,
        module_output_name: str | None = None,
        use_residual: bool = False,
        **peer: Any,
    ) -> None:
        super().__init__()
        check_dimension("in_features", in_features)
        check_dimension("out_features", out_features)
        if "activation_function" in peer:
            activation = peer.pop("activation_function") or nn.Identity()
        if peer:
            raise TypeError(f"Dense has no argument {listed(sorted(peer))}")
        activation = nn.Tanh() if activation is None else activation
        _activation_name(activation)
        self.linear = nn.Linear(in_features, out_features, bias=bias)
        if init_weight is not None:
            self.linear.weight = nn.Parameter(init_weight)
        if init_bias is not None and bias:
            self.linear.bias = nn.Parameter(init_bias)
        self.activation: Any = activation
        self.module_input_name = module_input_name
        self.module_output_name = module_output_name or module_input_name
        self.use_residual = use_residual
        if use_residual and in_features != out_features:
            self.residual = nn.Linear(in_features, out_features, bias=False)

    @classmethod
    def load(cls, folder: str | Path) -> "Dense":
        """Read the module from a folder.

        Raises:
            ModelError: a file is missing or damaged, the weights do not have the shapes that `config.json` requires, or
                the activation is not supported.
            KeyError, TypeError, ImportError, RuntimeError: `config.json` lacks a size or has an invalid value. Loading
                a whole model turns them into a `ModelError`.
        """
        folder = Path(folder)
        config = read_json(folder / "config.json")
        activation = _load_activation(config.get("activation_function", "torch.nn.modules.activation.Tanh"), folder)
        sizes = [config["out_features"], config["in_features"]]
        check_shape(folder, "linear.weight", sizes, "out_features and in_features")
        dense = cls(
            config["in_features"],
            config["out_features"],
            config.get("bias", True),
            activation,
            module_input_name=config.get("module_input_name") or _EMBEDDING,
            module_output_name=config.get("module_output_name"),
            use_residual=bool(config.get("use_residual")),
        )
        read_weights(dense, folder)
        return dense

    @property
    def output_size(self) -> int | None:
        """The dimension of the sentence embedding after this module; None if it writes another feature."""
        return self.out_features if self.module_output_name == _EMBEDDING else None

    @property
    def in_features(self) -> int:
        """The last dimension of the feature that the layer reads."""
        return self.linear.in_features

    @property
    def out_features(self) -> int:
        """The last dimension of the feature that the layer writes."""
        return self.linear.out_features

    @property
    def activation_function(self) -> Any:
        """The activation."""
        return self.activation

    def forward(self, features: Features) -> Features:
        """Apply the linear layer and the activation.

        Raises:
            ModelError: the features do not have the one that the layer reads.
        """
        if self.module_input_name not in features:
            raise ModelError(
                f"Dense reads {self.module_input_name!r}, but the modules before it return {listed(features)}"
            )
        given = features[self.module_input_name]
        output = self.activation(self.linear(given))
        if self.use_residual:
            output = output + (self.residual(given) if hasattr(self, "residual") else given)
        return {**features, self.module_output_name: output}

    def save(self, folder: str | Path) -> None:
        """Write `config.json` and the weights."""
        folder = Path(folder)
        config: dict[str, Any] = {
            "in_features": self.linear.in_features,
            "out_features": self.linear.out_features,
            "bias": self.linear.bias is not None,
            "activation_function": _activation_name(self.activation),
        }
        if (self.module_input_name, self.module_output_name) != (_EMBEDDING, _EMBEDDING):
            config |= {"module_input_name": self.module_input_name, "module_output_name": self.module_output_name}
        if self.use_residual:
            config["use_residual"] = True
        write_json(folder / "config.json", config)
        write_weights(self, folder)


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
