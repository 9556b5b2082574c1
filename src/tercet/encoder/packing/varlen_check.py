"""Compare a variable-length attention kernel with its specification: values, gradients and dropout."""

import torch
from torch import Tensor

from tercet.encoder.packing.varlen_kernels import Kernel, Request, Sentences

# The largest difference between a kernel and the reference, relative to the largest absolute value. float32 allows for
# TF32, which the user may have enabled. Attention to wrong tokens causes differences near 1.
_TOLERANCE = {torch.float32: 5e-3, torch.float16: 1e-2, torch.bfloat16: 5e-2}
_FLOAT64_TOLERANCE = 1e-6
# The lengths of the sentences of the test. A kernel processes blocks of 32, 64 or 128 tokens.
_LENGTHS = (1, 2, 5, 17, 33, 70)
_WINDOW, _DROPOUT = 4, 0.25
# Weights in bfloat16 differ from 1 / n by less than this fraction.
_ROUNDING = 0.02


def reference_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    sentences: Sentences,
    dropout_p: float = 0.0,
    scale: float = 1.0,
    window: int | None = None,
) -> Tensor:
    """Compute what a `Kernel` has to compute, sentence by sentence, on any device. It is the specification."""
    outputs = []
    for q, k, v in zip(*(x.split(sentences.cu_seqlens.diff().tolist()) for x in (query, key, value)), strict=True):
        scores = torch.einsum("qhd,khd->hqk", q, k) * scale
        if window is not None:
            position = torch.arange(len(q), device=q.device)
            is_far = (position - position.unsqueeze(1)).abs() >= window
            scores = scores.masked_fill(is_far, -torch.inf)
        weights = torch.nn.functional.dropout(scores.softmax(-1), dropout_p)
        outputs.append(torch.einsum("hqk,khd->qhd", weights, v))
    return torch.cat(outputs)


def find_problem(kernel: Kernel, request: Request) -> str | None:
    """Compare a kernel with the reference, and return the problem as a phrase, or None.

    The check waits for the device. It does not change the state of the random number generators.
    """
    gpus = [request.device] if request.device.type == "cuda" else []
    try:
        with (
            torch.random.fork_rng(gpus),
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(request.device.type, enabled=False),
        ):
            difference = _difference(kernel, request)
            if not difference <= _TOLERANCE.get(request.dtype, _FLOAT64_TOLERANCE):
                return f"differs from the padded computation by {difference:.0e} of the largest value"
            return _dropout_problem(kernel, request) if request.has_dropout else None
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, AttributeError, ImportError) as error:
        return f"fails ({type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''})"


def _sentences(lengths: tuple[int, ...], device: torch.device) -> Sentences:
    ends = torch.tensor([0, *lengths]).cumsum(0).to(device, torch.int32)
    return Sentences(ends, max(lengths))


def _difference(kernel: Kernel, request: Request) -> float:
    """Return the largest relative difference of values and gradients from those of the reference in float64."""
    shape, sentences = (sum(_LENGTHS), request.num_heads, request.head_dim), _sentences(_LENGTHS, request.device)
    generator = torch.Generator().manual_seed(0)
    q, k, v, weight = (
        torch.randn(shape, generator=generator, device="cpu").to(request.device, request.dtype) for _ in range(4)
    )
    scale, window = request.head_dim**-0.5, _WINDOW if request.has_window else None
    results = []
    for run, dtype in ((kernel.run, request.dtype), (reference_attention, torch.float64)):
        x, y, z = (part.to(dtype, copy=True).requires_grad_() for part in (q, k, v))
        output = run(x, y, z, sentences, 0.0, scale, window)
        results.append([output, *torch.autograd.grad(output, (x, y, z), weight.to(dtype))])
    ours, expected = ([part.detach().double().cpu() for part in result] for result in results)
    return max(_relative_difference(x, y) for x, y in zip(ours, expected, strict=True))


def _dropout_problem(kernel: Kernel, request: Request) -> str | None:
    """Read the attention weights after dropout, and return what is wrong with them, or None.

    Queries of 0 give all n tokens that a token sees the weight 1 / n. The values are unit vectors, so the result
    consists of the weights. Backpropagation to the values has to use the same weights.
    """
    tokens, num_sentences = min(16, request.head_dim), 64
    window = _WINDOW if request.has_window else None
    position = torch.arange(tokens, device="cpu")
    is_seen = (position - position.unsqueeze(1)).abs() < (window or tokens)
    shape = (num_sentences * tokens, request.num_heads, request.head_dim)
    unit_vectors = torch.eye(tokens, request.head_dim).repeat(num_sentences, 1).unsqueeze(1).expand(shape)
    value = unit_vectors.to(request.device, request.dtype).contiguous().requires_grad_()
    zeros, to_output = torch.zeros_like(value), torch.randn(shape).to(value)
    output = kernel.run(
        zeros, zeros, value, _sentences((tokens,) * num_sentences, request.device), _DROPOUT, 1.0, window
    )
    (to_value,) = torch.autograd.grad(output, value, to_output)
    # All three as (sentence, token, head, dimension).
    output, to_output, to_value = (
        x.detach().double().cpu().unflatten(0, (num_sentences, tokens)) for x in (output, to_output, to_value)
    )
    weights = output[..., :tokens]
    pairs = is_seen.unsqueeze(1).expand(weights.shape)
    # 1 for a pair that was kept, 0 for one that was not.
    kept = (weights * (1 - _DROPOUT) * is_seen.sum(1).view(-1, 1, 1))[pairs]
    if bool(weights[~pairs].any()) or float(torch.minimum(kept.abs(), (kept - 1).abs()).max()) > _ROUNDING:
        return "scales the attention weights that dropout keeps by another factor than 1 / (1 - p)"
    standard_error = (_DROPOUT * (1 - _DROPOUT) / len(kept)) ** 0.5
    if abs(float(kept.mean()) - (1 - _DROPOUT)) > 6 * standard_error + _ROUNDING:
        return f"keeps {float(kept.mean()):.2f} of the attention weights with a dropout of {_DROPOUT}"
    expected = torch.einsum("sqhk,sqhd->skhd", weights, to_output)
    difference = _relative_difference(to_value, expected)
    if not difference <= _TOLERANCE.get(request.dtype, _FLOAT64_TOLERANCE):
        return (
            "uses other dropout masks in the backward pass than in the forward pass "
            f"(the gradients differ by {difference:.0e} of the largest value)"
        )
    return None


def _relative_difference(x: Tensor, expected: Tensor) -> float:
    return float((x - expected).abs().max() / expected.abs().max())
