"""Fast kernels of the miners. They count distances below thresholds and find the nearest negatives.

If an anchor has few positives, simple passes over distances that stay in the cache are faster. If it has many, sorting
and binary search are faster; on a CPU, `next_farther` sorts integers that stand for float32 distances. A GPU computes
the passes of a small block at once, because launching them takes longer than computing them.
`docs/concepts/loss-computation.md` derives the counting.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

# Up to these numbers of positives per anchor, passes are faster than sorting (measured, see dev/LOG.md).
MAX_PASSES_TO_COUNT = 96
MAX_PASSES_TO_SEARCH = 32
# The number of distances that all passes process before the next rows: 2 MiB of float32, which stay in the cache.
CACHED_DISTANCES = 1 << 19
# On other devices than a CPU: the largest number of pairs of a positive and a negative that are compared at once.
COMPARED_AT_ONCE = 1 << 26
# The search for a minimum compares the minima of runs of this many candidates, then searches in the best run.
RUN_LENGTH = 16


def count_below(negatives: Tensor, thresholds: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Count, in each row, the negatives below each threshold and the thresholds above each negative.

    Args:
        negatives: `(m, C)`, distances.
        thresholds: `(m, P)`.
        weights: `(m, P)`, how much each threshold counts in the second number; None counts each as 1.

    Returns:
        The number of negatives below each threshold `(m, P)`, and the number of thresholds above each negative
        `(m, C)`, both as floats.
    """
    if _compares_at_once(negatives, thresholds):
        below = negatives.unsqueeze(1) < thresholds.unsqueeze(2)
        num_below = below.sum(2, dtype=negatives.dtype)
        if weights is None:
            return num_below, below.sum(1, dtype=negatives.dtype)
        return num_below, torch.bmm(weights.unsqueeze(1), below.to(weights.dtype)).squeeze(1)
    if weights is not None:
        return _weigh_by_passes(negatives, thresholds, weights)
    return (_count_by_passes if thresholds.shape[1] <= MAX_PASSES_TO_COUNT else _count_by_search)(negatives, thresholds)


def next_farther(negatives: Tensor, positives: Tensor, *, non_negative: bool) -> tuple[Tensor, Tensor]:
    """Return the nearest negative that is strictly farther than each positive.

    Args:
        negatives: `(m, C)`, distances.
        positives: `(m, P)`, distances.
        non_negative: whether all distances are at least 0. The faster implementations require this.

    Returns:
        The column of one negative per positive, and its distance, each `(m, P)`. If no negative is farther, the column
        is arbitrary, and the distance is that of the column, or the largest finite float.
    """
    if _compares_at_once(negatives, positives):
        rows = negatives.unsqueeze(1)
        distance, columns = rows.masked_fill(rows <= positives.unsqueeze(2), torch.finfo(rows.dtype).max).min(2)
        return columns, distance
    if non_negative and positives.shape[1] <= MAX_PASSES_TO_SEARCH:
        columns = _next_farther_by_passes(negatives, positives)
    elif non_negative and negatives.dtype == torch.float32 and negatives.device.type == "cpu":
        columns = _next_farther_by_sorting_keys(negatives, positives)
    else:
        columns = _next_farther_by_sorting(negatives, positives)
    columns.clamp_(max=negatives.shape[1] - 1)  # If no negative is farther, a column may be in the padding.
    return columns, negatives.gather(1, columns)


def nearest(negatives: Tensor) -> Tensor:
    """Return the column of the nearest negative of each row: `(m, C) → (m, 1)`.

    Long rows are searched in two steps, as in `_lowest_after`.
    """
    if negatives.shape[1] < RUN_LENGTH**2:
        return negatives.argmin(1, keepdim=True)
    padded = _pad_to_runs(negatives)
    num_runs = padded.shape[1] // RUN_LENGTH
    run = padded.view(len(padded), RUN_LENGTH, num_runs).amin(1).argmin(1, keepdim=True)
    columns = run + num_runs * torch.arange(RUN_LENGTH, device=run.device)
    return columns.gather(1, padded.gather(1, columns).argmin(1, keepdim=True))


def row_dot(x: Tensor, y: Tensor) -> Tensor:
    """Return the dot product of each row of `x` and the same row of `y`: `(m, n), (m, n) → (m,)`.

    `torch.bmm` does not store the products of the elements, which `(x * y).sum(1)` does.
    """
    return torch.bmm(x.unsqueeze(1), y.unsqueeze(2)).flatten()


def _compares_at_once(negatives: Tensor, positives: Tensor) -> bool:
    return negatives.device.type != "cpu" and negatives.numel() * positives.shape[1] <= COMPARED_AT_ONCE


