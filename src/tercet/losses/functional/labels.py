"""The labels of a batch: as ids, and as a relation between ids if rows have several labels."""

from collections.abc import Collection, Sequence, Set
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tercet._labels import distinct_labels, plain_labels
from tercet.errors import EmbeddingError
from tercet.losses.relations import SAME_LABEL, Relation, SharedLabel

Labels = Tensor | Sequence[int] | Sequence[str] | Sequence[Collection[int]] | Sequence[Collection[str]]


def ids_and_relation(labels: Any, *, weighted: bool = False) -> tuple[Any, Relation]:
    """Return labels that are sets or a bool matrix as set ids `(batch,)`, and the relation between these ids.

    `weighted` is that of `tercet.losses.relations.SharedLabel`. Labels of any other form are returned unchanged, with
    the relation of equal labels.
    """
    if (matrix := _bool_matrix(labels)) is not None:
        sets: list[Any] = [row.nonzero().flatten().tolist() for row in matrix]
    elif isinstance(labels, Tensor) or not hasattr(labels, "__iter__"):
        return labels, SAME_LABEL
    else:
        sets = list(labels)
        if not all(isinstance(one, (Set, list, tuple)) for one in sets) or not sets:
            return (labels if hasattr(labels, "__len__") else sets), SAME_LABEL
    numbers = {label: number for number, label in enumerate(distinct_labels(sets))}
    ids = {key: at for at, key in enumerate(dict.fromkeys(map(frozenset, sets)))}
    device = "cpu" if matrix is None else matrix.device
    set_ids = torch.tensor([ids[frozenset(one)] for one in sets], device=device)
    return set_ids, SharedLabel([[numbers[label] for label in key] for key in ids], weighted=weighted)


def _bool_matrix(labels: Any) -> Tensor | None:
    """Return labels that are a bool matrix `(batch, num_labels)` as a tensor; None for labels of any other form."""
    if not isinstance(labels, Tensor):
        if not hasattr(labels, "__array__") or (array := np.asarray(labels)).dtype != np.bool_:
            return None
        labels = torch.tensor(array)
    return labels if labels.dtype == torch.bool and labels.dim() == 2 and labels.shape[1] > 1 else None


def as_label_tensor(labels: Any, device: torch.device | str | None = None) -> Tensor:
    """Return labels as an int64 tensor `(batch,)`.

    Integers keep their values; booleans become 0 and 1. Floating-point numbers must be whole. Strings are numbered from
    0 in the order of their first occurrence.

    Args:
        labels: one label per row, in a list, a tensor, an array or a pandas `Series`.
        device: the device of the result. None keeps that of a tensor, and is the CPU for other labels.

    Raises:
        EmbeddingError: the labels are neither all whole numbers nor all strings, one is missing, or one does not fit
            in int64. The message names the row.
    """
    if isinstance(labels, Tensor):
        if labels.dtype.is_complex:
            raise EmbeddingError(f"labels must be integers or strings, got a tensor with dtype {labels.dtype}")
        if labels.dtype.is_floating_point and not bool((labels == labels.round()).all() & labels.isfinite().all()):
            plain_labels(labels)  # Raises an error that names the row.
        if labels.dim() > 1 and labels.numel() != len(labels):
            raise EmbeddingError(f"labels must have the shape (batch,), got {tuple(labels.shape)}")
        return labels.reshape(-1).to(device=device, dtype=torch.int64)
    values = plain_labels(labels)
    if values and isinstance(values[0], str):
        label_ids = {label: number for number, label in enumerate(dict.fromkeys(values))}
        values = [label_ids[label] for label in values]
    return torch.tensor(values, dtype=torch.int64, device=device)


def anchors_with_triplet(labels: Tensor) -> Tensor:
    """Return a bool mask `(batch,)`, given labels `(batch,)`: True for rows with a positive and a negative."""
    _, label_ids, counts = labels.unique(return_inverse=True, return_counts=True)
    group_size: Tensor = counts[label_ids]
    return (group_size > 1) & (group_size < len(labels))
