"""Divide rows into folds for cross-validation. Each fold is scored by a model fitted to the other folds.

Copies of a text are in the same fold. Otherwise one copy would confirm a wrong label of another copy. The folds depend
on the texts, the label ids and the seed, but not on the order of the rows.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np


def deal_folds(keys: Sequence[str], label_ids: np.ndarray, num_folds: int, seed: int = 0) -> np.ndarray:
    """Return the fold `(n,)` of each of n rows. The keys of a label are spread over as many folds as possible.

    Args:
        keys: the n keys. Rows with the same key are in the same fold.
        label_ids: the label ids `(n,)`. A key with several labels counts as a key of the smallest label id.
        num_folds: the number of folds.
        seed: the same seed gives the same folds.
    """
    label_of_key: dict[str, int] = {}
    for key, label_id in zip(keys, label_ids.tolist(), strict=True):
        label_of_key[key] = min(label_id, label_of_key.get(key, label_id))
    salt = str(seed).encode()[:16]
    # "surrogatepass" encodes lone surrogates too, which plain UTF-8 rejects.
    order = sorted(
        label_of_key,
        key=lambda key: (label_of_key[key], blake2b(key.encode("utf-8", "surrogatepass"), salt=salt).digest()),
    )
    fold_of_key = {key: number % num_folds for number, key in enumerate(order)}
    return np.array([fold_of_key[key] for key in keys], dtype=np.int64)
