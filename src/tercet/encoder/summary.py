"""Describe a model in five lines."""

from typing import Any

from tercet.encoder.modules import InputModule, Pooling, Transformer
from tercet.encoder.modules.base import embedding_dimension
from tercet.encoder.packing.architectures import runs_packed
from tercet.errors import ModelError


def summary(model: Any) -> str:
    """Return a description of a `SentenceTransformer` for `print`: modules, pooling, dimension, limit and packing."""
    modules = ", ".join(f"({name}) {_kind(module)}" for name, module in model.named_children())
    pooling = next((module.get_pooling_mode_str() for module in model if isinstance(module, Pooling)), "none")
    first = next(iter(model), None)
    limit = first.max_seq_length if isinstance(first, InputModule) else None
    return "\n".join(
        [
            f"{type(model).__name__}: {modules}",
            f"  pooling    {pooling}",
            f"  dimension  {_dimension(model)}",
            f"  limit      {f'{limit} tokens' if limit else 'none'}",
            f"  packing    {_packing(first)}",
        ]
    )


def _kind(module: Any) -> str:
    kind = type(module).__name__
    return f"{kind} of {type(module.auto_model).__name__}" if isinstance(module, Transformer) else kind


def _dimension(model: Any) -> str:
    try:
        full = embedding_dimension(model._modules)
    except ModelError:
        return "unknown"
    dimension = model.get_sentence_embedding_dimension()
    return str(full) if dimension == full else f"{dimension} of {full}"


def _packing(first: Any) -> str:
    if not isinstance(first, Transformer):
        return "on" if isinstance(first, InputModule) else "none"
    if not first.packing:
        return "off"
    kind = first.auto_model.config.model_type
    return "on" if runs_packed(first.auto_model) else f"on, but {kind} models are padded in groups of similar length"
