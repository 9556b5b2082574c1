"""Validate the embeddings and labels that are passed to a metric."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from tercet.errors import EmbeddingError, listed


def as_rows(embeddings: Any, name: str) -> Tensor:
    """Check embeddings `(n, dim)` and return them as a CPU tensor: float64 stays, other types become float32.

    Args:
        embeddings: a tensor, an array or nested lists.
        name: the name of the argument, for messages.

    Raises:
        EmbeddingError: the embeddings are not two-dimensional, are not floating-point, have no rows, or contain NaN or
            infinite values.
        ValueError, TypeError: nested lists have rows of different lengths, or contain something else than numbers.
    """
    rows = embeddings if isinstance(embeddings, Tensor) else torch.as_tensor(np.asarray(embeddings))
    if rows.dim() != 2 or not rows.is_floating_point():
        raise EmbeddingError(f"{name} must be floating-point (n, dim); got {rows.dtype} with shape {tuple(rows.shape)}")
    if len(rows) == 0:
        raise EmbeddingError(f"{name} has no rows; pass at least one embedding")
    rows = rows.detach().cpu()
    rows = rows if rows.dtype == torch.float64 else rows.float()
    finite = rows.isfinite().all(dim=1)
    if not finite.all():
        bad = listed((~finite).nonzero().flatten().tolist())
        raise EmbeddingError(f"{name} has NaN or infinite values in row(s) {bad}; remove or recompute these rows")
    return rows


def shared_label_ids(labels: Any, reference_labels: Any, sizes: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Convert the labels of queries and references to label ids. Equal labels get the same id in both.

    Args:
        labels: the labels `(n,)` of the queries: integers, strings or other hashable values.
        reference_labels: the labels `(m,)` of the references, of the same kinds.
        sizes: n and m, the numbers of query and reference embeddings.

    Returns:
        The label ids `(n,)` of the queries and the label ids `(m,)` of the references, counted from 0.

    Raises:
        EmbeddingError: the number of labels differs from the number of embeddings, or labels are not one-dimensional.
    """
    arrays = [_as_array(part) for part in (labels, reference_labels)]
    for array, size in zip(arrays, sizes, strict=True):
        if array.shape != (size,):
            raise EmbeddingError(
                f"expected one label per embedding, shape ({size},); got labels of shape {array.shape}"
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
    # With dtype=str, NumPy would store every string with the length of the longest one.
    return labels if isinstance(labels, np.ndarray) else np.asarray(labels, dtype=object)
