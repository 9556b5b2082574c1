"""The hashes of the texts that a model was trained on, as its training record keeps them.

A hash cannot be turned back into a text, but whoever has a text can find out whether it was among them.
"""

import base64
from typing import Any

import numpy as np

from tercet.data.tables.dataset_columns import texts_of
from tercet.data.tables.text_hashes import hashes_of


def encode_hashes(hashes: np.ndarray) -> str:
    """Return hashes as one string: each once, ascending, 8 bytes each, in base64.

    Example:
        >>> decode_hashes(encode_hashes(np.array([7, 3, 7], dtype="<u8"))).tolist()
        [3, 7]
    """
    return base64.b64encode(np.unique(hashes).astype("<u8").tobytes()).decode("ascii")


def decode_hashes(text: str) -> np.ndarray:
    """Return the hashes in a string of `encode_hashes`, uint64 `(n,)`.

    Raises:
        ValueError: the string is not one of `encode_hashes`.
    """
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<u8")


def training_text_hashes(dataset: Any, earlier: Any) -> str | None:
    """Return the encoded hashes of all texts that a model has been trained on after a training.

    Args:
        dataset: the training data, or a dictionary of several; their text columns have strings.
        earlier: the training record of the model before the training; None if it has none.

    Returns:
        The hashes; None if they cannot be known, because an earlier record has none.
    """
    if dataset is None or (earlier is not None and earlier.text_hashes is None):
        return None
    parts = [
        hashes_of(texts_of(part, name))
        for part in (dataset.values() if isinstance(dataset, dict) else [dataset])
        for name in part.column_names
        if _is_text(part, name)
    ]
    if earlier is not None:
        parts.append(decode_hashes(earlier.text_hashes))
    return encode_hashes(np.concatenate(parts)) if parts else None


def _is_text(dataset: Any, name: str) -> bool:
    return name != "label" and getattr(dataset.features.get(name), "dtype", None) in ("string", "large_string")
