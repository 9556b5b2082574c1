"""The self-check of packing: a model must compute on a packed row what it computes on a padded batch.

`Transformer` runs it before the first packed batch, once for each type of device and precision. So a list of
architectures that is wrong, or a model with changed code, costs speed and never correctness.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tercet.encoder.features import Features
from tercet.encoder.packing.architectures import run_packed
from tercet.encoder.packing.packing import Packing

# Sentences of several lengths: one without words, several that share a row of attention, and one longer than a row.
PROBE_SENTENCES = [" ".join(["a quick test of one sentence"] * times) for times in (0, 1, 2, 4, 30)]
# The largest difference that two orders of summation explain, relative to the largest absolute value. Attention to
# wrong tokens gives a larger difference.
_TOLERANCE = {torch.float16: 0.03, torch.bfloat16: 0.1}
_FLOAT32_TOLERANCE = 2e-3


def find_packing_problem(
    auto_model: Any, features: Features, run_padded: Callable[[Tensor, Packing], Tensor]
) -> str | None:
    """Return why packed rows cannot be used with a model under the present precision, or None if they can.

    Args:
        auto_model: the encoder; its dropout is off while the check runs.
        features: the probe sentences as a packed batch, on the model's device.
        run_padded: computes the hidden states `(tokens, hidden)` of the same packed batch with padding.

    Raises:
        torch.OutOfMemoryError: the device has no memory left, which says nothing about the model.
    """
    input_ids, packing = features["input_ids"], features["packing"]
    attention_before = auto_model.config._attn_implementation
    with torch.no_grad(), _evaluation_mode(auto_model):
        padded = run_padded(input_ids, packing).cpu().double()
        try:
            packed = run_packed(auto_model, input_ids, packing)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            if auto_model.config._attn_implementation != attention_before:
                auto_model.set_attn_implementation(attention_before)
            return f"does not run packed ({str(error).splitlines()[0]})"
    dtype = autocast_dtype(input_ids.device) or packed.dtype
    difference = float((packed.cpu() - padded).abs().max() / padded.abs().max())
    if difference <= _TOLERANCE.get(dtype, _FLOAT32_TOLERANCE):
        return None
    return f"computes other values packed than padded (they differ by {difference:.0e} of the largest value)"


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """Return the precision of autocast on a device, or None if autocast is off."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switch dropout off while the block runs, then give each module its mode back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
