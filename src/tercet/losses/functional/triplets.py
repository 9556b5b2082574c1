"""The loss of given triplets."""

from torch import Tensor
from torch.nn import functional as F

from tercet import distances
from tercet._numbers import check_margin
from tercet.distances import Distance, DistanceLike, get_distance
from tercet.errors import EmbeddingError
from tercet.losses.functional.checks import check_embeddings


def triplet_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *, margin: float = 5.0, distance: DistanceLike = "euclidean"
) -> Tensor:
    """Return the mean of max(0, d(a,p) − d(a,n) + margin) over the given triplets.

    `anchor`, `positive` and `negative` are each `(batch, dim)`. Triplets with loss 0 are included in the mean. Source:
    Schroff et al. 2015 (FaceNet), section 3.1.

    Example:
        >>> import torch
        >>> from tercet.losses import functional
        >>> anchor, positive, negative = torch.tensor([[0.0]]), torch.tensor([[1.0]]), torch.tensor([[3.0]])
        >>> functional.triplet_loss(anchor, positive, negative, margin=5.0)
        tensor(3.)
    """
    margin, metric = check_margin(margin), get_distance(distance)
    parts = {"anchor": anchor, "positive": positive, "negative": negative}
    anchor, positive, negative = (check_embeddings(part, metric, name) for name, part in parts.items())
    if not anchor.shape == positive.shape == negative.shape:
        shapes = ", ".join(str(tuple(part.shape)) for part in (anchor, positive, negative))
        raise EmbeddingError(f"anchor, positive and negative need the same shape (batch, dim), got {shapes}")
    return checked_triplet_loss(anchor, positive, negative, margin, metric)


def checked_triplet_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float, distance: Distance
) -> Tensor:
    """Return the same as `triplet_loss` for embeddings that are already checked, without reading their values."""
    to_positive, to_negative = (distances.checked_pairs(anchor, part, distance) for part in (positive, negative))
    return F.relu(to_positive - to_negative + margin).mean()
