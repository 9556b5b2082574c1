"""Find out whether an encoder was trained on given sentences."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tercet.data.text_hashes import decode_hashes, hashes_of

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer

# Encoders of this owner were published for general use. No user's sentences are known to be in their training data.
_PUBLISHED = "sentence-transformers/"


def seen_fraction(model: "SentenceTransformer | None", texts: Sequence[str] | None) -> float | None:
    """Return the fraction of sentences that an encoder was trained on; None if that cannot be known.

    The record of a model that Tercet trained has the hashes of its training texts. Of other encoders, only published
    ones are known to be trained on other texts.

    Args:
        model: the encoder; None if it is not known.
        texts: the sentences; None for embeddings.
    """
    if model is None or texts is None or not len(texts):
        return None
    record = model.training_record
    if record is None:
        return 0.0 if (model.base_model_name or "").startswith(_PUBLISHED) else None
    if record.text_hashes is None:
        return None
    return float(np.isin(hashes_of(texts), decode_hashes(record.text_hashes)).mean())
