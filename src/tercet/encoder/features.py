"""Features: the dictionary that the modules of a model receive, extend and return.

A padded batch, from `SentenceTransformer.tokenize`:
    input_ids           (batch, seq_len)
    attention_mask      (batch, seq_len)
    token_type_ids      (batch, seq_len), only from some tokenizers
    token_embeddings    (batch, seq_len, hidden_size), added by Transformer
A packed batch, from `tercet.encoder.packing.pack`:
    input_ids           (1, num_tokens)
    packing             the `Packing`, which has the length of each sentence
    token_embeddings    (num_tokens, hidden_size), added by Transformer
Both:
    prompt_length       int, the number of prompt tokens at the start of each sentence, including leading special
                        tokens; optional
    sentence_embedding  (batch, dim), added by Pooling, replaced by Dense and Normalize
    task                the task, by which a Router chooses a route; optional
    output_hidden_states  True to make Transformer add all_layer_embeddings; optional
    all_layer_embeddings  a list of the token embeddings of each layer, from the word embeddings on
A batch of StaticEmbedding, from `tokenize`:
    input_ids           (num_tokens,)
    offsets             (batch,), the place of the first token of each sentence
"""

from typing import Any

import torch

Features = dict[str, Any]


def on_device(features: Features, device: torch.device) -> Features:
    """Return features with the tensors on a device."""
    return {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in features.items()}
