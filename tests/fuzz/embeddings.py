"""Compute losses and metrics of extreme embeddings, and compare them with plain loops in float64."""

import math
from pathlib import Path

import torch
from torch import Tensor

from tercet.evaluation import label_metrics
from tercet.losses import functional, reference
from tests.fuzz.outcome import Area, CaseRandom, Finding, refusable

_LOSSES = {
    "batch_all": (functional.batch_all_triplet_loss, reference.batch_all, True),
    "batch_hard": (functional.batch_hard_triplet_loss, reference.batch_hard, True),
    "batch_semi_hard": (functional.batch_semi_hard_triplet_loss, reference.batch_semi_hard, True),
    "batch_hard_soft_margin": (functional.batch_hard_soft_margin_triplet_loss, reference.batch_hard_soft_margin, False),
}


def case(_: None, rng: CaseRandom, folder: Path) -> str:
    """Draw embeddings, and compare a loss with its formula, or the metrics with loops."""
    torch.manual_seed(rng.randrange(2**31))
    size, dim = rng.randrange(2, 24), rng.choice([1, 2, 3, 8, 40])
    x = torch.randn(size, dim, dtype=torch.float64)
    labels = [rng.randrange(rng.choice([1, 2, 3, 8])) for _ in range(size)]
    changes = []
    for _repeat in range(rng.randrange(3)):
        changes.append(_spoil(x, rng))
    dtype = rng.choice([torch.float32, torch.float32, torch.float64, torch.float16, torch.bfloat16])
    x = x.to(dtype)
    distance = rng.choice(["euclidean", "cosine", "manhattan"])
    rng.note(f"{size}×{dim} {dtype} {distance}, {', '.join(changes)}")
    if rng.random() < 0.3:
        return _metrics(x, labels, distance, rng)
    return _loss(x, labels, distance, rng)


def _spoil(x: Tensor, rng: CaseRandom) -> str:
    done = rng.choice(["zeros", "copies", "large", "huge", "small", "tiny", "shift", "nan", "near copies"])
    rows = torch.tensor([rng.randrange(len(x)) for _ in range(max(1, len(x) // 3))])
    if done == "zeros":
        x[rows] = 0
    elif done == "copies":
        x[rows] = x[0].clone()
    elif done == "near copies":
        x[rows] = x[0] + 1e-4 * torch.randn(len(rows), x.shape[1], dtype=x.dtype)
    elif done == "nan":
        x[rows[0], 0] = rng.choice([math.nan, math.inf])
    elif done == "shift":
        x += 100
    else:
        scale = {
            "large": 1e3,
            "huge": 10.0 ** rng.randrange(15, 38),
            "small": 1e-3,
            "tiny": 10.0 ** -rng.randrange(15, 40),
        }
        x[rows if rng.random() < 0.5 else slice(None)] *= scale[done]
        done += f" {scale[done]:g}"
    return done


def _matrix(x: Tensor, distance: str) -> Tensor:
    x = x.double()
    if distance == "cosine":
        norms = x.norm(dim=1, keepdim=True)
        unit = torch.where(norms > 0, x / norms.clamp(min=torch.finfo(torch.float64).tiny), torch.zeros_like(x))
        return 1 - unit @ unit.T
    difference = x[:, None] - x[None]
    if distance == "manhattan":
        return difference.abs().sum(-1)
    return difference.square().sum(-1).sqrt()


def _loss(x: Tensor, labels: list[int], distance: str, rng: CaseRandom) -> str:
    name = rng.choice(sorted(_LOSSES))
    loss, formula, has_margin = _LOSSES[name]
    margin = [rng.choice([0.0, 0.1, 0.3, 1.0, 5.0])] if has_margin else []
    rng.note(f"{name} {margin}")
    x = x.clone().requires_grad_()
    options = {"margin": margin[0]} if has_margin else {}
    value = refusable(lambda: loss(x, torch.tensor(labels), distance=distance, **options))
    value.backward()
    matrix = _matrix(x.detach(), distance)
    scale = max(1.0, matrix.max().item())
    # Distances are computed in float32 or better, so ties and the edge of the margin may fall on either side: the loss
    # lies between those of slightly nearer and slightly farther negatives.
    is_negative = (torch.tensor(labels)[:, None] != torch.tensor(labels)).double()
    nearer, expected, farther = (
        formula(matrix + shift * 1e-6 * scale * is_negative, labels, *margin).item() for shift in (-1, 0, 1)
    )
    if not bool(value.isfinite()) or not bool(x.grad.isfinite().all()):
        raise Finding(f"loss {value.item()}, gradient {'finite' if x.grad.isfinite().all() else 'not finite'}")
    tolerance = 2e-3 * scale
    if not min(nearer, expected, farther) - tolerance <= value.item() <= max(nearer, expected, farther) + tolerance:
        raise Finding(f"loss {value.item()}, by the formula {expected}")
    return "the loss of the formula"


def _metrics(x: Tensor, labels: list[int], distance: str, rng: CaseRandom) -> str:
    rng.note("metrics")
    metrics = refusable(lambda: label_metrics(x, torch.tensor(labels), distance=distance))
    for key, value in metrics.items():
        if not math.isfinite(value) or ("distance" not in key and not 0 <= value <= 1):
            raise Finding(f"{key} is {value}")
    return "metrics in range"


AREA = Area("embeddings", lambda folder: None, case)
