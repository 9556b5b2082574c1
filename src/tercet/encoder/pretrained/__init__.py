"""Load an encoder of `transformers` and its tokenizer, and check them as a whole before they are used.

`transformers` loads many folders that are incomplete, and draws at random what is missing. Here such a folder is an
error. Only the pooler, which no module of Tercet uses, may be missing.

encoder.py     load_pretrained: adapters, configuration, weights, tokenizer, in this order
files.py       the files of a folder, and the headers of safetensors files
config.py      sizes in config.json that do not fit the weights
weights.py     weights that are missing, unused, or not finite
tokenizer.py   a tokenizer that does not fit the encoder
errors.py      the boundary: every exception becomes a ModelError that names the folder
"""

from tercet.encoder.pretrained.encoder import load_pretrained, loading_arguments
from tercet.encoder.pretrained.errors import loading_errors
from tercet.encoder.pretrained.weights import check_finite

__all__ = ["check_finite", "load_pretrained", "loading_arguments", "loading_errors"]
