"""Checks of embeddings and labels that come from a caller."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from tercet.errors import EmbeddingError, listed


def as_rows(embeddings: Any, name: str) -> Tensor:
    """Return embeddings `(n, dim)` as a CPU tensor of float32 or float64.

    Args:
        name: the name of the argument, for messages.

    Raises:
        EmbeddingError: the shape or the type is wrong, or a value is NaN or infinite.
    """
    rows = embeddings if isinstance(embeddings, Tensor) else torch.as_tensor(np.asarray(embeddings))
    if rows.dim() != 2 or not rows.is_floating_point():
        raise EmbeddingError(f"{name} must be floating-point (n, dim), got {rows.dtype} {tuple(rows.shape)}")
    if len(rows) == 0:
        raise EmbeddingError(f"{name} has no rows")
    rows = rows.detach().cpu()
    rows = rows if rows.dtype == torch.float64 else rows.float()
    finite = rows.isfinite().all(dim=1)
    if not finite.all():
        bad = listed((~finite).nonzero().flatten().tolist())
        raise EmbeddingError(f"{name} has NaN or infinite values in row(s) {bad}")
    return rows


def shared_label_ids(labels: Any, reference_labels: Any, sizes: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Number the labels of queries and of references, so that equal labels have equal numbers.

    Args:
        labels: integers or strings `(n,)`.
        reference_labels: integers or strings `(m,)`.
        sizes: n and m.

    Returns:
        Label ids from 0, `(n,)` and `(m,)`.

    Raises:
        EmbeddingError: there is not one label per embedding.
    """
    arrays = [_as_array(part) for part in (labels, reference_labels)]
    for array, size in zip(arrays, sizes, strict=True):
        if array.shape != (size,):
            raise EmbeddingError(
                f"{size} embeddings came with labels of shape {array.shape}; pass one label per embedding"
            )
    if all(array.dtype.kind in "iu" for array in arrays):
        label_ids = torch.from_numpy(np.unique(np.concatenate(arrays), return_inverse=True)[1].reshape(-1))
    else:
        values = [value for array in arrays for value in array.tolist()]
        numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
        label_ids = torch.tensor([numbers[value] for value in values])
    return label_ids[: sizes[0]], label_ids[sizes[0] :]


def _as_array(labels: Any) -> np.ndarray:
    if isinstance(labels, Tensor):
        return labels.cpu().numpy()
    # NumPy's own strings are as wide as the longest of them; objects are not.
    return labels if isinstance(labels, np.ndarray) else np.asarray(labels, dtype=object)
