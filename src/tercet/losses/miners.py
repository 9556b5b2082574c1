"""The four ways to choose triplets, as functions of one block of distances.

A block holds the distances of m anchors to all C candidates. A miner gives, for each anchor, the sum of
its terms, and the weight of each distance: the derivative of that sum. It knows no embeddings;
`tercet.losses._engine.engine` turns the weights of distances into the gradient of the embeddings.
`docs/losses.md` derives the counting.

Every miner depends on differences of distances only. Sources: Schroff et al. 2015 (semi-hard),
Hermans et al. 2017 (all, hard, soft margin).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

# With more positives than this an anchor's negatives are searched or sorted; with fewer, passes of
# compare-and-add over a block in cache are quicker (figures in docs/log.md).
MOST_PASSES = 96
# Cells of a block that the passes go over at a time: 2 MiB of float32 stay in the cache between passes.
CELLS_IN_CACHE = 1 << 19
# The nearest farther negative is sought among the minima of runs of this many candidates, then in its run.
RUN = 16


class Block(NamedTuple):
    """What a miner sees of m anchors, P of whose positives are listed, and C candidates.

    Attributes:
        negatives: distances `(m, C)`; the cells of positives and of the anchor itself hold `far`.
        positives: distances `(m, P)`, with any finite value in empty places.
        columns: which candidates the positives are, `(m, P)`.
        empty: the places `(m, P)` that hold no positive, or None where all rows have P of them.
        signed: whether distances may be below 0 (a distance of the user's own).
    """

    negatives: Tensor
    positives: Tensor
    columns: Tensor
    empty: Tensor | None
    signed: bool = False

    @property
    def far(self) -> float:
        """The value that stands for "no negative here": larger than any distance, but finite."""
        return torch.finfo(self.negatives.dtype).max


class MinedBlock(NamedTuple):
    """What a miner makes of a block.

    Attributes:
        terms: the sum of each anchor's terms `(m,)`.
        columns: candidates `(m, S)` with a weight of their own: positives, chosen negatives.
        distances: the distances of those `(m, S)`.
        weights: the derivative of `terms` by those `(m, S)`, below 0 for negatives.
        negative_weights: minus the derivative by `negatives`, `(m, C)`, where a miner weighs all of them.
    """

    terms: Tensor
    columns: Tensor
    distances: Tensor
    weights: Tensor
    negative_weights: Tensor | None = None


@dataclass(frozen=True)
class Miner:
    """A way to choose triplets, and what its loss is a mean over: active triplets, positives or anchors."""

    mine: Callable[[Block], MinedBlock]
    mean_over: Literal["active", "positives", "anchors"]


def all_triplets(margin: float) -> Miner:
    """Every triplet; the mean is over those with a hinge above 0."""
    return Miner(partial(_mine_all, margin=margin), mean_over="active")


def semi_hard(margin: float) -> Miner:
    """For every positive the nearest negative strictly farther than it, or else the farthest negative."""
    return Miner(partial(_mine_semi_hard, margin=margin), mean_over="positives")


def hard(margin: float) -> Miner:
    """For every anchor its farthest positive and its nearest negative."""

    def hinge(gap: Tensor) -> tuple[Tensor, Tensor]:
        value = F.relu(gap + margin)
        return value, value.sign()

    return Miner(partial(_mine_hardest, penalty=hinge), mean_over="anchors")


def hard_soft_margin() -> Miner:
    """As `hard`, with log(1 + exp(·)) in place of the hinge; its weight is 0.5 where both are equally far."""

    def soft(gap: Tensor) -> tuple[Tensor, Tensor]:
        return F.softplus(gap), torch.sigmoid(gap)

    return Miner(partial(_mine_hardest, penalty=soft), mean_over="anchors")


def _mine_all(block: Block, margin: float) -> MinedBlock:
    """All triplets by counting: Σ hinge = Σₖ cₖ tₖ − Σₙ wₙ dₙ, with the thresholds tₖ = d(a, pₖ) + margin.

    cₖ counts the negatives nearer than tₖ, wₙ the thresholds beyond dₙ. Both sums are taken relative to
    the largest threshold of the row, so that small hinges do not drown in large distances.
    """
    thresholds = block.positives + margin
    if block.empty is not None:
        thresholds = thresholds.masked_fill(block.empty, -torch.inf)
    few = thresholds.shape[1] <= MOST_PASSES
    nearer, beyond = (_count_by_passes if few else _count_by_search)(block.negatives, thresholds)
    top = thresholds.amax(1, keepdim=True)
    below_top = (top - thresholds).clamp(max=block.far)  # an empty place counts 0 times its finite distance
    terms = _row_dot(beyond, top - block.negatives) - _row_dot(nearer, below_top)
    return MinedBlock(terms, block.columns, block.positives, nearer, negative_weights=beyond)


def _mine_semi_hard(block: Block, margin: float) -> MinedBlock:
    few = block.positives.shape[1] <= MOST_PASSES and not block.signed
    columns = (_next_farther_by_passes if few else _next_farther_by_sorting)(block.negatives, block.positives)
    columns = columns.clamp_(max=block.negatives.shape[1] - 1)  # where nothing is farther, any column may come back
    nearest = block.negatives.gather(1, columns)
    nothing_farther = (nearest <= block.positives) | (nearest == block.far)
    rows = nothing_farther.any(1).nonzero().flatten()
    if len(rows):
        among = block.negatives[rows]
        farthest, where = among.masked_fill(among == block.far, -torch.inf).max(1, keepdim=True)
        columns[rows] = torch.where(nothing_farther[rows], where, columns[rows])
        nearest[rows] = torch.where(nothing_farther[rows], farthest, nearest[rows])
    hinge = F.relu(block.positives - nearest + margin)
    if block.empty is not None:
        hinge = hinge.masked_fill(block.empty, 0)
    active = hinge.sign()
    return MinedBlock(
        terms=hinge.sum(1),
        columns=torch.cat([block.columns, columns], 1),
        distances=torch.cat([block.positives, nearest], 1),
        weights=torch.cat([active, -active], 1),
    )


def _mine_hardest(block: Block, penalty: Callable[[Tensor], tuple[Tensor, Tensor]]) -> MinedBlock:
    positives = block.positives
    if block.empty is not None:
        positives = positives.masked_fill(block.empty, -torch.inf)
    farthest, place = positives.max(1, keepdim=True)
    column = _lowest(block.negatives)
    nearest = block.negatives.gather(1, column)
    terms, slope = penalty(farthest - nearest)
    return MinedBlock(
        terms=terms.squeeze(1),
        columns=torch.cat([block.columns.gather(1, place), column], 1),
        distances=torch.cat([farthest, nearest], 1),
        weights=torch.cat([slope, -slope], 1),
    )


def _count_by_passes(negatives: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
    """How many negatives lie below each threshold `(m, P)`, and thresholds above each negative `(m, C)`.

    One pass per threshold, over a few rows at a time that stay in the cache. The masks are floats: torch
    compares, adds and sums those with vector instructions, and bools without.
    """
    nearer, beyond = torch.empty_like(thresholds), torch.zeros_like(negatives)
    for rows in _rows_in_cache(negatives):
        d, t, total = negatives[rows], thresholds[rows], beyond[rows]
        below = torch.empty_like(d)
        for k in range(thresholds.shape[1]):
            torch.lt(d, t[:, k : k + 1], out=below)
            total += below
            torch.sum(below, 1, out=nearer[rows, k])
    return nearer, beyond


def _count_by_search(negatives: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
    """The same for many thresholds: each negative finds its place among the sorted ones in log P steps."""
    ascending, order = thresholds.sort(1)
    number = thresholds.shape[1]
    nearer, beyond = torch.empty_like(thresholds), torch.empty_like(negatives)
    for rows in _rows_in_cache(negatives):
        passed = torch.searchsorted(ascending[rows], negatives[rows], right=True)
        beyond[rows] = number - passed
        # Negatives that passed k thresholds are nearer than all the later ones: a running sum of a histogram.
        histogram = negatives.new_zeros(len(passed), number + 1)
        histogram.scatter_add_(1, passed, histogram.new_ones(1).expand_as(passed))
        nearer[rows] = torch.empty_like(thresholds[rows]).scatter_(1, order[rows], histogram[:, :-1].cumsum(1))
    return nearer, beyond


def _next_farther_by_passes(negatives: Tensor, positives: Tensor) -> Tensor:
    """The column of the nearest negative strictly farther than each positive: `(m, C), (m, P) → (m, P)`.

    Bits of non-negative floats order like the floats. As integers that wrap around, d − (p + 1 bit) + minimum
    puts all that are farther than p below all that are not, in order, so a pass is a subtraction and a minimum.
    """
    bits = torch.int64 if negatives.dtype == torch.float64 else torch.int32
    keys = _whole_runs(negatives).view(bits)
    origin = (positives.contiguous().view(bits) + 1).bitwise_xor(torch.iinfo(bits).min)
    return torch.cat([_lowest_past(keys[rows], origin[rows]) for rows in _rows_in_cache(keys)])


def _whole_runs(negatives: Tensor) -> Tensor:
    spare = -negatives.shape[1] % RUN
    return F.pad(negatives, (0, spare), value=torch.finfo(negatives.dtype).max) if spare else negatives


def _lowest(negatives: Tensor) -> Tensor:
    """The column of a nearest negative of each row: `(m, C) → (m, 1)`, in two steps as in `_lowest_past`."""
    if negatives.shape[1] < RUN**2:
        return negatives.argmin(1, keepdim=True)
    padded = _whole_runs(negatives)
    runs = padded.shape[1] // RUN
    run = padded.view(len(padded), RUN, runs).amin(1).argmin(1, keepdim=True)
    columns = run + runs * torch.arange(RUN, device=run.device)
    return columns.gather(1, padded.gather(1, columns).argmin(1, keepdim=True))


def _lowest_past(keys: Tensor, origin: Tensor) -> Tensor:
    """The column where keys − origin, wrapping around, is lowest: `(m, C), (m, P) → (m, P)`.

    A minimum with its place costs ten times a minimum, hence two steps: minima of runs (every runs-th
    column), then the place inside the lowest run.
    """
    runs = keys.shape[1] // RUN
    past = torch.empty_like(keys)
    lowest = keys.new_empty(origin.shape[1], len(keys), runs)
    for k in range(origin.shape[1]):
        torch.sub(keys, origin[:, k : k + 1], out=past)
        torch.amin(past.view(-1, RUN, runs), 1, out=lowest[k])
    columns = lowest.argmin(2).T.unsqueeze(2) + runs * torch.arange(RUN, device=keys.device)
    inside = keys.gather(1, columns.flatten(1)).view_as(columns) - origin.unsqueeze(2)
    return columns.gather(2, inside.argmin(2, keepdim=True)).squeeze(2)


def _next_farther_by_sorting(negatives: Tensor, positives: Tensor) -> Tensor:
    """The same for many positives, or distances below 0: a sort of each row, then a search for each positive."""
    ascending, order = negatives.sort(1)
    rank = torch.searchsorted(ascending, positives.contiguous(), right=True)
    return order.gather(1, rank.clamp_(max=negatives.shape[1] - 1))


def _row_dot(x: Tensor, y: Tensor) -> Tensor:
    """Row-wise products: `(m, n), (m, n) → (m,)`, without the matrix of products."""
    return torch.bmm(x.unsqueeze(1), y.unsqueeze(2)).flatten()


def _rows_in_cache(block: Tensor) -> list[slice]:
    rows = max(1, CELLS_IN_CACHE // block.shape[1])
    return [slice(start, start + rows) for start in range(0, len(block), rows)]
