"""Take over modules of sentence-transformers that a user passes as objects."""

from collections.abc import Callable
from typing import Any

from torch import nn

from tercet.encoder.modules.dense import Dense
from tercet.encoder.modules.dropout import Dropout
from tercet.encoder.modules.layer_norm import LayerNorm
from tercet.encoder.modules.normalize import Normalize
from tercet.encoder.modules.pooling import Pooling
from tercet.encoder.modules.router import Router
from tercet.encoder.modules.static_embedding import StaticEmbedding
from tercet.encoder.modules.transformer import Transformer
from tercet.encoder.modules.weighted_layer_pooling import WeightedLayerPooling
from tercet.errors import ModelError, listed


def adopt(module: nn.Module) -> nn.Module:
    """Return a module of Tercet with the weights and settings of one of sentence-transformers, or any other module.

    The weights are shared, not copied.

    Raises:
        ModelError: the module of sentence-transformers has no counterpart, or settings that Tercet does not support.
    """
    if type(module).__module__.partition(".")[0] != "sentence_transformers":
        return module
    kind = type(module).__name__
    if kind not in _KINDS:
        raise ModelError(f"the module {kind} of sentence-transformers is not supported; supported are {listed(_KINDS)}")
    return _KINDS[kind](module)


def _transformer(module: Any) -> Transformer:
    return Transformer(
        module.auto_model, module.tokenizer, module.max_seq_length, getattr(module, "do_lower_case", False)
    )


def _pooling(module: Any) -> Pooling:
    size = getattr(module, "embedding_dimension", None) or module.word_embedding_dimension
    modes = getattr(module, "pooling_mode", None)
    if modes is None:  # Versions before 5.4 have an attribute for each mode.
        modes = [name for name, switch in Pooling.MODES.items() if getattr(module, switch, False)]
    return Pooling(size, modes, module.include_prompt)


def _dense(module: Any) -> Dense:
    options = ("module_input_name", "module_output_name", "use_residual")
    linear = module.linear
    adopted = Dense(
        linear.in_features,
        linear.out_features,
        linear.bias is not None,
        module.activation_function,
        linear.weight.data,
        None if linear.bias is None else linear.bias.data,
        **{name: getattr(module, name) for name in options if hasattr(module, name)},
    )
    if hasattr(module, "residual"):
        adopted.residual = module.residual
    return adopted


def _normalize(module: Any) -> Normalize:
    if getattr(module, "module_input_name", "sentence_embedding") != "sentence_embedding":
        raise ModelError(f"Normalize of {module.module_input_name} is not supported, only of sentence_embedding")
    return Normalize()


def _layer_norm(module: Any) -> LayerNorm:
    adopted = LayerNorm(module.dimension)
    adopted.norm = module.norm
    return adopted


def _static_embedding(module: Any) -> StaticEmbedding:
    adopted = StaticEmbedding(module.tokenizer, module.embedding.weight.data)
    adopted.embedding = module.embedding
    adopted.set_truncation(module.tokenizer.truncation)
    return adopted


def _weighted_layer_pooling(module: Any) -> WeightedLayerPooling:
    size = getattr(module, "embedding_dimension", None) or module.word_embedding_dimension
    return WeightedLayerPooling(size, module.num_hidden_layers, module.layer_start, module.layer_weights)


def _router(module: Any) -> Router:
    adopted: dict[int, nn.Module] = {}  # A module may be part of several routes.
    for modules in module.sub_modules.values():
        adopted |= {id(one): adopted.get(id(one)) or adopt(one) for one in modules}
    routes = {name: [adopted[id(one)] for one in modules] for name, modules in module.sub_modules.items()}
    return Router(routes, module.default_route, module.allow_empty_key, module.route_mappings)


_KINDS: dict[str, Callable[[Any], nn.Module]] = {
    "Transformer": _transformer,
    "Pooling": _pooling,
    "Dense": _dense,
    "Normalize": _normalize,
    "LayerNorm": _layer_norm,
    "Router": _router,
    "StaticEmbedding": _static_embedding,
    "WeightedLayerPooling": _weighted_layer_pooling,
    "Dropout": lambda module: Dropout(module.dropout),
}
