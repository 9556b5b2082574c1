"""Short hashes of texts, by which copies are found."""

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

from tercet._texts import text_key


def hashes_of(texts: Iterable[str]) -> np.ndarray:
    """Return the hash of each text, uint64 `(n,)`. Copies of a text, see `text_key`, have the same hash.

    The texts of a `TextColumn` are hashed once. Of ten million different texts, two have the same hash with a
    probability of 3 in a million.
    """
    known: np.ndarray | None = getattr(texts, "hashes", None)
    return hash_texts(texts) if known is None else known


def hash_texts(texts: Iterable[str | None]) -> np.ndarray:
    """Return the hash of each text, uint64 `(n,)`; None has that of the empty text."""
    digests = (blake2b(text_key(text or "").encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts)
    return np.frombuffer(b"".join(digests), dtype="<u8")
