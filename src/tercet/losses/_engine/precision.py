"""Precision of the distances: float32 matrix products, whatever the user chose for the model."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch


def no_autocast(device_type: str) -> AbstractContextManager[object]:
    """Return a context that disables autocast; an empty one if autocast is off, because entering it takes time."""
    return torch.autocast(device_type, enabled=False) if torch.is_autocast_enabled(device_type) else nullcontext()


@contextmanager
def full_precision(device_type: str) -> Iterator[None]:
    """Compute float32 matrix products in float32 inside the block, and restore the user's choice afterwards.

    Squared distances are differences of products: with the 10 bits of TF32 they would be noise.
    """
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):  # torch 2.9 and later
        backend: Any = torch.backends.mkldnn if device_type == "cpu" else torch.backends.cuda
        before = backend.matmul.fp32_precision
        try:
            backend.matmul.fp32_precision = "ieee"
            yield
        finally:
            backend.matmul.fp32_precision = before
    else:
        chosen = torch.get_float32_matmul_precision()
        try:
            torch.set_float32_matmul_precision("highest")
            yield
        finally:
            torch.set_float32_matmul_precision(chosen)
