"""Detect that a run has left the weights unchanged, without a copy of them."""

import math

import torch
from torch import Tensor, nn

from tercet.encoder.weight_sample import spread_values

# The relative change is estimated from this number of values of each parameter.
_SAMPLED_VALUES = 4096
# `weight_sums` reads this number of values at a time.
_VALUES_OF_PART = 1 << 20


@torch.no_grad()
def weight_sums(model: nn.Module) -> list[float]:
    """Return the sum and the norm of each part of the trainable weights in float64. They differ if a bit differs.

    The list is for comparisons within one process. It is empty if the model has no trainable parameter.
    """
    values: list[Tensor] = []
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.is_floating_point():
            dtype = torch.float32 if parameter.device.type == "mps" else torch.float64
            for part in parameter.detach().flatten().split(_VALUES_OF_PART):  # The norm copies its input in float64.
                values += [part.sum(dtype=dtype), torch.linalg.vector_norm(part, dtype=dtype)]
    return torch.stack([value.cpu() for value in values]).tolist() if values else []


@torch.no_grad()
def sample_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return at most `_SAMPLED_VALUES` evenly spaced values of each trainable parameter, in float64 on the CPU."""
    return {
        name: spread_values(parameter, _SAMPLED_VALUES).double()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.is_floating_point() and parameter.numel()
    }


@torch.no_grad()
def relative_change(model: nn.Module, before: dict[str, Tensor]) -> float:
    """Return the norm of the change of all weights since `sample_weights`, divided by their norm; estimated.

    It is NaN if `before` is empty.
    """
    change = total = 0.0
    parameters = dict(model.named_parameters())
    for name, values in before.items():
        now = spread_values(parameters[name], _SAMPLED_VALUES).double()
        weight = parameters[name].numel() / len(values)
        change += weight * float((now - values).square().sum())
        total += weight * float(torch.maximum(now.abs(), values.abs()).square().sum())
    return math.sqrt(change / total) if total else math.nan
