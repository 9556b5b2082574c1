"""Find out whether the weights of a model have changed since it was loaded, for example in a training loop."""

import torch
from torch import Tensor, nn

# A training step changes nearly all weights, so a few of each tensor are enough.
_VALUES = 16


def sample_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return a few values of each parameter `(at most 16,)`, by its name."""
    return {name: _sample(parameter) for name, parameter in model.named_parameters()}


def weights_changed(model: nn.Module, before: dict[str, Tensor]) -> bool:
    """Return whether parameters were added, removed or changed since `sample_weights` returned `before`.

    A model that was moved to another device or to another precision has not changed.
    """
    now = sample_weights(model)
    return now.keys() != before.keys() or any(
        not torch.equal(before[name].to(values.dtype), values) for name, values in now.items()
    )


def _sample(parameter: nn.Parameter) -> Tensor:
    flat = parameter.detach().flatten()
    return flat[:: max(1, len(flat) // _VALUES)][:_VALUES].clone().cpu()
