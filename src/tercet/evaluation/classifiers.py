"""Classify embeddings by labelled reference embeddings, in three ways that need no choice of settings.

    nearest_neighbours    the label that wins the vote of the 5 nearest reference rows
    class_means           the label whose mean reference row has the highest cosine similarity
    logistic_regression   the likeliest label of a logistic regression that is fitted to the reference rows

Each function maps reference embeddings `(m, dim)`, their label ids `(m,)` and query embeddings `(n, dim)` to the
predicted label ids `(n,)`, on the device of the embeddings. Label ids are counted from 0; an id without a reference row
is never predicted. Queries are processed in blocks, so memory grows with the number of rows, not with their product.
"""

import torch
from torch import Tensor

from tercet.distances import BLOCK_BYTES, DistanceLike, at_least_float32, distance_blocks, get_distance, nearest
from tercet.distances.points import unit_rows
from tercet.evaluation.balanced_sample import balanced_rows
from tercet.evaluation.logistic import BLOCK_VALUES, SCALE, centre_and_factor, fit_logistic
from tercet.evaluation.retrieval import majority
from tercet.evaluation.retrieval.ranking import NUM_NEIGHBOURS

__all__ = ["class_means", "logistic_regression", "mean_rows", "nearest_neighbours", "rows_to_fit"]

# λ of the logistic regression, for embeddings with a mean squared norm of 1. Of 0.02 to 1, it has the highest mean
# accuracy on BANKING77, HWU64 and CLINC150 with all-MiniLM-L6-v2, with all rows and with 5 and 10 rows per label.
PENALTY = 0.1
# The maximum of rows × labels × dimensions for a fit of the logistic regression. It takes 15 seconds on one core.
MAX_FIT_PRODUCTS = 3_000_000_000


def nearest_neighbours(
    reference: Tensor,
    label_ids: Tensor,
    queries: Tensor,
    *,
    neighbours: int = NUM_NEIGHBOURS,
    distance: DistanceLike = "cosine",
    block_bytes: int = BLOCK_BYTES,
) -> Tensor:
    """Predict the most frequent label among the nearest reference rows: the vote of the metric `knn_accuracy`.

    Of equally frequent labels, that of the nearest row is predicted.

    Args:
        reference: the reference embeddings `(m, dim)`.
        label_ids: their label ids `(m,)`.
        queries: the query embeddings `(n, dim)`.
        neighbours: the number of reference rows that vote.
        distance: the distance to rank by.
        block_bytes: the approximate memory of a block of distances, in bytes.

    Returns:
        The predicted label ids `(n,)`.

    Example:
        >>> import torch
        >>> nearest_neighbours(torch.eye(2), torch.tensor([0, 1]), torch.tensor([[0.1, 0.9]]), neighbours=1)
        tensor([1])
    """
    metric = get_distance(distance)
    gallery = metric.prepare(reference)
    points = metric.prepare(queries, gallery.centre)
    predicted = torch.empty(len(queries), dtype=label_ids.dtype, device=queries.device)
    for rows, distances in distance_blocks(points, gallery, metric, block_bytes=block_bytes):
        labels = label_ids[nearest(distances, neighbours)[1]]
        predicted[rows] = labels.gather(1, majority(labels).unsqueeze(1)).squeeze(1)
    return predicted


def class_means(reference: Tensor, label_ids: Tensor, queries: Tensor) -> Tensor:
    """Predict the label whose mean has the highest cosine similarity to the query.

    All rows are scaled to length 1 first. Of equal similarities, that of the smallest label id counts.

    Args and return value: as for `nearest_neighbours`.

    Source: Rocchio 1971 (nearest centroid classification).
    """
    x = unit_rows(at_least_float32(reference))
    num_labels = int(label_ids.max()) + 1
    sums, counts = _sums_of_labels(x, label_ids, num_labels)
    means, absent = unit_rows(sums), counts == 0
    # The length of a query does not change which similarity is the highest.
    blocks = at_least_float32(queries).split(max(1, BLOCK_VALUES // num_labels))
    return torch.cat([(block @ means.T).masked_fill_(absent, -torch.inf).argmax(dim=1) for block in blocks])


def mean_rows(x: Tensor, label_ids: Tensor, num_labels: int) -> tuple[Tensor, Tensor]:
    """Return the mean row of each label `(num_labels, dim)`, and whether the label has no row `(num_labels,)`.

    Args:
        x: the rows `(n, dim)`.
        label_ids: the label id of each row `(n,)`, from 0.
        num_labels: the number of labels. The mean of a label without a row is 0.

    Example:
        >>> means, absent = mean_rows(torch.tensor([[1.0], [3.0]]), torch.tensor([1, 1]), 2)
        >>> means.tolist(), absent.tolist()
        ([[0.0], [2.0]], [True, False])
    """
    sums, counts = _sums_of_labels(x, label_ids, num_labels)
    return sums / counts.clamp(min=1).unsqueeze(1), counts == 0


def _sums_of_labels(x: Tensor, label_ids: Tensor, num_labels: int) -> tuple[Tensor, Tensor]:
    """Return the sum of the rows of each label `(num_labels, dim)`, and their number `(num_labels,)`."""
    sums = x.new_zeros(num_labels, x.shape[1]).index_add_(0, label_ids, x)
    return sums, torch.bincount(label_ids, minlength=num_labels)


def logistic_regression(reference: Tensor, label_ids: Tensor, queries: Tensor) -> Tensor:
    """Predict the likeliest label of a logistic regression with a fixed penalty.

    The mean reference row is subtracted from all rows, and all rows are divided by the same number, which makes the
    mean squared norm of the reference rows 1. So the penalty does not depend on the scale of the embeddings.

    Args and return value: as for `nearest_neighbours`. The time grows with rows × labels × dimensions; see
    `rows_to_fit`.
    """
    reference, queries = at_least_float32(reference), at_least_float32(queries)
    mean, factor = centre_and_factor(reference)
    num_labels = int(label_ids.max()) + 1
    model = fit_logistic((reference - mean) * factor, label_ids, num_labels, SCALE**2 * PENALTY)
    blocks = queries.split(max(1, BLOCK_VALUES // num_labels))
    return torch.cat([model.log_probabilities((block - mean) * factor).argmax(dim=1) for block in blocks])


def rows_to_fit(label_ids: Tensor, dim: int, *, max_products: int = MAX_FIT_PRODUCTS, seed: int = 0) -> Tensor | None:
    """Return the rows to which a logistic regression can be fitted in seconds, ascending: all, or a random sample.

    A sample has the same number of rows of each label, or all rows of a label that has fewer.

    Args:
        label_ids: the label ids `(m,)`.
        dim: the dimension of the embeddings.
        max_products: the maximum number of rows × labels × dimensions.
        seed: the seed of the sample.

    Returns:
        The row numbers, or None if there are too many labels for one row of each.
    """
    max_rows = max_products // (int(label_ids.max() + 1) * dim)
    rows = balanced_rows(label_ids, max_rows, seed=seed)
    return rows if len(rows) else None
