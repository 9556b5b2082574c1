"""The two parts of a layer of BERT around its attention, with gradients written by hand.

With the gradients of autograd, a step launches almost twice as many kernels: with mixed precision one cast for each
weight and each gradient, and three products each for query, key and value. On a GPU, a step of a small model takes the
time of its launches. On a CPU it takes the same time and a few percent less memory.

`tercet.encoder.packing.layers` finds the weights in a model, and runs the layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from tercet.encoder.packing.dropout import drop, drop_gradient

# The types of the devices on which joining the weights of query, key and value takes longer than two more launches.
SEPARATE_PRODUCTS = {"cpu"}
# The places of the weights and biases of the two norms among the parameters of `layer_output`.
_NORMS = (2, 3, 8, 9)


@dataclass(frozen=True, eq=False, kw_only=True)
class OutputSettings:
    """Numbers of `layer_output`.

    Attributes:
        attention_dropout, output_dropout: the dropout after the two products that a residual is added to.
        attention_eps, output_eps: the ε of the two normalizations.
        dtype: the dtype of the products.
    """

    attention_dropout: float
    output_dropout: float
    attention_eps: float
    output_eps: float
    dtype: torch.dtype


def query_key_value(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Return the queries, keys and values of an attention, each `(num_tokens, dim)`: x Wᵀ + b for each weight.

    Args:
        x: `(num_tokens, hidden_size)`.
        weights: three weights, each `(dim, hidden_size)`.
        biases: their biases, each `(dim,)`.
        dtype: the dtype of the products and of the results.
    """
    results: tuple[Tensor, ...] = _QueryKeyValue.apply(x, dtype, *weights, *biases)  # type: ignore[no-untyped-call]
    if len(results) == 1:
        return list(results[0].unflatten(1, (len(weights), -1)).unbind(1))
    return list(results)


def layer_output(attended: Tensor, x: Tensor, settings: OutputSettings, parameters: Sequence[Tensor]) -> Tensor:
    """Return what follows the attention: output layer, residual, norm, feed-forward layers, residual, norm.

    Args:
        attended: the result of the attention `(num_tokens, dim)`.
        x: the input of the layer `(num_tokens, hidden_size)`.
        parameters: weight and bias of the output layer, of the first norm, of the two feed-forward layers, and of the
            second norm.
    """
    if torch.is_grad_enabled():
        result: Tensor = _LayerOutput.apply(attended, x, settings, *parameters)  # type: ignore[no-untyped-call]
        return result
    return _values(attended, x, settings, parameters, keep=False)[0]


