"""Find the layers of BERT and its relatives in a model, and run them on a packed row.

These layers have the same parts under different names. Their two parts around the attention run in
`tercet.encoder.packing.layer_functions` and not in the modules, so `find_layers` returns None for a model with a
change that this computation would ignore: adapters, hooks, other activations, gradient checkpointing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules import module as torch_module
from transformers.activations import GELUActivation

from tercet.encoder.packing.dropout import Dropout
from tercet.encoder.packing.layer_functions import OutputSettings, layer_output, query_key_value
from tercet.encoder.packing.varlen import autocast_dtype

# A function that computes attention from queries, keys and values, each `(num_tokens, num_heads, head_dim)`, and the
# dropout of its weights.
Attention = Callable[[Tensor, Tensor, Tensor, float], Tensor]


@dataclass(frozen=True)
class _Names:
    """The places of the parts of a layer. A dropout that a layer does not have is None."""

    encoder: str
    attention: str
    query: str
    key: str
    value: str
    attention_dropout: str
    out: str
    out_dropout: str | None
    first_norm: str
    up: str
    activation: str
    down: str
    down_dropout: str
    second_norm: str


_BERT = _Names(
    "encoder", "attention.self", "attention.self.query", "attention.self.key", "attention.self.value",
    "attention.self.dropout", "attention.output.dense", "attention.output.dropout", "attention.output.LayerNorm",
    "intermediate.dense", "intermediate.intermediate_act_fn", "output.dense", "output.dropout", "output.LayerNorm",
)  # fmt: skip
_MPNET = _Names(
    "encoder", "attention.attn", "attention.attn.q", "attention.attn.k", "attention.attn.v",
    "attention.attn.dropout", "attention.attn.o", "attention.dropout", "attention.LayerNorm", "intermediate.dense",
    "intermediate.intermediate_act_fn", "output.dense", "output.dropout", "output.LayerNorm",
)  # fmt: skip
_DISTILBERT = _Names(
    "transformer", "attention", "attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.dropout",
    "attention.out_lin", None, "sa_layer_norm", "ffn.lin1", "ffn.activation", "ffn.lin2", "ffn.dropout",
    "output_layer_norm",
)  # fmt: skip
# By the name of the class, because a subclass may compute something else.
_NAMES = {
    "BertModel": _BERT, "RobertaModel": _BERT, "XLMRobertaModel": _BERT, "CamembertModel": _BERT,
    "MPNetModel": _MPNET, "DistilBertModel": _DISTILBERT,
}  # fmt: skip

# The modules whose classes a layer may consist of. A class of the user's own may compute something else.
_KNOWN_CODE = ("transformers.", "torch.nn.", Dropout.__module__)


@dataclass(frozen=True, eq=False, kw_only=True)
class Layer:
    """The parts of one layer."""

    projections: tuple[nn.Linear, nn.Linear, nn.Linear]
    num_heads: int
    attention_dropout: nn.Module
    out: nn.Linear
    out_dropout: nn.Module | None
    first_norm: nn.LayerNorm
    up: nn.Linear
    down: nn.Linear
    down_dropout: nn.Module
    second_norm: nn.LayerNorm


@dataclass(frozen=True, eq=False)
class _Found:
    """The layers of a model, and its modules with the place where each one is, to notice changes of the model."""

    layers: list[Layer]
    places: list[tuple[dict[str, nn.Module | None], str, nn.Module, type]]
    layer_list: nn.ModuleList

    def is_current(self) -> bool:
        return len(self.layer_list) == len(self.layers) and all(
            siblings.get(name) is module and type(module) is kind and not _is_changed(module)
            for siblings, name, module, kind in self.places
        )


# On a CPU, oneDNN compiles a product in bfloat16 for each new number of rows. That takes some milliseconds, and up to a
# megabyte that is kept. Nearly every batch has another number of tokens, so it is rounded up to a multiple of
# `_TOKENS_MULTIPLE`: after 160 steps, a process then had 1.7 GiB of memory instead of 2.5. For a single query that is
# too much work, so a shorter row is rounded up to a multiple of `_FEW_TOKENS_MULTIPLE`. Not in float16, in which the
# gradients of rows of zeros are NaN.
_COMPILED_PRODUCTS = {("cpu", torch.bfloat16)}
_TOKENS_MULTIPLE, _FEW_TOKENS_MULTIPLE = 64, 8

# Reading the parts of all layers takes a millisecond, which is much beside a step on a GPU.
_found: "WeakKeyDictionary[nn.Module, _Found]" = WeakKeyDictionary()


def find_layers(model: Any) -> list[Layer] | None:
    """Return the layers of an encoder of `transformers`, or None if its own modules have to run.

    They also have to run with autocast if the weights are not float32: which operations it casts to float32 differs
    between devices.
    """
    names = _NAMES.get(type(model).__name__)
    if names is None or not type(model).__module__.startswith("transformers.") or _global_hooks():
        return None
    found = _found.get(model)
    if found is None or not found.is_current():
        found = _read(model, names)
        if found is None:
            return None
        _found[model] = found
    weight = found.layers[0].first_norm.weight
    if _is_changed(model) or (weight.dtype != torch.float32 and autocast_dtype(weight.device) is not None):
        return None
    return found.layers


def _read(model: Any, names: _Names) -> _Found | None:
    encoder = getattr(model, names.encoder)
    layers = [_find_parts(layer, names) for layer in encoder.layer]
    if not layers or None in layers:
        return None
    places = [(model._modules, names.encoder, encoder, type(encoder))]
    for parent in encoder.modules():
        places += [(parent._modules, name, child, type(child)) for name, child in parent.named_children()]
    return _Found(layers, places, encoder.layer)  # type: ignore[arg-type]


# torch.compile would trace the gradients again for each number of tokens, and save no launch that is left.
@torch.compiler.disable
def run_layers(layers: list[Layer], x: Tensor, attention: Attention) -> Tensor:
    """Return the hidden states `(num_tokens, hidden_size)` after all layers.

    Args:
        x: the embeddings of the tokens `(num_tokens, hidden_size)`.
    """
    dtype, num_tokens = autocast_dtype(x.device) or layers[0].out.weight.dtype, len(x)
    multiple = _TOKENS_MULTIPLE if num_tokens > _TOKENS_MULTIPLE else _FEW_TOKENS_MULTIPLE
    unused = -num_tokens % multiple if (x.device.type, dtype) in _COMPILED_PRODUCTS else 0
    x = _with_unused_rows(x, unused)
    for layer in layers:
        weights, biases = zip(*((linear.weight, linear.bias) for linear in layer.projections), strict=True)
        rows = query_key_value(x, weights, biases, dtype)
        q, k, v = (row[:num_tokens].unflatten(1, (layer.num_heads, -1)) for row in rows)
        attended = _with_unused_rows(attention(q, k, v, _rate(layer.attention_dropout)).flatten(1), unused)
        settings = OutputSettings(
            attention_dropout=_rate(layer.out_dropout),
            output_dropout=_rate(layer.down_dropout),
            attention_eps=layer.first_norm.eps,
            output_eps=layer.second_norm.eps,
            dtype=dtype,
        )
        modules = (layer.out, layer.first_norm, layer.up, layer.down, layer.second_norm)
        parameters = [tensor for module in modules for tensor in (module.weight, module.bias)]
        x = layer_output(attended, x, settings, parameters)
    return x[:num_tokens]


def _with_unused_rows(x: Tensor, unused: int) -> Tensor:
    """Return `x` `(num_tokens, dim)` with `unused` rows of zeros at its end."""
    return F.pad(x, (0, 0, 0, unused)) if unused else x


def _find_parts(layer: Any, names: _Names) -> Layer | None:
    """Return the parts of a layer, or None if one of its modules is not as `transformers` makes it."""
    modules = list(layer.modules())
    if any(_is_changed(module) or not _runs_known_code(type(module)) for module in modules):
        return None

    def part(name: str) -> Any:
        return attrgetter(name)(layer)

    try:
        linears = [part(name) for name in (names.query, names.key, names.value, names.out, names.up, names.down)]
        norms = [part(name) for name in (names.first_norm, names.second_norm)]
        attention_dropout, down_dropout = part(names.attention_dropout), part(names.down_dropout)
        out_dropout = None if names.out_dropout is None else part(names.out_dropout)
        activation, head_dim = part(names.activation), int(part(names.attention).attention_head_size)
    except AttributeError:  # This version of transformers has other names.
        return None
    dropouts = [dropout for dropout in (attention_dropout, out_dropout, down_dropout) if dropout is not None]
    parts = [*linears, *norms, *dropouts, activation]
    if not (
        all(type(linear) is nn.Linear for linear in linears)
        and all(type(norm) is nn.LayerNorm for norm in norms)
        and all(type(dropout) in (nn.Dropout, Dropout) for dropout in dropouts)
        and all(module.weight is not None and module.bias is not None for module in linears + norms)
        and _is_exact_gelu(activation)
        and {id(module) for module in modules if not module._modules} == {id(module) for module in parts}
    ):
        return None
    query, key, value, out, up, down = linears
    return Layer(
        projections=(query, key, value),
        num_heads=query.out_features // head_dim,
        attention_dropout=attention_dropout,
        out=out,
        out_dropout=out_dropout,
        first_norm=norms[0],
        up=up,
        down=down,
        down_dropout=down_dropout,
        second_norm=norms[1],
    )


def _runs_known_code(kind: type[nn.Module]) -> bool:
    return all(code.startswith(_KNOWN_CODE) for code in (kind.__module__, kind.forward.__module__))


def _is_changed(module: nn.Module) -> bool:
    """Return whether a module has hooks, a replaced `forward`, gradient checkpointing or unusual weights."""
    state = module.__dict__
    return bool(
        state["_forward_hooks"]
        or state["_forward_pre_hooks"]
        or state["_backward_hooks"]
        or state["_backward_pre_hooks"]
        or "_hf_hook" in state
        or "forward" in state
        or state.get("gradient_checkpointing")
        or any(type(parameter) is not nn.Parameter for parameter in state["_parameters"].values())
    )


def _global_hooks() -> bool:
    return bool(
        torch_module._global_forward_hooks
        or torch_module._global_forward_pre_hooks
        or torch_module._global_backward_hooks
        or torch_module._global_backward_pre_hooks
    )


def _is_exact_gelu(activation: Any) -> bool:
    if type(activation) is nn.GELU:
        return activation.approximate == "none"
    return type(activation) is GELUActivation and activation.act is torch.nn.functional.gelu


def _rate(dropout: nn.Module | None) -> float:
    """Return the probability with which a dropout sets elements to 0 now."""
    return float(dropout.p) if dropout is not None and dropout.training else 0.0  # type: ignore[arg-type]
