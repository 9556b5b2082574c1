"""The modules of a model. Each takes and returns features, and is saved in one folder.

base.py          Module, the base class
transformer.py   Transformer: token ids → token embeddings
pooling.py       Pooling: token embeddings → sentence embedding `(batch, dim)`
dense.py         Dense: a linear layer and an activation on the sentence embedding
normalize.py     Normalize: sentence embeddings of length 1
"""

from tercet.encoder.modules.base import Module
from tercet.encoder.modules.dense import Dense
from tercet.encoder.modules.normalize import Normalize
from tercet.encoder.modules.pooling import Pooling
from tercet.encoder.modules.transformer import Transformer

__all__ = ["Dense", "Module", "Normalize", "Pooling", "Transformer"]
