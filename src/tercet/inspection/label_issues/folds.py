"""Folds for cross-validation: each label is checked by a model that was fitted without it.

Copies of a text share a fold, so that no copy confirms the label of another. The folds depend on the texts, the labels
and the seed, and not on the order of the rows.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np


def deal_folds(keys: Sequence[str], label_ids: np.ndarray, num_folds: int, seed: int = 0) -> np.ndarray:
    """Return the fold of each row, `(n,)`; each label is spread over as many folds as possible.

    Args:
        keys: rows with the same key share a fold.
        label_ids: the label of each row, `(n,)`. A key with several labels is dealt with the first of them.
        num_folds: the number of folds.
        seed: the same seed gives the same folds.
    """
    label_of_key: dict[str, int] = {}
    for key, label_id in zip(keys, label_ids.tolist(), strict=True):
        label_of_key[key] = min(label_id, label_of_key.get(key, label_id))
    salt = str(seed).encode()[:16]
    # A lone surrogate cannot be encoded as UTF-8; for the hash, any distinct bytes will do.
    order = sorted(
        label_of_key,
        key=lambda key: (label_of_key[key], blake2b(key.encode("utf-8", "surrogatepass"), salt=salt).digest()),
    )
    fold_of_key = {key: number % num_folds for number, key in enumerate(order)}
    return np.array([fold_of_key[key] for key in keys], dtype=np.int64)