def _count_by_passes(negatives: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
    """Count with one pass per threshold. All passes process a few rows, which stay in the cache, before the next rows.

    The masks are floats, because torch uses vector instructions to compare, add and sum floats, but not bools.
    """
    num_below, num_above = torch.empty_like(thresholds), torch.zeros_like(negatives)
    for rows in _rows_in_cache(negatives):
        d, t, above = negatives[rows], thresholds[rows], num_above[rows]
        below = torch.empty_like(d)
        for k in range(thresholds.shape[1]):
            torch.lt(d, t[:, k : k + 1], out=below)
            above += below
            torch.sum(below, 1, out=num_below[rows, k])
    return num_below, num_above


def _weigh_by_passes(negatives: Tensor, thresholds: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Count as `_count_by_passes` does, and multiply each threshold by its weight in the numbers above."""
    num_below, weight_above = torch.empty_like(thresholds), torch.zeros_like(negatives)
    for rows in _rows_in_cache(negatives):
        d, t, w, above = negatives[rows], thresholds[rows], weights[rows], weight_above[rows]
        below = torch.empty_like(d)
        for k in range(thresholds.shape[1]):
            torch.lt(d, t[:, k : k + 1], out=below)
            above.addcmul_(below, w[:, k : k + 1])
            torch.sum(below, 1, out=num_below[rows, k])
    return num_below, weight_above


def _count_by_search(negatives: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
    """Count with a binary search: find each negative among the P sorted thresholds, in log P steps."""
    ascending, order = thresholds.sort(1)
    num_thresholds = thresholds.shape[1]
    num_below, num_above = torch.empty_like(thresholds), torch.empty_like(negatives)
    for rows in _rows_in_cache(negatives):
        passed = torch.searchsorted(ascending[rows], negatives[rows], right=True)
        num_above[rows] = num_thresholds - passed
        # A negative that is at or above exactly k thresholds is below all later thresholds. The cumulative sum of the
        # histogram of k is therefore the number of negatives below each threshold.
        histogram = negatives.new_zeros(len(passed), num_thresholds + 1)
        histogram.scatter_add_(1, passed, histogram.new_ones(1).expand_as(passed))
        num_below[rows] = torch.empty_like(thresholds[rows]).scatter_(1, order[rows], histogram[:, :-1].cumsum(1))
    return num_below, num_above


def _next_farther_by_passes(negatives: Tensor, positives: Tensor) -> Tensor:
    """Search with one pass per positive.

    If the bits of non-negative floats are read as integers, their order stays the same. Let d and p be the bits of a
    negative and a positive, and MIN the smallest integer. In integer arithmetic that wraps around, d − (p + 1) + MIN is
    smallest for the smallest d > p, and every d ≤ p gives a larger value than every d > p. So one pass consists of a
    subtraction and a minimum.
    """
    integer = torch.int64 if negatives.dtype == torch.float64 else torch.int32
    keys = _pad_to_runs(negatives).view(integer)
    origin = (positives.contiguous().view(integer) + 1).bitwise_xor(torch.iinfo(integer).min)
    return torch.cat([_lowest_after(keys[rows], origin[rows]) for rows in _rows_in_cache(keys)])


def _lowest_after(keys: Tensor, origin: Tensor) -> Tensor:
    """Return the column in which `keys − origin`, with wrap-around, is lowest: `(m, C), (m, P) → (m, P)`.

    `argmin` takes ten times as long as `amin`. So the first step computes only the minimum of each run. A run consists
    of every num_runs-th column. The second step finds the column within the best run.
    """
    num_runs = keys.shape[1] // RUN_LENGTH
    difference = torch.empty_like(keys)
    lowest = keys.new_empty(origin.shape[1], len(keys), num_runs)
    for k in range(origin.shape[1]):
        torch.sub(keys, origin[:, k : k + 1], out=difference)
        torch.amin(difference.view(-1, RUN_LENGTH, num_runs), 1, out=lowest[k])
    columns = lowest.argmin(2).T.unsqueeze(2) + num_runs * torch.arange(RUN_LENGTH, device=keys.device)
    in_run = keys.gather(1, columns.flatten(1)).view_as(columns) - origin.unsqueeze(2)
    return columns.gather(2, in_run.argmin(2, keepdim=True)).squeeze(2)


def _next_farther_by_sorting(negatives: Tensor, positives: Tensor) -> Tensor:
    """Sort each row of negatives, then find each positive by binary search. Works also for distances below 0."""
    ascending, order = negatives.sort(1)
    rank = torch.searchsorted(ascending, positives.contiguous(), right=True)
    return order.gather(1, rank.clamp_(max=negatives.shape[1] - 1))


def _next_farther_by_sorting_keys(negatives: Tensor, positives: Tensor) -> Tensor:
    """Sort and search as `_next_farther_by_sorting` does, with integers that consist of a distance and its column.

    As in `_next_farther_by_passes`, the bits of a non-negative float are read as an integer. It is the upper half of a
    key, and the column the lower half. NumPy sorts such keys with vector instructions, up to ten times as fast as torch
    sorts floats.
    """
    last_column = torch.iinfo(torch.int32).max
    columns = torch.arange(negatives.shape[1])
    parts = []
    for rows in _rows_in_cache(negatives):
        keys = (negatives[rows].view(torch.int32).long() << 32) | columns
        keys.numpy().sort(axis=1)
        # A negative at the same distance has a lower key than this one, so it is not farther.
        wanted = (positives[rows].contiguous().view(torch.int32).long() << 32) | last_column
        rank = torch.searchsorted(keys, wanted, right=True).clamp_(max=negatives.shape[1] - 1)
        parts.append(keys.gather(1, rank).bitwise_and_(last_column))
    return torch.cat(parts)


def _pad_to_runs(negatives: Tensor) -> Tensor:
    """Append columns with the largest finite float, so that the number of columns is a multiple of `RUN_LENGTH`."""
    missing = -negatives.shape[1] % RUN_LENGTH
    return F.pad(negatives, (0, missing), value=torch.finfo(negatives.dtype).max) if missing else negatives


def _rows_in_cache(block: Tensor) -> list[slice]:
    """Return slices of rows that stay in the cache of a CPU; on other devices one slice of all rows."""
    if block.device.type != "cpu":
        return [slice(0, len(block))]
    num_rows = max(1, CACHED_DISTANCES // block.shape[1])
    return [slice(start, start + num_rows) for start in range(0, len(block), num_rows)]
