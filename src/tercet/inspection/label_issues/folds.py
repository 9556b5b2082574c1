"""Folds: parts of the data, each of which is judged by the others alone, so that no sentence vouches for itself.

Copies of a text share a fold, so they do not vouch for each other either. The folds follow from the texts, the
labels and the seed, and not from the order of the rows.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np


def deal_folds(keys: Sequence[str], label_ids: np.ndarray, folds: int, seed: int = 0) -> np.ndarray:
    """The fold of each row, `(rows,)`: every label is spread over as many folds as it can be.

    Args:
        keys: rows with the same key share a fold.
        label_ids: the label of each row, `(rows,)`. A key under several labels is dealt with the first of them.
    """
    label_of: dict[str, int] = {}
    for key, code in zip(keys, label_ids.tolist(), strict=True):
        label_of[key] = min(code, label_of.get(key, code))
    salt = str(seed).encode()[:16]
    # Lone halves of characters have no UTF-8; here any bytes that tell texts apart will do.
    order = sorted(
        label_of, key=lambda key: (label_of[key], blake2b(key.encode("utf-8", "surrogatepass"), salt=salt).digest())
    )
    fold_of = {key: number % folds for number, key in enumerate(order)}
    return np.array([fold_of[key] for key in keys], dtype=np.int64)
