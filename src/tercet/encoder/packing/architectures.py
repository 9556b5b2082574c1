"""Which architectures run on a packed row, and how.

Most hand unknown arguments on to `transformers`' attention interface and take position ids, so they run as they
are. MPNet has an attention of its own, with a learned bias by distance; its layers are walked through here.
`Transformer` compares each model with itself on a padded batch, once for each precision, before it trusts any of this.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder, MPNetModel

from tercet.encoder.packing.attention import NAME, Layout, attend
from tercet.encoder.packing.packing import Packing

_ON_THE_INTERFACE = frozenset({
    "albert", "bert", "camembert", "data2vec-text", "distilbert", "electra", "ernie", "eurobert", "modernbert",
    "nomic_bert", "roberta", "xlm-roberta", "xlm-roberta-xl",
})  # fmt: skip
# Some of them never run packed; the limit of their positions depends on it all the same.
_POSITIONS_AFTER_PADDING = frozenset({
    "camembert", "data2vec-text", "longformer", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl", "xmod",
})  # fmt: skip


def position_limit(config: Any) -> int | None:
    """How many tokens the position table holds."""
    size = getattr(config, "max_position_embeddings", None)
    if size is None or size < 1:
        return None
    return int(size) - (_padding_index(config) + 1 if config.model_type in _POSITIONS_AFTER_PADDING else 0)


def runs_packed(auto_model: Any) -> bool:
    """Whether `run_packed` knows the architecture; its attention must not have been chosen by the user."""
    if any(config.is_prompt_learning for config in getattr(auto_model, "peft_config", {}).values()):
        return False  # prompts of peft are tokens that the model adds itself
    base = _without_adapters(auto_model)
    if isinstance(base, MPNetModel):
        return not any(map(_is_hooked, _passed_over(base)))
    config = auto_model.config
    if config.model_type not in _ON_THE_INTERFACE or getattr(config, "is_decoder", False):
        return False
    if getattr(config, "chunk_size_feed_forward", 0):
        return False  # chunks are cut along the row
    return config._attn_implementation in ("sdpa", NAME)


@torch.compiler.disable(recursive=False)
def run_packed(auto_model: Any, input_ids: Tensor, packing: Packing) -> Tensor:
    """The last hidden states of a packed row: ids `(1, tokens)` → `(tokens, hidden)`."""
    positions = torch.from_numpy(packing.positions).to(input_ids.device).unsqueeze(0)
    if auto_model.config.model_type in _POSITIONS_AFTER_PADDING:
        positions = _positions_after_padding(input_ids, positions, _padding_index(auto_model.config))
    layout = Layout(packing, input_ids.device)
    base = _without_adapters(auto_model)
    if isinstance(base, MPNetModel):
        return _run_mpnet(base, input_ids, positions, layout)
    if auto_model.config._attn_implementation != NAME:
        base.set_attn_implementation(NAME)
    # A mask of four dimensions is handed on as it is, and none is made: attention has the layout in its place.
    no_mask = torch.zeros(1, 1, 1, 1, device=input_ids.device)
    output = auto_model(input_ids=input_ids, attention_mask=no_mask, position_ids=positions, packed_layout=layout)
    return output[0].squeeze(0)


def _run_mpnet(model: Any, input_ids: Tensor, positions: Tensor, layout: Layout) -> Tensor:
    """`MPNetModel.forward` on a packed row, layer by layer with the model's own modules."""
    states = model.embeddings(input_ids=input_ids, position_ids=positions)
    masks = [
        _biased(model.encoder, part.shape[1], mask) for part, mask in zip(layout.parts, layout.masks(), strict=True)
    ]
    for layer in model.encoder.layer:
        attention = layer.attention.attn
        heads = (attention.num_attention_heads, attention.attention_head_size)
        q, k, v = (linear(states).squeeze(0).unflatten(1, heads) for linear in (attention.q, attention.k, attention.v))
        dropout = attention.dropout.p if attention.training else 0.0
        mixed = attention.o(attend(q, k, v, layout, masks, dropout=dropout).flatten(1).unsqueeze(0))
        states = layer.attention.LayerNorm(layer.attention.dropout(mixed) + states)
        states = layer.output(layer.intermediate(states), states)
    return states.squeeze(0)


def _passed_over(model: Any) -> Iterator[torch.nn.Module]:
    """The modules whose `forward` is not called in `_run_mpnet`."""
    yield from (model, model.encoder)
    for layer in model.encoder.layer:
        yield from (layer, layer.attention, layer.attention.attn)


def _is_hooked(module: torch.nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or hasattr(module, "_hf_hook"))


def _biased(encoder: MPNetEncoder, width: int, same: Tensor | None) -> Tensor:
    """The bias by distance `(1 or rows, heads, width, width)`, −inf between sentences.

    Cells of a row are as far apart as the tokens in their sentence, so rows need no bias of their own.
    """
    cells = encoder.relative_attention_bias.weight.new_empty(1, width)
    bias = encoder.compute_position_bias(cells)
    return bias if same is None else bias.masked_fill(~same, -torch.inf)


def _positions_after_padding(input_ids: Tensor, positions: Tensor, padding: int) -> Tensor:
    """Positions counted from the padding index; tokens that are the padding token themselves do not count."""
    real = (input_ids != padding).long()
    counted = real.cumsum(1) - real
    start = torch.arange(positions.shape[1], device=positions.device) - positions
    return padding + real * (counted - counted.gather(1, start) + 1)


def _padding_index(config: Any) -> int:
    return 1 if config.model_type == "mpnet" else int(config.pad_token_id or 0)


def _without_adapters(auto_model: Any) -> Any:
    """The model inside a wrapper of peft."""
    return auto_model.get_base_model() if hasattr(auto_model, "get_base_model") else auto_model
