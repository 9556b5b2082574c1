"""Dropout whose mask is quicker to draw on a CPU, where drawing masks took a tenth of a training step.

`torch` draws one 64-bit random number for each element of a mask. Here one number serves four elements with 16 bits
each, so the probability is rounded to a multiple of 1/65536. Elements that are kept are scaled by the rounded
probability, so the expected value is exact.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_STEPS = 1 << 16


def dropout(x: Tensor, p: float) -> Tensor:
    """Return `x` with each element set to 0 with probability `p`, and the others multiplied by 1 / (1 − p)."""
    num_zero_steps = round(p * _STEPS)
    if x.device.type != "cpu" or not 0 < num_zero_steps < _STEPS:
        return F.dropout(x, p)
    numbers = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device).random_(-(1 << 63), None)
    drawn = numbers.view(torch.int16)[: x.numel()].view(x.shape)
    kept = torch.empty_like(x, requires_grad=False, memory_format=torch.contiguous_format)
    torch.ge(drawn, num_zero_steps - _STEPS // 2, out=kept)
    return x * kept.mul_(_STEPS / (_STEPS - num_zero_steps))


class Dropout(nn.Dropout):
    """A `torch.nn.Dropout` that draws its mask with `dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply dropout in training mode; return `x` in evaluation mode."""
        return dropout(x, self.p) if self.training else x


def replace_dropout(model: nn.Module) -> None:
    """Turn the dropout layers of a model into `Dropout`, in place; they have no weights, so nothing else changes."""
    for module in model.modules():
        if type(module) is nn.Dropout and not module.inplace:
            module.__class__ = Dropout
