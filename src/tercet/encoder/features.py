"""Features: the dictionary that the modules of a model receive, extend and return.

input_ids, attention_mask  (batch, tokens)           a padded batch, from `SentenceTransformer.tokenize`
input_ids, packing         (1, tokens) and Packing   a packed batch, from `tercet.encoder.packing.pack`
prompt_length              int                       number of prompt tokens at the start of each sentence
token_embeddings           (batch, tokens, hidden)   added by Transformer; (tokens, hidden) for a packed batch
sentence_embedding         (batch, dim)              added by Pooling, changed by Dense and Normalize
"""

from typing import Any

Features = dict[str, Any]
