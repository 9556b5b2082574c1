"""Dropout with random numbers by the four: on a CPU drawing them was a tenth of a training step.

torch draws one 64-bit number for each element of a mask. Here one gives four elements, 16 bits each, so the
probability is rounded to 1/65536; what is kept is scaled by the rounded one, so that the mean stays.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_STEPS = 1 << 16


def dropout(x: Tensor, p: float) -> Tensor:
    """`x` with elements put to 0 with probability `p`, and the others scaled by 1 / (1 − p)."""
    zeros = round(p * _STEPS)
    if x.device.type != "cpu" or not 0 < zeros < _STEPS:
        return F.dropout(x, p)
    numbers = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device).random_(-(1 << 63), None)
    drawn = numbers.view(torch.int16)[: x.numel()].view(x.shape)
    kept = torch.empty_like(x, requires_grad=False, memory_format=torch.contiguous_format)
    torch.ge(drawn, zeros - _STEPS // 2, out=kept)
    return x * kept.mul_(_STEPS / (_STEPS - zeros))


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` with the function above."""

    def forward(self, x: Tensor) -> Tensor:
        """As `torch.nn.Dropout.forward`."""
        return dropout(x, self.p) if self.training else x


def replace_dropout(model: nn.Module) -> None:
    """Make the dropout layers of a model those above, in place; they have no weights, so nothing else changes."""
    for module in model.modules():
        if type(module) is nn.Dropout and not module.inplace:
            module.__class__ = Dropout
