"""The modules of a `SentenceTransformer`.

A model directory contains the files of the Transformer, and a subfolder for each other module.

base.py          Module, the base class
input_module.py  InputModule, the base class of modules that tokenize texts
transformer.py   Transformer: token ids → token embeddings
packed_rows.py   compute packed rows, or padded groups of similar length
static_embedding.py  StaticEmbedding: token ids → sentence embedding, without an encoder
router.py        Router: other modules for queries than for documents
all_layers.py    run an encoder and keep all its layers
weighted_layer_pooling.py  WeightedLayerPooling: all layers of the encoder → token embeddings
pooling.py       Pooling: token embeddings → sentence embedding `(batch, dim)`; pooling_functions.py computes it
dense.py         Dense: applies a linear layer and an activation to the sentence embedding
normalize.py     Normalize: scales the sentence embedding to length 1
layer_norm.py    LayerNorm: normalizes the values of the sentence embedding
dropout.py       Dropout: drops values of the sentence embedding in training
adopt.py         take over module objects of sentence-transformers
weights.py       read and write the weights of a module
"""

from tercet.encoder.modules.base import Module
from tercet.encoder.modules.dense import Dense
from tercet.encoder.modules.dropout import Dropout
from tercet.encoder.modules.input_module import InputModule
from tercet.encoder.modules.layer_norm import LayerNorm
from tercet.encoder.modules.normalize import Normalize
from tercet.encoder.modules.pooling import Pooling
from tercet.encoder.modules.router import Router
from tercet.encoder.modules.static_embedding import StaticEmbedding
from tercet.encoder.modules.transformer import Transformer
from tercet.encoder.modules.weighted_layer_pooling import WeightedLayerPooling

__all__ = [
    "Dense",
    "Dropout",
    "InputModule",
    "LayerNorm",
    "Module",
    "Normalize",
    "Pooling",
    "Router",
    "StaticEmbedding",
    "Transformer",
    "WeightedLayerPooling",
]
