"""Dropout that draws its masks faster on a CPU.

Drawing the masks with `torch.nn.Dropout` took a tenth of a training step on a CPU. `torch` draws one 64-bit random
number per element of a mask. This file draws one 64-bit number per four elements, and uses 16 bits for each element.
Therefore the probability p is rounded to a multiple of 1/65536. The kept elements are multiplied by 1 / (1 − p), also
with the rounded p, so the expected value of each element is unchanged.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_STEPS = 1 << 16


def dropout(x: Tensor, p: float) -> Tensor:
    """Set each element of `x` to 0 with probability `p`, and multiply the other elements by 1 / (1 − p)."""
    if x.device.type != "cpu" or not 0 < _zero_steps(p) < _STEPS:
        return F.dropout(x, p)
    kept = torch.empty_like(x, requires_grad=False, memory_format=torch.contiguous_format)
    _draw_kept(x, p, kept)
    return x * kept.mul_(_scale(x, p))


def drop(x: Tensor, p: float) -> tuple[Tensor, Tensor | None]:
    """Return dropout of `x`, and the elements that it has kept, as booleans; None if it keeps all. May change `x`."""
    if p == 0:
        return x, None
    if x.device.type != "cpu" or not 0 < _zero_steps(p) < _STEPS:
        return torch.native_dropout(x, p, True)
    kept = _draw_kept(x, p, torch.empty(x.shape, dtype=torch.bool, device=x.device))
    return x.mul_(kept).mul_(_scale(x, p)), kept


def drop_gradient(grad: Tensor, kept: Tensor | None, p: float) -> Tensor:
    """Return the gradient of the input of `drop`, from that of its result."""
    if kept is None:
        return grad
    if grad.device.type != "cpu":
        gradient: Tensor = torch.ops.aten.native_dropout_backward(grad, kept, _scale(grad, p))
        return gradient
    return (grad * kept).mul_(_scale(grad, p))


def _draw_kept(x: Tensor, p: float, kept: Tensor) -> Tensor:
    """Set the elements of `kept` that dropout keeps to 1, and the others to 0."""
    numbers = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device).random_(-(1 << 63), None)
    drawn = numbers.view(torch.int16)[: x.numel()].view(x.shape)
    return torch.ge(drawn, _zero_steps(p) - _STEPS // 2, out=kept)


def _zero_steps(p: float) -> int:
    return round(p * _STEPS)


def _scale(x: Tensor, p: float) -> float:
    """Return the factor of the elements that dropout keeps."""
    if p == 1:
        return 0.0
    return _STEPS / (_STEPS - _zero_steps(p)) if x.device.type == "cpu" and _zero_steps(p) < _STEPS else 1 / (1 - p)


class Dropout(nn.Dropout):
    """A `torch.nn.Dropout` that draws its masks faster on a CPU; see `dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply dropout in training mode; return `x` in evaluation mode."""
        return dropout(x, self.p) if self.training else x


def replace_dropout(model: nn.Module) -> None:
    """Change the class of all `torch.nn.Dropout` layers of a model to `Dropout`.

    Layers with `inplace=True` and subclasses of `torch.nn.Dropout` are not changed.
    """
    for module in model.modules():
        if type(module) is nn.Dropout and not module.inplace:
            module.__class__ = Dropout
