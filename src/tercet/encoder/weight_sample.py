"""Find out whether the weights of a model have changed since it was loaded, for example in a training loop."""

import math

import torch
from torch import Tensor, nn

# A training step changes nearly all weights, so a few of each tensor are enough.
_VALUES = 16


def weight_sample(model: nn.Module) -> dict[str, Tensor]:
    """Return a few values of each parameter `(at most 16,)`, by its name."""
    return {name: spread_values(parameter, _VALUES) for name, parameter in model.named_parameters()}


def weights_changed(model: nn.Module, before: dict[str, Tensor]) -> bool:
    """Return whether parameters were added, removed or changed since `weight_sample` returned `before`.

    A model that was moved to another device or to another precision has not changed.
    """
    now = weight_sample(model)
    return now.keys() != before.keys() or any(
        not torch.equal(before[name].to(values.dtype), values) for name, values in now.items()
    )


def spread_values(parameter: Tensor, number: int) -> Tensor:
    """Return a copy of at most `number` evenly spaced values of a parameter, on the CPU: `(at most number,)`."""
    flat = parameter.detach().flatten()
    return flat[:: max(1, math.ceil(len(flat) / number))].clone().cpu()
