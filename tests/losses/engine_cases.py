"""Losses by loops and by the formula, for the tests of the loss engine."""

from collections.abc import Callable

import torch
from torch import Tensor

from tercet import distances
from tercet.losses import miners, reference
from tercet.losses.miners import Miner

NAMES = ("all", "hard", "semi", "soft")


DISTANCES = ("euclidean", "cosine", "manhattan")


def miner_of(name: str, margin: float) -> Miner:
    return {
        "all": lambda: miners.all_triplets(margin),
        "hard": lambda: miners.hard(margin),
        "semi": lambda: miners.semi_hard(margin),
        "soft": miners.hard_soft_margin,
    }[name]()


def loops(name: str, x: Tensor, labels: Tensor, margin: float, distance: distances.DistanceLike) -> Tensor:
    d, y = distances.matrix(x, x, distance), labels.tolist()
    if name == "soft":
        return reference.batch_hard_soft_margin(d, y)
    return {"all": reference.batch_all, "hard": reference.batch_hard, "semi": reference.batch_semi_hard}[name](
        d, y, margin
    )


def with_gradient(loss: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().clone().requires_grad_()
    value = loss(x)
    value.backward()
    return value.detach(), x.grad


def assert_same(got: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor], tolerance: float) -> None:
    for one, other in zip(got, wanted, strict=True):
        scale = max(1.0, other.abs().max().item())
        assert (one - other).abs().max().item() <= tolerance * scale


def shifted(x: Tensor) -> Tensor:
    """A distance of the user's own, which may be negative."""
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist") - 1


def dense(name: str, x: Tensor, labels: Tensor, margin: float, distance: distances.DistanceLike) -> Tensor:
    """The loops again, with tensors of all triplets, for batches for which loops take too long."""
    d = distances.matrix(x, x, distance)
    same = labels.unsqueeze(1) == labels
    positive = same & ~torch.eye(len(labels), dtype=torch.bool)
    counted = positive.any(1) & ~same.all(1)
    if name in ("hard", "soft"):
        gap = d.masked_fill(~positive, -torch.inf).amax(1) - d.masked_fill(same, torch.inf).amin(1)
        gap = gap[counted]
        return (torch.nn.functional.softplus(gap) if name == "soft" else (gap + margin).relu()).mean()
    a, p = (positive & counted.unsqueeze(1)).nonzero(as_tuple=True)
    near, far = d[a, p].unsqueeze(1), d[a]
    if name == "all":
        hinge = (near - far + margin).relu() * ~same[a]
        return hinge.sum() / (hinge > 0).sum()
    farther = far.masked_fill(same[a] | (far <= near), torch.inf).amin(1)
    farthest = far.masked_fill(same[a], -torch.inf).amax(1)
    return (near.flatten() - torch.where(farther.isinf(), farthest, farther) + margin).relu().mean()
