"""Fast kernels of the miners: count negatives below thresholds, and search for the nearest negative farther away.

Each exists in two forms. With few positives an anchor, passes of compare-and-add over a block that stays in the cache
are faster; with many, sorting and binary search. `docs/losses.md` derives the counting.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

# Up to this number of positives, passes are faster than sorting (measured, see docs/log.md).
MAX_PASSES = 96
# The number of distances that the passes process at a time: 2 MiB of float32 stay in the cache between passes.
CACHED_DISTANCES = 1 << 19
# A minimum is searched first among the minima of runs of this many candidates, then in the best run.
RUN_LENGTH = 16


def count_below(negatives: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
    """Count the negatives below each threshold `(m, P)`, and the thresholds above each negative `(m, C)`.

    Args:
        negatives: distances `(m, C)`.
        thresholds: `(m, P)`.
    """
    return (_count_by_passes if thresholds.shape[1] <= MAX_PASSES else _count_by_search)(negatives, thresholds)


def next_farther(negatives: Tensor, positives: Tensor, *, non_negative: bool) -> Tensor:
    """Return the column of the nearest negative strictly farther than each positive: `(m, C), (m, P) → (m, P)`.

    If no negative is farther, the column may be any.

    Args:
        non_negative: whether no distance is below 0, which the faster form needs.
    """
    few = positives.shape[1] <= MAX_PASSES and non_negative
    columns = (_next_farther_by_passes if few else _next_farther_by_sorting)(negatives, positives)
    return columns.clamp_(max=negatives.shape[1] - 1)  # Where nothing is farther, it may point into the padding.


def nearest(negatives: Tensor) -> Tensor:
    """Return the column of a nearest negative of each row: `(m, C) → (m, 1)`, in two steps as `_lowest_after`."""
    if negatives.shape[1] < RUN_LENGTH**2:
        return negatives.argmin(1, keepdim=True)
    padded = _pad_to_runs(negatives)
    num_runs = padded.shape[1] // RUN_LENGTH
    run = padded.view(len(padded), RUN_LENGTH, num_runs).amin(1).argmin(1, keepdim=True)
    columns = run + num_runs * torch.arange(RUN_LENGTH, device=run.device)
    return columns.gather(1, padded.gather(1, columns).argmin(1, keepdim=True))


def row_dot(x: Tensor, y: Tensor) -> Tensor:
    """Return the dot product of each pair of rows, `(m, n), (m, n) → (m,)`, without the matrix of products."""
    return torch.bmm(x.unsqueeze(1), y.unsqueeze(2)).flatten()


def _count_by_passes(negatives: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
    """Count with one pass per threshold, over a few rows at a time that stay in the cache.

    The masks are floats, because torch compares, adds and sums floats with vector instructions, and bools without.
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


def _count_by_search(negatives: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
    """Count with a binary search of each negative among the sorted thresholds, in log P steps."""
    ascending, order = thresholds.sort(1)
    num_thresholds = thresholds.shape[1]
    num_below, num_above = torch.empty_like(thresholds), torch.empty_like(negatives)
    for rows in _rows_in_cache(negatives):
        passed = torch.searchsorted(ascending[rows], negatives[rows], right=True)
        num_above[rows] = num_thresholds - passed
        # A negative that passed k thresholds is below all later ones, so a running sum of a histogram counts them.
        histogram = negatives.new_zeros(len(passed), num_thresholds + 1)
        histogram.scatter_add_(1, passed, histogram.new_ones(1).expand_as(passed))
        num_below[rows] = torch.empty_like(thresholds[rows]).scatter_(1, order[rows], histogram[:, :-1].cumsum(1))
    return num_below, num_above


def _next_farther_by_passes(negatives: Tensor, positives: Tensor) -> Tensor:
    """Search with one pass per positive.

    The bits of non-negative floats, read as integers, have the order of the floats. As integers that wrap around,
    d − (p + 1 bit) + minimum puts all distances farther than p below all others, in order. So a pass is a subtraction
    and a minimum.
    """
    integer = torch.int64 if negatives.dtype == torch.float64 else torch.int32
    keys = _pad_to_runs(negatives).view(integer)
    origin = (positives.contiguous().view(integer) + 1).bitwise_xor(torch.iinfo(integer).min)
    return torch.cat([_lowest_after(keys[rows], origin[rows]) for rows in _rows_in_cache(keys)])


def _lowest_after(keys: Tensor, origin: Tensor) -> Tensor:
    """Return the column where keys − origin, wrapping around, is lowest: `(m, C), (m, P) → (m, P)`.

    A minimum with its position costs ten times a minimum. So the first step takes minima of runs (every num_runs-th
    column), and the second finds the position in the best run.
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
    """Sort each row and search for each positive, for many positives or negative distances."""
    ascending, order = negatives.sort(1)
    rank = torch.searchsorted(ascending, positives.contiguous(), right=True)
    return order.gather(1, rank.clamp_(max=negatives.shape[1] - 1))


def _pad_to_runs(negatives: Tensor) -> Tensor:
    """Pad the columns with the largest float, so that their number is a multiple of `RUN_LENGTH`."""
    missing = -negatives.shape[1] % RUN_LENGTH
    return F.pad(negatives, (0, missing), value=torch.finfo(negatives.dtype).max) if missing else negatives


def _rows_in_cache(block: Tensor) -> list[slice]:
    num_rows = max(1, CACHED_DISTANCES // block.shape[1])
    return [slice(start, start + num_rows) for start in range(0, len(block), num_rows)]
