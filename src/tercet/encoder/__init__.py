"""The encoder: sentences in, one embedding per sentence out.

sentence_transformer.py   SentenceTransformer, the model: encode, similarity, save
loading.py                load_model: a folder, a name on the hub, or the bundled encoder
modules/                  what a model consists of: Transformer, Pooling, Dense, Normalize
packing/                  batches without padding
features.py               the dictionary that modules pass on
encode.py                 many sentences, in batches with a maximum number of tokens
similarity.py             cosine, dot, and the negative of each distance
storage.py                the model directory: settings and modules
hub.py                    download from and upload to the Hugging Face hub
card.py                   the README.md of a model directory
"""

from tercet.encoder.features import Features
from tercet.encoder.loading import BUNDLED, load_model
from tercet.encoder.modules import Dense, Module, Normalize, Pooling, Transformer
from tercet.encoder.sentence_transformer import SentenceTransformer

__all__ = [
    "BUNDLED",
    "Dense",
    "Features",
    "Module",
    "Normalize",
    "Pooling",
    "SentenceTransformer",
    "Transformer",
    "load_model",
]
