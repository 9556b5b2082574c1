"""Load sentence encoders, compute embeddings and similarities, and save models.

sentence_transformer.py   SentenceTransformer, the model
encoding_model.py         the part of it that embeds sentences and compares embeddings
saved_model.py            the part of it that writes folders and uploads them
loading.py                load_model: load a folder, a model of the hub, or the bundled encoder
modules/                  the modules of a model: Transformer, Pooling, Dense, Normalize
packing/                  run the encoder on batches without padding
features.py               Features, the dictionary that modules receive and return
encode_arguments.py       the arguments of `encode`, checked before the work
encode.py                 embed many sentences in batches with a maximum number of tokens
ahead.py                  prepare the next batch in a thread
row_writer.py             write the embeddings of batches into one matrix, while a GPU computes
token_stats.py            count truncated texts and unknown tokens
token_outputs.py          token embeddings and features of each sentence
process_pool.py           encode in several processes
quantization.py           embeddings of one byte or one bit per dimension
peer_names.py             further methods of the model of sentence-transformers
similarity.py             similarities by name: cosine, dot, or the negative of a distance
names.py                  check the name of a model before anything else; imports no torch
devices.py                find the device of a model
model_folder.py           read model directories; settings.py reads their settings
pretrained/               load an encoder and its tokenizer, and check them as a whole
summary.py                describe a model in five lines
storage.py                write model directories
hub.py                    download from and upload to the Hugging Face hub
card_data.py              what the user states for the model card
card.py                   create the model card, the README.md of a model directory
weight_sample.py          find out whether weights have changed
model_content.py          what the embeddings of a model depend on, wherever its folder is
threads.py                what several threads share when they use one model

A public name is imported when it is first used, because most modules import torch, which is slow.
"""

from typing import TYPE_CHECKING

from tercet._lazy import lazy_names

if TYPE_CHECKING:
    from tercet.encoder.card_data import ModelCardData
    from tercet.encoder.features import Features
    from tercet.encoder.loading import load_model
    from tercet.encoder.modules import (
        Dense,
        Dropout,
        LayerNorm,
        Module,
        Normalize,
        Pooling,
        Router,
        StaticEmbedding,
        Transformer,
        WeightedLayerPooling,
    )
    from tercet.encoder.names import BUNDLED
    from tercet.encoder.quantization import quantize_embeddings
    from tercet.encoder.sentence_transformer import SentenceTransformer


__all__ = [
    "BUNDLED",
    "Dense",
    "Dropout",
    "Features",
    "LayerNorm",
    "ModelCardData",
    "Module",
    "Normalize",
    "Pooling",
    "Router",
    "SentenceTransformer",
    "StaticEmbedding",
    "Transformer",
    "WeightedLayerPooling",
    "load_model",
    "quantize_embeddings",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "card_data": ("ModelCardData",),
        "features": ("Features",),
        "loading": ("load_model",),
        "modules": (
            "Dense",
            "Dropout",
            "LayerNorm",
            "Module",
            "Normalize",
            "Pooling",
            "Router",
            "StaticEmbedding",
            "Transformer",
            "WeightedLayerPooling",
        ),
        "names": ("BUNDLED",),
        "quantization": ("quantize_embeddings",),
        "sentence_transformer": ("SentenceTransformer",),
    },
)
