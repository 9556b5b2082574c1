"""The fraction of triplets whose positive is nearer than the negative."""

from typing import Any

from tercet import distances
from tercet.distances import DistanceLike, get_distance
from tercet.errors import EmbeddingError
from tercet.evaluation._inputs import as_rows


def triplet_accuracy(anchors: Any, positives: Any, negatives: Any, *, distance: DistanceLike = "cosine") -> float:
    """Return the fraction of the n triplets with d(a,p) < d(a,n).

    Args:
        anchors: the embeddings `(n, dim)` of the anchors.
        positives: the embeddings `(n, dim)` of the positives.
        negatives: the embeddings `(n, dim)` of the negatives.
        distance: a name in the catalogue, or a `tercet.distances.Distance`.

    Raises:
        EmbeddingError: the shapes differ, a shape is not `(n, dim)`, the distance is unknown, or embeddings are not
            floating-point, are empty, or contain NaN or infinite values.
    """
    parts = {"anchors": anchors, "positives": positives, "negatives": negatives}
    metric = get_distance(distance)
    a, p, n = (as_rows(part, metric, name) for name, part in parts.items())
    if not a.shape == p.shape == n.shape:
        shapes = f"{tuple(a.shape)}, {tuple(p.shape)} and {tuple(n.shape)}"
        raise EmbeddingError(f"anchors, positives and negatives must have the same shape (n, dim); got {shapes}")
    return float((distances.checked_pairs(a, p, metric) < distances.checked_pairs(a, n, metric)).double().mean())
