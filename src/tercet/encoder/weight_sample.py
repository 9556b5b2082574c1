"""Distinguish models by their weights, and find out whether weights have changed since the model was loaded."""

import hashlib
import math
from typing import Any

import torch
from torch import Tensor, nn

# A training step changes nearly all weights, so a few of each tensor are enough.
_VALUES = 16
# For the identity of a model, each tensor is sampled at this number of positions.
_VALUES_OF_IDENTITY = 4096


def weight_sample(model: nn.Module) -> dict[str, Tensor]:
    """Return a few values of each parameter `(at most 16,)`, by its name."""
    names = {name for name, _ in model.named_parameters()}
    # While a trainer trains some word embeddings alone, the state has all of them, as the saved model.
    return {name: spread_values(value, _VALUES) for name, value in model.state_dict().items() if name in names}


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


@torch.no_grad()
def model_identity(model: nn.Module) -> dict[str, Any]:
    """Return a SHA-256 digest of the names, shapes and a sample of the values of all weights."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)}".encode())
        flat = value.detach().flatten()
        sample = flat[:: max(1, len(flat) // _VALUES_OF_IDENTITY)]
        digest.update(sample.cpu().double().numpy().tobytes())
    return {"sha256": digest.hexdigest()}
