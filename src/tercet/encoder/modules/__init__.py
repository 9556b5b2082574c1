"""The modules of a `SentenceTransformer`.

A model directory contains the files of the Transformer, and a subfolder for each other module.

base.py          Module, the base class
transformer.py   Transformer: token ids → token embeddings
pooling.py       Pooling: token embeddings → sentence embedding `(batch, dim)`
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
from tercet.encoder.modules.layer_norm import LayerNorm
from tercet.encoder.modules.normalize import Normalize
from tercet.encoder.modules.pooling import Pooling
from tercet.encoder.modules.transformer import Transformer

__all__ = ["Dense", "Dropout", "LayerNorm", "Module", "Normalize", "Pooling", "Transformer"]