class _QueryKeyValue(torch.autograd.Function):
    """One product on a GPU, where a launch is dear; three on a CPU, where joining the weights is."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dtype: torch.dtype, *parameters: Tensor) -> tuple[Tensor, ...]:
        groups = _groups(x.device, parameters)
        linears = [(_joined(weights, dtype), _joined(biases, dtype)) for weights, biases in groups]
        row = x.to(dtype)
        ctx.save_for_backward(row, *(weight for weight, _ in linears))
        ctx.shapes = [([weight.shape[0] for weight in weights], weights[0].dtype) for weights, _ in groups]
        ctx.x_dtype = x.dtype
        return tuple(F.linear(row, weight, bias) for weight, bias in linears)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        row, *weights = ctx.saved_tensors
        to_x: Tensor | None = None
        to_weights: list[Tensor | None] = []
        to_biases: list[Tensor | None] = []
        needs = ctx.needs_input_grad
        for index, (grad, weight, (sizes, dtype)) in enumerate(zip(grads, weights, ctx.shapes, strict=True)):
            if needs[0]:
                to_x = grad @ weight if to_x is None else to_x.addmm_(grad, weight)
            first = 2 + index * len(sizes)
            to_weights += _parts(lambda g=grad: g.T @ row, sizes, dtype, needed=any(needs[first : first + len(sizes)]))
            first += (len(needs) - 2) // 2
            to_biases += _parts(lambda g=grad: g.sum(0), sizes, dtype, needed=any(needs[first : first + len(sizes)]))
        return None if to_x is None else to_x.to(ctx.x_dtype), None, *to_weights, *to_biases


class _LayerOutput(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, attended: Tensor, x: Tensor, settings: OutputSettings, *parameters: Tensor) -> Tensor:
        result, saved = _values(attended, x, settings, parameters, keep=True)
        ctx.save_for_backward(attended, *(parameters[index] for index in _NORMS), *saved)
        ctx.settings, ctx.x_dtype, ctx.dtype = settings, x.dtype, parameters[0].dtype
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        settings, needs = ctx.settings, ctx.needs_input_grad
        attended, g_first, b_first, g_second, b_second, w_out, w_up, w_down, *saved = ctx.saved_tensors
        summed, mean, rstd, kept, normed, hidden, activated, second, second_mean, second_rstd, second_kept = saved
        grads: list[Tensor | None] = [None] * 10

        to_second, grads[8], grads[9] = torch.ops.aten.native_layer_norm_backward(
            grad, second, g_second.shape, second_mean, second_rstd, g_second, b_second, [True, needs[11], needs[12]]
        )
        to_down = drop_gradient(to_second, second_kept, settings.output_dropout).to(settings.dtype)
        _linear_gradients(grads, 6, to_down, activated, needs)
        to_hidden = torch.ops.aten.gelu_backward(to_down @ w_down, hidden)
        _linear_gradients(grads, 4, to_hidden, normed, needs)
        to_normed = _added_product(to_second, to_hidden, w_up)
        to_summed, grads[2], grads[3] = torch.ops.aten.native_layer_norm_backward(
            to_normed, summed, g_first.shape, mean, rstd, g_first, b_first, [True, needs[5], needs[6]]
        )
        to_out = drop_gradient(to_summed, kept, settings.attention_dropout).to(settings.dtype)
        _linear_gradients(grads, 0, to_out, attended, needs)
        to_attended = to_out @ w_out if needs[0] else None
        return to_attended, to_summed.to(ctx.x_dtype), None, *_cast_given(grads, ctx.dtype)


def _values(
    attended: Tensor, x: Tensor, settings: OutputSettings, parameters: Sequence[Tensor], *, keep: bool
) -> tuple[Tensor, list[Tensor | None]]:
    """Return the output of a layer, and with `keep` the tensors that its gradient needs."""
    w_out, b_out, g_first, b_first, w_up, b_up, w_down, b_down, g_second, b_second = parameters
    w_out, w_up, w_down, b_out, b_up, b_down = _cast([w_out, w_up, w_down, b_out, b_up, b_down], settings.dtype)
    summed, kept = _add_dropped(F.linear(attended, w_out, b_out), x, settings.attention_dropout)
    first, mean, rstd = torch.native_layer_norm(summed, g_first.shape, g_first, b_first, settings.attention_eps)
    normed = first.to(settings.dtype)
    hidden = F.linear(normed, w_up, b_up)
    activated = F.gelu(hidden) if keep else torch.ops.aten.gelu_(hidden)
    second, second_kept = _add_dropped(F.linear(activated, w_down, b_down), first, settings.output_dropout)
    result, second_mean, second_rstd = torch.native_layer_norm(
        second, g_second.shape, g_second, b_second, settings.output_eps
    )
    if not keep:
        return result, []
    of_first = (summed, mean, rstd, kept, normed, hidden, activated)
    return result, [w_out, w_up, w_down, *of_first, second, second_mean, second_rstd, second_kept]


def _add_dropped(x: Tensor, residual: Tensor, p: float) -> tuple[Tensor, Tensor | None]:
    """Return dropout of `x`, plus `residual`, and what dropout has kept. Changes `x`."""
    dropped, kept = drop(x, p)
    return (dropped.add_(residual) if dropped.dtype == residual.dtype else dropped + residual), kept


def _added_product(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Return x + y · weight."""
    return torch.addmm(x, y, weight) if x.dtype == y.dtype else x + y @ weight


def _linear_gradients(grads: list[Tensor | None], index: int, grad: Tensor, x: Tensor, needs: Sequence[bool]) -> None:
    """Set the gradients of the weight and of the bias of a linear layer, which are at `index` of the parameters."""
    if needs[3 + index]:
        grads[index] = grad.T @ x
    if needs[4 + index]:
        grads[index + 1] = grad.sum(0)


def _groups(device: torch.device, parameters: Sequence[Tensor]) -> list[tuple[Sequence[Tensor], Sequence[Tensor]]]:
    weights, biases = parameters[: len(parameters) // 2], parameters[len(parameters) // 2 :]
    if device.type in SEPARATE_PRODUCTS:
        return [([weight], [bias]) for weight, bias in zip(weights, biases, strict=True)]
    return [(weights, biases)]


def _joined(tensors: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Return tensors one below the other in another dtype, by one kernel."""
    if len(tensors) == 1:
        return tensors[0].to(dtype)
    rows = [len(tensor) for tensor in tensors]
    joined = tensors[0].new_empty((sum(rows), *tensors[0].shape[1:]), dtype=dtype)
    torch._foreach_copy_(joined.split(rows), list(tensors))
    return joined


def _parts(compute: Any, sizes: list[int], dtype: torch.dtype, *, needed: bool) -> Sequence[Tensor | None]:
    """Return the rows of a gradient that belong to each of the joined tensors, or None for each if it is not needed."""
    return compute().to(dtype).split(sizes) if needed else [None] * len(sizes)


def _cast(tensors: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Return tensors in another dtype, by one kernel. They are parts of one tensor."""
    if all(tensor.dtype == dtype for tensor in tensors):
        return list(tensors)
    flat = tensors[0].new_empty(sum(tensor.numel() for tensor in tensors), dtype=dtype)
    sizes = [tensor.numel() for tensor in tensors]
    cast = [part.view(tensor.shape) for part, tensor in zip(flat.split(sizes), tensors, strict=True)]
    torch._foreach_copy_(cast, list(tensors))
    return cast


def _cast_given(grads: Sequence[Tensor | None], dtype: torch.dtype) -> list[Tensor | None]:
    """Return gradients in the dtype of the parameters; those that are None stay None."""
    given = [index for index, grad in enumerate(grads) if grad is not None]
    result = list(grads)
    for index, grad in zip(given, _cast([grads[index] for index in given], dtype), strict=True):  # type: ignore[misc]
        result[index] = grad
    return result
