"""A loss on several layers of the encoder, for models whose last layers are removed later.

Source: Li et al. 2024, "2D Matryoshka sentence embeddings".
"""

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tercet.errors import EmbeddingError
from tercet.losses.functional.labels import Labels
from tercet.losses.matryoshka import MatryoshkaLoss
from tercet.losses.modules.base import Features

_WEIGHTINGS: dict[str, Callable[[int], float]] = {
    "uniform": lambda layer: 1.0,
    "log": lambda layer: 1 / (1 + math.log(1 + layer)),
    "linear": lambda layer: 1 / (1 + layer),
}


class AdaptiveLayerLoss(nn.Module):
    """A loss on the last layer of the encoder and on earlier layers, which are also drawn to the last one.

    The values are those of sentence-transformers. The model runs once a step; the modules after the encoder run for
    each layer. Sentences are padded in groups of similar length, because packed attention returns the last layer only.

    Args:
        model: the model, which begins with a `Transformer`.
        loss: a loss with the method `compute_loss_from_embeddings`.
        n_layers_per_step: how many earlier layers each step uses, drawn with Python's `random`; -1 uses all.
        last_layer_weight: the weight of the loss on the last layer.
        prior_layers_weight: the weight of the mean loss on the earlier layers.
        kl_div_weight: the weight of the Kullback-Leibler divergence of each earlier layer from the last one.
        kl_temperature: the temperature of this divergence; 0 leaves it out.
        layer_weighting: the weight of each earlier layer: "uniform", "log", "linear", or a function of its number,
            where 0 is the layer of the word embeddings.

    Raises:
        EmbeddingError: `loss` has no such method, `layer_weighting` is unknown, or the model has no encoder.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: nn.Module,
        n_layers_per_step: int = 1,
        last_layer_weight: float = 1.0,
        prior_layers_weight: float = 1.0,
        kl_div_weight: float = 1.0,
        kl_temperature: float = 0.3,
        layer_weighting: str | Callable[[int], float] = "uniform",
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if not hasattr(loss, "compute_loss_from_embeddings"):
            raise EmbeddingError(
                f"{name} needs a loss with the method compute_loss_from_embeddings, got {type(loss).__name__}"
            )
        if not callable(layer_weighting) and layer_weighting not in _WEIGHTINGS:
            raise EmbeddingError(
                f"layer_weighting must be 'uniform', 'log', 'linear' or a function of a layer, got {layer_weighting!r}"
            )
        _encoder(model, name)
        self.model, self.loss, self.n_layers_per_step = model, loss, n_layers_per_step
        self.last_layer_weight, self.prior_layers_weight = last_layer_weight, prior_layers_weight
        self.kl_div_weight, self.kl_temperature = kl_div_weight, kl_temperature
        self.layer_weighting = layer_weighting

    @property
    def takes_triplets(self) -> bool:
        """True if the inner loss takes given triplets."""
        return bool(getattr(self.loss, "takes_triplets", False))

    def forward(self, sentence_features: Iterable[Features], labels: Labels | None = None) -> Tensor:
        """Embed the columns of tokenized sentences with each chosen layer and return the scalar loss."""
        with _all_layers(_encoder(self.model, type(self).__name__)):
            outputs = [self.model({**features, "output_hidden_states": True}) for features in sentence_features]
        last = [output["sentence_embedding"] for output in outputs]
        compute: Any = self.loss.compute_loss_from_embeddings
        total = compute(last, labels) * self.last_layer_weight
        temperature = self.kl_temperature
        target = torch.cat(last).div(temperature).softmax(dim=-1).detach() if temperature > 0 else None
        layers: Sequence[int] = range(len(outputs[0]["all_layer_embeddings"]) - 1)
        if 0 < self.n_layers_per_step < len(layers):
            layers = random.sample(layers, self.n_layers_per_step)
        for layer in layers:
            embeddings = [self._embed_from(output, layer) for output in outputs]
            value = compute(embeddings, labels)
            total = total + value * self._weight(layer) / len(layers) * self.prior_layers_weight
            if target is not None:
                found = torch.cat(embeddings).div(temperature).log_softmax(dim=-1)
                divergence = F.kl_div(found, target, reduction="batchmean")
                total = total + divergence * temperature * self.kl_div_weight
        result: Tensor = total
        return result

    def _embed_from(self, output: Features, layer: int) -> Tensor:
        """Run the modules after the encoder on the hidden states of a layer."""
        features: Any = {**output, "token_embeddings": output["all_layer_embeddings"][layer]}
        for module in list(_unwrapped(self.model))[1:]:
            features = module(features)
        embedding: Tensor = features["sentence_embedding"]
        return embedding

    def _weight(self, layer: int) -> float:
        weighting = self.layer_weighting
        return _WEIGHTINGS[weighting](layer) if isinstance(weighting, str) else weighting(layer)

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings of the loss, and those of the inner loss, for the model card."""
        weighting = self.layer_weighting
        return {
            **getattr(self.loss, "get_config_dict", dict)(),
            "loss": type(self.loss).__name__,
            "n_layers_per_step": self.n_layers_per_step,
            "last_layer_weight": self.last_layer_weight,
            "prior_layers_weight": self.prior_layers_weight,
            "kl_div_weight": self.kl_div_weight,
            "kl_temperature": self.kl_temperature,
            "layer_weighting": weighting if isinstance(weighting, str) else getattr(weighting, "__name__", "custom"),
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.loss!r})"


