"""WeightedLayerPooling: the weighted mean of the layers of the encoder, as token embeddings."""

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tercet._files import read_json, write_json
from tercet.encoder.features import Features
from tercet.encoder.modules.base import Module, check_dimension, one_name
from tercet.encoder.modules.input_module import InputModule
from tercet.encoder.modules.weights import check_shape, read_weights, write_weights
from tercet.errors import ModelError, listed

logger = logging.getLogger("tercet")


class WeightedLayerPooling(Module):
    """A module that replaces `token_embeddings` by a learned weighted mean of the layers of the Transformer.

    It stands between `Transformer` and `Pooling`. The configuration of the encoder must have
    `output_hidden_states=True`, for example by `Transformer(name, config_args={"output_hidden_states": True})`.
    Without it, the token embeddings stay those of the last layer, with a warning.

    Args:
        embedding_dimension: the dimension of a token embedding. Another name is `word_embedding_dimension`.
        num_hidden_layers: the number of layers of the encoder, without the layer of the word embeddings.
        layer_start: the first layer; 0 is that of the word embeddings.
        layer_weights: the first weights, one for each layer from `layer_start` on; by default 1.

    Raises:
        ModelError: a number is invalid, or there is not one weight for each layer.
    """

    def __init__(
        self,
        embedding_dimension: int | None = None,
        num_hidden_layers: int = 12,
        layer_start: int = 4,
        layer_weights: Tensor | None = None,
        **peer: Any,
    ) -> None:
        super().__init__()
        dimension = one_name("embedding_dimension", embedding_dimension, peer, "word_embedding_dimension")
        if peer:
            raise TypeError(f"WeightedLayerPooling has no argument {listed(sorted(peer))}")
        check_dimension("embedding_dimension", dimension)
        check_dimension("num_hidden_layers", num_hidden_layers)
        if not isinstance(layer_start, int) or not 0 <= layer_start <= num_hidden_layers:
            raise ModelError(f"layer_start must be an integer from 0 to {num_hidden_layers}, got {layer_start!r}")
        size = num_hidden_layers + 1 - layer_start
        weights = torch.ones(size) if layer_weights is None else torch.as_tensor(layer_weights)
        if weights.shape != (size,):
            raise ModelError(f"layer_weights must have {size} values, one for each layer; got {list(weights.shape)}")
        self.embedding_dimension = int(dimension)
        self.num_hidden_layers, self.layer_start = num_hidden_layers, layer_start
        self.layer_weights = weights if isinstance(weights, nn.Parameter) else nn.Parameter(weights.float())
        self._warned = False

    @classmethod
    def load(cls, folder: str | Path) -> "WeightedLayerPooling":
        """Read the module from a folder.

        Raises:
            ModelError: a file is missing or damaged, or the weights do not fit to `config.json`.
        """
        folder = Path(folder)
        config = read_json(folder / "config.json")
        dimension = config.get("word_embedding_dimension", config.get("embedding_dimension"))
        module = cls(dimension, config.get("num_hidden_layers", 12), config.get("layer_start", 4))
        check_shape(folder, "layer_weights", [len(module.layer_weights)], "the layers")
        read_weights(module, folder)
        return module

    def forward(self, features: Features) -> Features:
        """Return the features with the weighted mean of the layers as `token_embeddings`.

        Raises:
            ModelError: the encoder has another number of layers.
        """
        layers = features.get("all_layer_embeddings")
        if layers is None:
            if not self._warned:
                self._warned = True
                logger.warning(
                    "WeightedLayerPooling has no effect, because the encoder returns its last layer only; set "
                    "output_hidden_states to true in its config.json"
                )
            return features
        if len(layers) != self.num_hidden_layers + 1:
            raise ModelError(
                f"WeightedLayerPooling has num_hidden_layers {self.num_hidden_layers}, but the encoder has "
                f"{len(layers) - 1} layers"
            )
        chosen = torch.stack(list(layers[self.layer_start :]))
        weights = self.layer_weights.view(-1, *[1] * (chosen.dim() - 1))
        return {**features, "token_embeddings": (weights * chosen).sum(dim=0) / self.layer_weights.sum()}

    def get_word_embedding_dimension(self) -> int:
        """Return `embedding_dimension`."""
        return self.embedding_dimension

    def save(self, folder: str | Path) -> None:
        """Write `config.json` and the weights."""
        folder = Path(folder)
        config = {
            "word_embedding_dimension": self.embedding_dimension,
            "layer_start": self.layer_start,
            "num_hidden_layers": self.num_hidden_layers,
        }
        write_json(folder / "config.json", config)
        write_weights(self, folder)


def ask_for_layers(modules: nn.Sequential, features: Features) -> Features:
    """Return features that make the encoder return all its layers, if a module uses them and its configuration says so.

    The packed computation of an encoder returns the last layer only, so it is not used then. A `Router` calls this
    function for its route, too.
    """
    if not any(isinstance(module, WeightedLayerPooling) for module in modules):
        return features
    first = modules[0]
    if isinstance(first, InputModule):  # The encoder of a Router is that of the route.
        first = first.for_task(features.get("route") or features.get("task"))
    config = getattr(getattr(first, "auto_model", None), "config", None)
    return {**features, "output_hidden_states": True} if getattr(config, "output_hidden_states", False) else features
