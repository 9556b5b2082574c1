"""Validate the embeddings, labels and options that are passed to a metric."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from tercet._labels import plain_labels
from tercet._numbers import check_integer
from tercet._texts import has_order
from tercet.distances import Distance, as_embeddings, check_norms
from tercet.errors import DataError, EmbeddingError, TercetError, listed

METRIC_OPTIONS = ("recall_at", "neighbours", "block_bytes")


def as_rows(embeddings: Any, distance: Distance, name: str) -> Tensor:
    """Check embeddings `(n, dim)` and return them as a CPU tensor: float64 stays, other types become float32.

    Args:
        embeddings: a tensor, an array or nested lists.
        distance: the distance to rank by.
        name: the name of the argument, for messages.

    Raises:
        EmbeddingError: the embeddings are not two-dimensional, are not floating-point, have no rows, or contain values
            that are NaN, infinite, or too large or too small for the distance (see `check_norms`).
    """
    rows = as_embeddings(embeddings, name).detach().cpu()
    rows = rows if rows.dtype == torch.float64 else rows.float()
    check_norms(rows, distance, name, advice="; remove or recompute these rows")
    return rows


def check_options(
    recall_at: Iterable[int] = (1,),
    neighbours: int = 1,
    block_bytes: int = 1,
    *,
    error: type[TercetError] = EmbeddingError,
    **unknown: Any,
) -> list[int]:
    """Check the options of `label_metrics`, and return the values of k for recall@k.

    Raises:
        TercetError: (as the class `error`) a number is not an integer of at least 1, or an option is unknown.
    """
    if unknown:
        raise error(f"unknown metric option(s) {listed(unknown)}; choose from {listed(METRIC_OPTIONS)}")
    check_integer("neighbours", neighbours, error=error)
    check_integer("block_bytes", block_bytes, error=error)
    if isinstance(recall_at, (str, bytes)) or not isinstance(recall_at, Iterable):
        raise error(f"recall_at must be a list of integers, such as [1, 5], got {recall_at!r}")
    return [check_integer("each value of recall_at", k, error=error) for k in recall_at]


def shared_label_ids(
    labels: Any, reference_labels: Any, sizes: tuple[int, int], *, error: type[TercetError] = EmbeddingError
) -> tuple[Tensor, Tensor]:
    """Convert the labels of queries and references to label ids. Equal labels get the same id in both.

    Args:
        labels: the labels `(n,)` of the queries, see `tercet._labels.plain_labels`.
        reference_labels: the labels `(m,)` of the references; None if the queries rank each other.
        sizes: n and m, the numbers of query and reference embeddings.
        error: the class of the exception.

    Returns:
        The label ids `(n,)` of the queries and the label ids `(m,)` of the references, counted from 0.

    Raises:
        TercetError: (as the class `error`) a label is missing or invalid, the number of labels differs from the number
            of embeddings, one kind of label is integers and the other strings, or there is nothing to measure.
    """
    queries = plain_labels(labels, "labels", error=error)
    gallery = queries if reference_labels is None else plain_labels(reference_labels, "reference_labels", error=error)
    for part, size in ((queries, sizes[0]), (gallery, sizes[1])):
        if len(part) != size:
            raise error(f"expected one label per embedding, shape ({size},); got labels of shape ({len(part)},)")
    check_same_type(queries, gallery, error)
    ids = {label: number for number, label in enumerate(dict.fromkeys([*queries, *gallery]))}
    query_ids, gallery_ids = (torch.tensor([ids[label] for label in part]) for part in (queries, gallery))
    if why := _nothing_to_measure(query_ids, gallery_ids, leave_one_out=reference_labels is None):
        raise error(f"nothing to measure: {why}")
    return query_ids, gallery_ids


def check_same_type(labels: Sequence[Any], reference_labels: Sequence[Any], error: type[TercetError]) -> None:
    """Raise `error` if the labels of queries are integers and those of references strings, or the other way round.

    A NumPy scalar counts as the Python value that it is equal to.
    """
    if labels and reference_labels and isinstance(labels[0], str) != isinstance(reference_labels[0], str):
        raise error(
            f"labels are of type {type(labels[0]).__name__}, but reference_labels are of type "
            f"{type(reference_labels[0]).__name__}, so none are equal; pass labels of the same type"
        )


def _nothing_to_measure(query_ids: Tensor, gallery_ids: Tensor, *, leave_one_out: bool) -> str | None:
    """Return why every ranking is the same, whatever the embeddings are; None if it is not."""
    if len(gallery_ids.unique()) < 2 and len(gallery_ids) > leave_one_out:
        which = "sentences" if leave_one_out else "references"
        return (
            f"all {which} have one label, so no ranking can be wrong; check the labels, or add sentences with another "
            "label"
        )
    if leave_one_out and gallery_ids.bincount().max() < 2:
        return (
            "no query has a relevant sentence, that is, another sentence with its label; check the labels, or add "
            "sentences with the label of a query"
        )
    if not torch.isin(query_ids, gallery_ids).any():
        return (
            "no query has a relevant sentence, because none of the labels is among the reference labels; check that "
            "both are labels of the same kind"
        )
    return None


def check_texts_list(values: Any, name: str) -> None:
    """Raise `DataError` if the texts of an evaluator are one string, or have no length or no order."""
    if not has_order(values):
        raise DataError(f"{name} must be a list of texts, got {type(values).__name__}")


def check_batch_size(batch_size: int | None) -> int | None:
    """Return the batch size of an evaluator; raise `DataError` unless it is a positive integer or None."""
    return None if batch_size is None else check_integer("batch_size", batch_size, error=DataError)
