"""Run an encoder and keep the hidden states of all its layers, for modules and losses that use them."""

from typing import Any

import torch
from torch import Tensor

from tercet.encoder.features import Features
from tercet.encoder.packing.packing import Packing


def all_layer_outputs(auto_model: Any, inputs: dict[str, Tensor]) -> Features:
    """Return `token_embeddings` and `all_layer_embeddings` of a padded batch, each `(batch, seq_len, hidden_size)`."""
    outputs = auto_model(**inputs, output_hidden_states=True, return_dict=True)
    return {"token_embeddings": outputs[0], "all_layer_embeddings": list(outputs.hidden_states)}


# torch.compile compiles the layers that this function calls, but not the function itself, which uses NumPy.
@torch.compiler.disable(recursive=False)
def run_all_layers(transformer: Any, input_ids: Tensor, packing: Packing) -> Features:
    """Return `token_embeddings` and `all_layer_embeddings` of a packed row, each `(num_tokens, hidden_size)`.

    Packed attention returns the last layer only, so the sentences are padded in groups of similar length.

    Args:
        transformer: the `Transformer`.
        input_ids: the row `(1, num_tokens)`.
        packing: the lengths of its sentences.
    """
    parts = []
    for inputs, mask in transformer.padded_groups(input_ids, packing):
        outputs = all_layer_outputs(transformer.auto_model, inputs)
        parts.append([outputs["token_embeddings"][mask], *(layer[mask] for layer in outputs["all_layer_embeddings"])])
    if not parts:  # All sentences are empty and have no special tokens.
        config = transformer.auto_model.config
        empty = torch.zeros(0, transformer.hidden_size, device=input_ids.device, dtype=transformer.auto_model.dtype)
        parts = [[empty] * (config.num_hidden_layers + 2)]
    last, *layers = (torch.cat(list(pieces)) for pieces in zip(*parts, strict=True))
    return {"token_embeddings": last, "all_layer_embeddings": layers}
