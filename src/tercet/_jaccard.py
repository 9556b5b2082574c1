"""The Jaccard overlap of sets of labels, for losses and metrics."""

from torch import Tensor


def jaccard_overlap(common: Tensor, ours: Tensor, theirs: Tensor) -> Tensor:
    """Return the number of common elements of sets divided by that of their union, float64; 0 if both are empty.

    Args:
        common: the number of common elements, `(n, m)`.
        ours: the sizes of the first sets, `(n, 1)`.
        theirs: the sizes of the second sets, `(m,)` or `(n, m)`.

    Example:
        >>> import torch
        >>> jaccard_overlap(torch.tensor([[1.0]]), torch.tensor([[2.0]]), torch.tensor([3.0])).item()
        0.25
    """
    return common.double() / (ours + theirs - common).clamp(min=1)  # The counts are exact in float32.
