"""Draw a random sample in which each label has the same number of rows, or all rows that it has."""

import torch
from torch import Tensor


def rows_per_label(sizes: Tensor, max_rows: int, *, least: int = 0) -> int:
    """Return the highest number of rows per label with which a sample has at most `max_rows` rows.

    Args:
        sizes: the number of rows of each label `(num_labels,)`.
        max_rows: the maximum number of rows of the sample, below the sum of `sizes`.
        least: the smallest result, even if the sample is then larger.
    """
    per_label = least
    while sizes.clamp(max=per_label + 1).sum() <= max_rows:
        per_label += 1
    return per_label


def first_rows_of_each_label(order: Tensor, label_ids: Tensor, per_label: int) -> Tensor:
    """Return the first `per_label` rows of each label, or all rows of a label that has fewer.

    Args:
        order: the row numbers in random order `(n,)`.
        label_ids: the label ids `(n,)`, from 0.
        per_label: the number of rows to take of each label.

    Returns:
        The row numbers, by label, and in the order of `order` within a label.

    Example:
        >>> first_rows_of_each_label(torch.tensor([3, 0, 2, 1]), torch.tensor([0, 0, 1, 0]), 2)
        tensor([3, 0, 2])
    """
    sizes = torch.bincount(label_ids)
    order = order[label_ids[order].argsort(stable=True)]
    place = torch.arange(len(order), device=order.device) - (sizes.cumsum(0) - sizes)[label_ids[order]]
    return order[place < per_label]


def balanced_rows(label_ids: Tensor, max_rows: int, *, least: int = 0, seed: int = 0) -> Tensor:
    """Return the numbers of all rows, or of a random balanced sample of at most `max_rows` rows, ascending.

    Args:
        label_ids: the label ids `(n,)`, from 0.
        max_rows: the maximum number of rows.
        least: the smallest number of rows per label, even if the sample is then larger. With 0, it may be empty.
        seed: the seed of the sample.
    """
    if len(label_ids) <= max_rows:
        return torch.arange(len(label_ids), device=label_ids.device)
    per_label = rows_per_label(torch.bincount(label_ids), max_rows, least=least)
    order = torch.randperm(len(label_ids), generator=torch.Generator().manual_seed(seed)).to(label_ids.device)
    return first_rows_of_each_label(order, label_ids, per_label).sort().values