class Matryoshka2dLoss(AdaptiveLayerLoss):
    """An `AdaptiveLayerLoss` around a `MatryoshkaLoss`: on fewer layers and on fewer dimensions.

    Args:
        model: see `AdaptiveLayerLoss`, as the other arguments.
        loss: a loss of Tercet.
        matryoshka_dims: see `MatryoshkaLoss`, as the next argument.
        n_dims_per_step: how many of `matryoshka_dims` each loss uses; -1 uses all.

    Raises:
        EmbeddingError: see `AdaptiveLayerLoss` and `MatryoshkaLoss`.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: nn.Module,
        matryoshka_dims: Sequence[int],
        matryoshka_weights: Sequence[float] | None = None,
        n_layers_per_step: int = 1,
        n_dims_per_step: int = 1,
        last_layer_weight: float = 1.0,
        prior_layers_weight: float = 1.0,
        kl_div_weight: float = 1.0,
        kl_temperature: float = 0.3,
        layer_weighting: str | Callable[[int], float] = "uniform",
    ) -> None:
        super().__init__(
            model,
            MatryoshkaLoss(model, loss, matryoshka_dims, matryoshka_weights, n_dims_per_step),
            n_layers_per_step,
            last_layer_weight,
            prior_layers_weight,
            kl_div_weight,
            kl_temperature,
            layer_weighting,
        )


def _unwrapped(model: Any) -> Any:
    """Return the model within a wrapper for several processes or compilation."""
    inner = getattr(model, "_orig_mod", None) or getattr(model, "module", None)
    return model if inner is None else _unwrapped(inner)


def _encoder(model: Any, name: str) -> Any:
    """Return the encoder of a model.

    Raises:
        EmbeddingError: the model has none.
    """
    first = next(iter(_unwrapped(model).children()), None) if isinstance(model, nn.Module) else None
    encoder = getattr(first, "auto_model", None)
    if encoder is None:
        raise EmbeddingError(f"{name} needs a model that begins with a Transformer, got {type(first).__name__}")
    return encoder


@contextmanager
def _all_layers(encoder: Any) -> Iterator[None]:
    """Make a model of sentence-transformers return all its layers, too."""
    before = getattr(encoder.config, "output_hidden_states", False)
    encoder.config.output_hidden_states = True
    try:
        yield
    finally:
        encoder.config.output_hidden_states = before
