"""Decide which gallery sentences are relevant for a query: those with its label, or those that share one of its labels.

SameLabelRelevance    each sentence has one label
SharedLabelRelevance  a sentence may have several labels; its gain is the Jaccard overlap with those of the query
find_relevance        chooses one of them by the form of the labels
indicators            the table of the labels of each set
dcg                   the discounted cumulated gain, for NDCG
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tercet._jaccard import jaccard_overlap
from tercet._labels import distinct_labels
from tercet.errors import EmbeddingError, TercetError
from tercet.evaluation._inputs import check_same_type, shared_label_ids

# The number of sets whose overlaps with all sets are in memory at the same time, when relevant rows are counted.
_ROWS_PER_COUNT = 1024


@dataclass(frozen=True)
class SameLabelRelevance:
    """The relevance of labels, as ids `(n,)` of the queries and `(m,)` of the gallery."""

    query_ids: Tensor
    gallery_ids: Tensor

    def num_relevant(self, *, leave_one_out: bool) -> Tensor:
        """Return the number of relevant gallery sentences of each query `(n,)`, without the query itself."""
        group_sizes = torch.bincount(self.gallery_ids, minlength=int(self.query_ids.max()) + 1)
        return group_sizes[self.query_ids] - int(leave_one_out)

    def relevant(self, rows: Tensor) -> Tensor:
        """Return whether each gallery sentence is relevant for the queries `rows`: bool `(len(rows), m)`."""
        return self.query_ids[rows].unsqueeze(1) == self.gallery_ids


@dataclass(frozen=True)
class SharedLabelRelevance:
    """The relevance of sets of labels, as ids `(n,)` of the sets of the queries and `(m,)` of the gallery.

    `table` `(num_sets, num_labels)` is 1 for the labels of each set, else 0.
    """

    table: Tensor
    query_ids: Tensor
    gallery_ids: Tensor

    def num_relevant(self, *, leave_one_out: bool) -> Tensor:
        """Return the number of relevant gallery sentences of each query `(n,)`, without the query itself."""
        sizes = torch.bincount(self.gallery_ids, minlength=len(self.table)).double()
        parts = self.table.split(_ROWS_PER_COUNT)
        counts = torch.cat([(part @ self.table.T > 0).double() @ sizes for part in parts]).long()
        return (counts - self.table.any(1).long() if leave_one_out else counts)[self.query_ids]

    def relevant(self, rows: Tensor) -> Tensor:
        """Return whether each gallery sentence shares a label with the queries `rows`: bool `(len(rows), m)`."""
        return (self.table[self.query_ids[rows]] @ self.table.T > 0)[:, self.gallery_ids]

    def gains(self, rows: Tensor) -> Tensor:
        """Return the Jaccard overlap of the labels of the queries `rows` and of the gallery: `(len(rows), m)`."""
        queries = self.table[self.query_ids[rows]]
        overlap = jaccard_overlap(queries @ self.table.T, queries.sum(1, keepdim=True), self.table.sum(1))
        return overlap[:, self.gallery_ids]


Relevance = SameLabelRelevance | SharedLabelRelevance


def are_sets(labels: Any) -> bool:
    """Return whether labels are those of sentences with several labels: each is a list, a tuple or a set."""
    if hasattr(labels, "__array__") or isinstance(labels, (str, bytes)) or not hasattr(labels, "__len__"):
        return False  # An iterator can be read once only, by the caller.
    found = list(labels)
    return bool(found) and all(isinstance(one, (list, tuple, Set)) for one in found)


def find_relevance(
    labels: Any, reference_labels: Any, sizes: tuple[int, int], *, error: type[TercetError] = EmbeddingError
) -> Relevance:
    """Return the relevance of labels, or of sets of labels; the arguments are those of `shared_label_ids`.

    Raises:
        TercetError: (as the class `error`) a label is missing or invalid, the number of labels differs from the number
            of embeddings, or there is nothing to measure.
    """
    if not are_sets(labels):
        return SameLabelRelevance(*shared_label_ids(labels, reference_labels, sizes, error=error))
    queries = [frozenset(one) for one in labels]
    if reference_labels is not None and not are_sets(reference_labels):
        raise error("labels are lists of labels, but reference_labels are not; pass a list of labels for each sentence")
    gallery = queries if reference_labels is None else [frozenset(one) for one in reference_labels]
    for part, size in ((queries, sizes[0]), (gallery, sizes[1])):
        if len(part) != size:
            raise error(f"expected the labels of {size} embeddings, got those of {len(part)}")
    names = distinct_labels(labels, error=error)
    if reference_labels is not None:
        of_gallery = distinct_labels(reference_labels, "reference_labels", error=error)
        check_same_type(names, of_gallery, error)
        names = list(dict.fromkeys([*names, *of_gallery]))
    columns = {label: number for number, label in enumerate(names)}
    numbers = {one: number for number, one in enumerate(dict.fromkeys([*queries, *gallery]))}
    ids = (torch.tensor([numbers[one] for one in part]) for part in (queries, gallery))
    table = indicators([[columns[label] for label in one] for one in numbers], len(columns))
    found = SharedLabelRelevance(table, *ids)
    relevant = found.num_relevant(leave_one_out=reference_labels is None)
    if not relevant.any():
        raise error("nothing to measure: no query shares a label with another sentence; check the labels")
    if bool((relevant[relevant > 0] == sizes[1] - int(reference_labels is None)).all()):
        raise error(
            "nothing to measure: every sentence shares a label with the queries, so no ranking can be wrong; check the "
            "labels, or add sentences with other labels"
        )
    return found


def indicators(label_sets: Sequence[Sequence[int]], num_labels: int) -> Tensor:
    """Return float32 `(num_sets, num_labels)`: 1 for the labels of each set, else 0."""
    table = torch.zeros(len(label_sets), num_labels)
    rows = [row for row, labels in enumerate(label_sets) for _ in labels]
    table[rows, [label for labels in label_sets for label in labels]] = 1
    return table


def dcg(gains: Tensor) -> Tensor:
    """Return the discounted cumulated gain of ranked gains `(n, depth)`, float64 `(n,)`.

    Source: Järvelin and Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques".
    """
    discounts = 1 / torch.log2(torch.arange(2, gains.shape[1] + 2, dtype=torch.float64))
    return gains.double() @ discounts
