"""Check that a model computes the same hidden states on a packed row as on a padded batch.

If the architecture supports packing, `Transformer` runs this self-check before the first packed batch, and again for
each new device type, precision or maximum length. A model that fails the check runs on padded batches. It is slower,
but its embeddings are correct.
"""

from collections.abc import Callable
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor

from tercet.encoder.features import Features
from tercet.encoder.packing.architectures import run_packed
from tercet.encoder.packing.layers import find_layers
from tercet.encoder.packing.packing import Packing
from tercet.encoder.packing.varlen import autocast_dtype
from tercet.encoder.threads import no_gradients

# The lengths cover three cases: no words, short sentences that share a row of attention, and a sentence that does not
# share a row.
PROBE_SENTENCES = [" ".join(["a quick test of one sentence"] * times) for times in (0, 1, 2, 4, 30)]
# Maximum norm of the difference between the packed and the padded hidden states of a sentence, relative to the norm of
# the padded ones. Rounding causes a smaller difference; attention to wrong tokens causes a larger one. A single token
# must not decide: in bfloat16, one of the 182 tokens of the longest probe differs by 0.6 in all-mpnet-base-v2, with
# padding too.
_TOLERANCE = {torch.float16: 0.03, torch.bfloat16: 0.1}
_FLOAT32_TOLERANCE = 2e-3


def find_packing_problem(
    auto_model: Any, features: Features, run_padded: Callable[[Tensor, Packing], Tensor]
) -> str | None:
    """Run a model on a packed row and with padding, and return the problem of the packed row, or None.

    The check uses the current dtype of the model and the current autocast mode. Autocast of a float32 model runs the
    check without autocast first, because rounding hides small mistakes.

    Args:
        auto_model: the encoder. It is in evaluation mode while the check runs.
        features: the probe sentences as a packed batch, on the model's device.
        run_padded: computes the hidden states `(num_tokens, hidden_size)` of the same packed batch with padding.

    Returns:
        A phrase whose subject is the model, such as "fails on packed batches (…)", or None if there is no problem.

    Raises:
        torch.OutOfMemoryError: the device is out of memory. This is not a problem of the model.
    """
    input_ids, packing = features["input_ids"], features["packing"]
    in_float32 = all(parameter.dtype == torch.float32 for parameter in auto_model.parameters())
    if in_float32 and autocast_dtype(input_ids.device) is not None:
        with torch.autocast(input_ids.device.type, enabled=False):
            problem = find_packing_problem(auto_model, features, run_padded)
        if problem is not None:
            return problem
    attention_before = auto_model.config._attn_implementation
    with no_gradients(auto_model):
        padded = run_padded(input_ids, packing).cpu().double()
        try:
            packed = run_packed(auto_model, find_layers(auto_model), input_ids, packing)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            if auto_model.config._attn_implementation != attention_before:
                auto_model.set_attn_implementation(attention_before)
            return f"fails on packed batches ({shorten(f'{type(error).__name__}: {error}', 300, placeholder=' …')})"
    dtype = autocast_dtype(input_ids.device) or packed.dtype
    lengths = packing.lengths.tolist()
    of_sentences = zip(packed.cpu().double().split(lengths), padded.split(lengths), strict=True)
    # The maximum of a tensor is NaN if one value is NaN. That of Python is not.
    differences = [(found - given).norm() / given.norm() for found, given in of_sentences if len(given)]
    difference = float(torch.stack(differences).max())
    if difference <= _TOLERANCE.get(dtype, _FLOAT32_TOLERANCE):
        return None
    return (
        "returns different hidden states for packed and for padded batches "
        f"(the largest difference of a sentence is {difference:.0e} of its norm)"
    )
