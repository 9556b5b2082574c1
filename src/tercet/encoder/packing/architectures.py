"""Run the supported architectures on a packed row.

Most architectures accept position ids and pass unknown arguments on to the attention interface of `transformers`. Their
`forward` runs unchanged. MPNet does not use this interface, because its attention has a learned bias that depends on
the distance between two tokens. Therefore this file calls the layers of MPNet one by one.

To add an architecture that uses the interface, add its `model_type` to `_USE_ATTENTION_INTERFACE`. Before the first
packed batch, `tercet.encoder.packing.self_check` compares its hidden states of a packed row with those of a padded
batch.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder, MPNetModel

from tercet.encoder.packing.attention import ATTENTION_NAME, PackedLayout, attend, packed_attention, without_cudnn
from tercet.encoder.packing.layers import Layer, run_layers
from tercet.encoder.packing.packing import Packing
from tercet.encoder.packing.varlen import autocast_dtype

_USE_ATTENTION_INTERFACE = frozenset({
    "albert", "bert", "camembert", "data2vec-text", "distilbert", "electra", "ernie", "eurobert", "modernbert",
    "nomic_bert", "roberta", "xlm-roberta", "xlm-roberta-xl",
})  # fmt: skip
# Architectures whose first position id is the index of the padding token plus 1. Some of them do not support packed
# rows, but `position_limit` needs them.
_POSITIONS_FROM_PADDING_INDEX = frozenset({
    "camembert", "data2vec-text", "longformer", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl", "xmod",
})  # fmt: skip


def position_limit(config: Any) -> int | None:
    """Return the maximum number of tokens by `max_position_embeddings`, or None if the configuration has no limit."""
    size = getattr(config, "max_position_embeddings", None)
    if size is None or size < 1:
        return None
    return int(size) - (_padding_index(config) + 1 if config.model_type in _POSITIONS_FROM_PADDING_INDEX else 0)


def runs_packed(auto_model: Any) -> bool:
    """Return whether `run_packed` supports a model.

    False also if the user has chosen another attention implementation than "sdpa" for an architecture that uses the
    attention interface, because `run_packed` would replace it.
    """
    if any(config.is_prompt_learning for config in getattr(auto_model, "peft_config", {}).values()):
        return False  # Prompt learning of peft adds tokens to the input inside the model.
    base = _without_adapters(auto_model)
    if isinstance(base, MPNetModel):
        return not any(map(_is_hooked, _bypassed_modules(base)))
    config = auto_model.config
    if config.model_type not in _USE_ATTENTION_INTERFACE or getattr(config, "is_decoder", False):
        return False
    if getattr(config, "chunk_size_feed_forward", 0):
        return False  # The number of tokens would have to be a multiple of the chunk size.
    return config._attn_implementation in ("sdpa", ATTENTION_NAME)


@torch.compiler.disable(recursive=False)
def run_packed(auto_model: Any, layers: list[Layer] | None, input_ids: Tensor, packing: Packing) -> Tensor:
    """Return the last hidden states `(num_tokens, hidden_size)` of a packed row `input_ids` `(1, num_tokens)`.

    Args:
        auto_model: the encoder. If its own modules run, its attention implementation is set to `ATTENTION_NAME` and
            stays so, except for MPNet.
        layers: the layers that `find_layers` has found; None runs the modules of the encoder.
        input_ids: the tokens.
        packing: the sentences of the row.
    """
    positions = packing.on(input_ids.device).positions.unsqueeze(0)
    if auto_model.config.model_type in _POSITIONS_FROM_PADDING_INDEX:
        positions = _positions_from_padding_index(input_ids, positions, _padding_index(auto_model.config))
    layout = PackedLayout(packing, input_ids.device)
    if layers is not None:
        with without_cudnn(input_ids.device):
            return _run_found(auto_model, layers, input_ids, positions, layout)
    base = _without_adapters(auto_model)
    if isinstance(base, MPNetModel):
        with without_cudnn(input_ids.device):
            return _run_mpnet(base, input_ids, positions, layout)
    if auto_model.config._attn_implementation != ATTENTION_NAME:
        base.set_attn_implementation(ATTENTION_NAME)
    # `transformers` builds no mask if it receives a mask with four dimensions. The attention uses only the layout.
    no_mask = torch.zeros(1, 1, 1, 1, device=input_ids.device)
    with without_cudnn(input_ids.device):
        output = auto_model(input_ids=input_ids, attention_mask=no_mask, position_ids=positions, packed_layout=layout)
    states: Tensor = output[0]
    return states.squeeze(0)


def _run_found(model: Any, layers: list[Layer], input_ids: Tensor, positions: Tensor, layout: PackedLayout) -> Tensor:
    """Compute the forward pass on a packed row with layers that `find_layers` has found."""
    embedded = model.embeddings(input_ids=input_ids, position_ids=positions).squeeze(0)
    if isinstance(model, MPNetModel):
        biases = _position_biases(model, layout)

        def attention(q: Tensor, k: Tensor, v: Tensor, dropout_p: float) -> Tensor:
            return attend(q, k, v, layout, biases, dropout_p=dropout_p)

    else:

        def attention(q: Tensor, k: Tensor, v: Tensor, dropout_p: float) -> Tensor:
            attended: Tensor = packed_attention(q, k, v, layout, dropout_p=dropout_p)
            return attended

    states: Tensor = run_layers(layers, embedded, attention)
    return states


def _run_mpnet(model: Any, input_ids: Tensor, positions: Tensor, layout: PackedLayout) -> Tensor:
    """Compute the forward pass of `MPNetModel` on a packed row by calling its layers one by one."""
    states: Tensor = model.embeddings(input_ids=input_ids, position_ids=positions)
    biases = _position_biases(model, layout)
    for layer in model.encoder.layer:
        attention = layer.attention.attn
        heads = (attention.num_attention_heads, attention.attention_head_size)
        q, k, v = (linear(states).squeeze(0).unflatten(1, heads) for linear in (attention.q, attention.k, attention.v))
        dropout_p = attention.dropout.p if attention.training else 0.0
        attended = attention.o(attend(q, k, v, layout, biases, dropout_p=dropout_p).flatten(1).unsqueeze(0))
        states = layer.attention.LayerNorm(layer.attention.dropout(attended) + states)
        states = layer.output(layer.intermediate(states), states)
    return states.squeeze(0)


def _bypassed_modules(model: Any) -> Iterator[torch.nn.Module]:
    """Yield the modules (except dropout) whose `forward` is replaced by `_run_mpnet`. Their hooks would not run."""
    yield from (model, model.encoder)
    for layer in model.encoder.layer:
        yield from (layer, layer.attention, layer.attention.attn)


def _is_hooked(module: torch.nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or hasattr(module, "_hf_hook"))


def _position_biases(model: Any, layout: PackedLayout) -> list[Tensor]:
    """Return the `attn_mask` of each bucket, which contains the relative position bias."""
    buckets = zip(layout.buckets, layout.masks(), strict=True)
    biases = [_position_bias(model.encoder, bucket.shape[1], mask) for bucket, mask in buckets]
    if layout.device.type != "cpu" and (dtype := autocast_dtype(layout.device)) is not None:
        return [bias.to(dtype) for bias in biases]  # Once, and not in each layer.
    return biases


def _position_bias(encoder: MPNetEncoder, width: int, segment_mask: Tensor | None) -> Tensor:
    """Return the relative position bias of MPNet, with −inf for two cells of different sentences.

    The tokens of a sentence are in consecutive cells. Therefore the distance between two cells equals the distance
    between their tokens, and all rows have the same bias.

    Args:
        width: number of cells of a row.
        segment_mask: boolean mask `(num_rows, 1, width, width)`, False for two cells of different sentences.

    Returns:
        The bias `(num_rows, num_heads, width, width)`, or `(1, num_heads, width, width)` without a mask.
    """
    cells = encoder.relative_attention_bias.weight.new_empty(1, width)
    bias: Tensor = encoder.compute_position_bias(cells)
    return bias if segment_mask is None else bias.masked_fill(~segment_mask, -torch.inf)


def _positions_from_padding_index(input_ids: Tensor, positions: Tensor, padding: int) -> Tensor:
    """Return position ids `(1, num_tokens)`. In each sentence they count from `padding` + 1, as in RoBERTa.

    `padding` is the id of the padding token. If a text itself contains this token, the token gets the position
    `padding` and is not counted.
    """
    is_real = (input_ids != padding).long()
    num_before = is_real.cumsum(1) - is_real
    start = torch.arange(positions.shape[1], device=positions.device) - positions
    return padding + is_real * (num_before - num_before.gather(1, start) + 1)


def _padding_index(config: Any) -> int:
    return 1 if config.model_type == "mpnet" else int(config.pad_token_id or 0)


def _without_adapters(auto_model: Any) -> Any:
    """Return the base model of a peft model; return any other model unchanged."""
    return auto_model.get_base_model() if hasattr(auto_model, "get_base_model") else auto_model
