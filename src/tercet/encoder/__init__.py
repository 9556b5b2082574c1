"""Load sentence encoders, compute embeddings and similarities, and save models.

sentence_transformer.py   SentenceTransformer, the model: encode, similarity, save
loading.py                load_model: load a folder, a model of the hub, or the bundled encoder
modules/                  the modules of a model: Transformer, Pooling, Dense, Normalize
packing/                  run the encoder on batches without padding
features.py               Features, the dictionary that modules receive and return
encode.py                 embed many sentences in batches with a maximum number of tokens
similarity.py             similarities by name: cosine, dot, or the negative of a distance
storage.py                read and write model directories
hub.py                    download from and upload to the Hugging Face hub
card.py                   create the model card, the README.md of a model directory
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
