"""The architectures that run on a packed row, and how they do it.

Most of them accept position ids and pass unknown arguments to the attention interface of `transformers`, so their own
`forward` runs. MPNet does not use the interface: its attention has a learned bias that depends on the distance of two
tokens. So this file calls the layers of MPNet one by one. To add an architecture that uses the interface, add its
`model_type` to the first list. `tercet.encoder.packing.self_check` compares every model with itself on a padded batch.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder, MPNetModel

from tercet.encoder.packing.attention import ATTENTION_NAME, PackedLayout, attend
from tercet.encoder.packing.packing import Packing

_USE_ATTENTION_INTERFACE = frozenset({
    "albert", "bert", "camembert", "data2vec-text", "distilbert", "electra", "ernie", "eurobert", "modernbert",
    "nomic_bert", "roberta", "xlm-roberta", "xlm-roberta-xl",
})  # fmt: skip
# Architectures that count positions from the index of the padding token. Some of them never run packed, but
# `position_limit` needs them as well.
_POSITIONS_FROM_PADDING_INDEX = frozenset({
    "camembert", "data2vec-text", "longformer", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl", "xmod",
})  # fmt: skip


def position_limit(config: Any) -> int | None:
    """Return the maximum number of tokens that the position table allows, or None if there is no limit."""
    size = getattr(config, "max_position_embeddings", None)
    if size is None or size < 1:
        return None
    return int(size) - (_padding_index(config) + 1 if config.model_type in _POSITIONS_FROM_PADDING_INDEX else 0)


def runs_packed(auto_model: Any) -> bool:
    """Return whether `run_packed` supports a model; attention that the user has chosen (not "sdpa") is kept."""
    if any(config.is_prompt_learning for config in getattr(auto_model, "peft_config", {}).values()):
        return False  # The prompts of peft are tokens that the model adds by itself.
    base = _without_adapters(auto_model)
    if isinstance(base, MPNetModel):
        return not any(map(_is_hooked, _bypassed_modules(base)))
    config = auto_model.config
    if config.model_type not in _USE_ATTENTION_INTERFACE or getattr(config, "is_decoder", False):
        return False
    if getattr(config, "chunk_size_feed_forward", 0):
        return False  # The model would cut the row of tokens into chunks.
    return config._attn_implementation in ("sdpa", ATTENTION_NAME)


@torch.compiler.disable(recursive=False)
def run_packed(auto_model: Any, input_ids: Tensor, packing: Packing) -> Tensor:
    """Return the last hidden states of a packed row: ids `(1, tokens)` → `(tokens, hidden)`."""
    positions = torch.from_numpy(packing.positions).to(input_ids.device).unsqueeze(0)
    if auto_model.config.model_type in _POSITIONS_FROM_PADDING_INDEX:
        positions = _positions_after_padding(input_ids, positions, _padding_index(auto_model.config))
    layout = PackedLayout(packing, input_ids.device)
    base = _without_adapters(auto_model)
    if isinstance(base, MPNetModel):
        return _run_mpnet(base, input_ids, positions, layout)
    if auto_model.config._attn_implementation != ATTENTION_NAME:
        base.set_attn_implementation(ATTENTION_NAME)
    # `transformers` builds no mask if it receives one of four dimensions. Attention uses the layout instead.
    no_mask = torch.zeros(1, 1, 1, 1, device=input_ids.device)
    output = auto_model(input_ids=input_ids, attention_mask=no_mask, position_ids=positions, packed_layout=layout)
    states: Tensor = output[0]
    return states.squeeze(0)


def _run_mpnet(model: Any, input_ids: Tensor, positions: Tensor, layout: PackedLayout) -> Tensor:
    """Run `MPNetModel.forward` on a packed row, layer by layer with the modules of the model."""
    states: Tensor = model.embeddings(input_ids=input_ids, position_ids=positions)
    buckets = zip(layout.buckets, layout.masks(), strict=True)
    biases = [_position_bias(model.encoder, bucket.shape[1], mask) for bucket, mask in buckets]
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
    """Yield the modules whose `forward`, and so whose hooks, `_run_mpnet` does not call."""
    yield from (model, model.encoder)
    for layer in model.encoder.layer:
        yield from (layer, layer.attention, layer.attention.attn)


def _is_hooked(module: torch.nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or hasattr(module, "_hf_hook"))


def _position_bias(encoder: MPNetEncoder, width: int, segment_mask: Tensor | None) -> Tensor:
    """Return the bias of attention by distance `(1 or rows, heads, width, width)`, −inf between sentences.

    Two cells of a row are as far apart as their tokens are in the sentence, so all rows have the same bias.
    """
    cells = encoder.relative_attention_bias.weight.new_empty(1, width)
    bias: Tensor = encoder.compute_position_bias(cells)
    return bias if segment_mask is None else bias.masked_fill(~segment_mask, -torch.inf)


def _positions_after_padding(input_ids: Tensor, positions: Tensor, padding: int) -> Tensor:
    """Return positions counted from the padding index `(1, tokens)`; padding tokens inside a text are not counted."""
    is_real = (input_ids != padding).long()
    num_before = is_real.cumsum(1) - is_real
    start = torch.arange(positions.shape[1], device=positions.device) - positions
    return padding + is_real * (num_before - num_before.gather(1, start) + 1)


def _padding_index(config: Any) -> int:
    return 1 if config.model_type == "mpnet" else int(config.pad_token_id or 0)


def _without_adapters(auto_model: Any) -> Any:
    """Return the model inside a peft wrapper, or the model itself."""
    return auto_model.get_base_model() if hasattr(auto_model, "get_base_model") else auto_model
