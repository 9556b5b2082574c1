"""Find out on which of given sentences an encoder was trained."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tercet.data.splits.trained_texts import decode_hashes
from tercet.data.tables.text_hashes import hashes_of
from tercet.heads.models import find_head

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer

# Encoders of this owner were published for general use. No user's sentences are known to be in their training data.
_PUBLISHED = "sentence-transformers/"


def seen_rows(model: "SentenceTransformer | None", texts: Sequence[str] | None) -> np.ndarray | None:
    """Return whether an encoder was trained on each of n sentences, bool `(n,)`; None if that cannot be known.

    The record of a model that Tercet trained has the hashes of its training texts. Of other encoders, only published
    ones are known to be trained on other texts; if such a model ends in a head, the head may have been trained on them.
    If another training loop has changed the weights since, nothing is known.

    Args:
        model: the encoder; None if it is not known.
        texts: the sentences; None for embeddings.
    """
    if model is None or texts is None or not len(texts):
        return None
    if not model.weights_are_known:
        return None
    record = model.training_record
    if record is None:
        is_published = (model.base_model_name or "").startswith(_PUBLISHED) and find_head(model) is None
        return np.zeros(len(texts), dtype=bool) if is_published else None
    if record.text_hashes is None:
        return None
    return np.isin(hashes_of(texts), decode_hashes(record.text_hashes))


def seen_fraction(model: "SentenceTransformer | None", texts: Sequence[str] | None) -> float | None:
    """Return the fraction of sentences that an encoder was trained on; None if it cannot be known. See `seen_rows`."""
    seen = seen_rows(model, texts)
    return None if seen is None else float(seen.mean())
