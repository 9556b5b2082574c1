"""Check by the embedding of a test sentence that a classifier is used with the encoder that it was fitted with."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tercet.encoder.token_stats import collect_token_stats
from tercet.errors import ModelError

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer

_TEST_SENTENCE = "a sentence that tests whether this is the same encoder"
# The encoder may run in another precision or on another device. Another encoder is far below this.
_MIN_SIMILARITY = 0.95


def embed_test_sentence(model: "SentenceTransformer") -> Tensor:
    """Return the embedding of the test sentence `(dim,)`, in the precision of float16."""
    with collect_token_stats():  # no warnings about this sentence
        embedding = model.encode([_TEST_SENTENCE], convert_to_tensor=True, normalize_embeddings=True)[0]
    return embedding.float().cpu().half().float()


def check_encoder(model: "SentenceTransformer", expected: Any, folder: Path) -> None:
    """Raise `ModelError` if the encoder is not the one that the classifier was fitted with."""
    if expected is None:
        return
    found = embed_test_sentence(model)
    if len(found) == len(expected) and float(found @ torch.tensor(expected)) >= _MIN_SIMILARITY:
        return
    what = (
        f"it has dimension {len(found)}, expected {len(expected)}"
        if len(found) != len(expected)
        else "it has other embeddings"
    )
    raise ModelError(
        f"the classifier in {folder} was fitted with another encoder: {what}; fit it again with this encoder"
    )
