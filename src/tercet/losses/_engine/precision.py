"""Full float32 precision for distances, independent of the user's settings for the model."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch


def no_autocast(device_type: str) -> AbstractContextManager[object]:
    """Return a context that disables autocast. If autocast is off, return an empty context, which is faster."""
    return torch.autocast(device_type, enabled=False) if torch.is_autocast_enabled(device_type) else nullcontext()


@contextmanager
def full_precision(device_type: str) -> Iterator[None]:
    """Disable TF32 and other reduced precision of float32 matrix products inside the `with` statement.

    The previous setting is restored at the end. A squared distance is a difference of products. TF32 has a precision of
    10 bits, so the difference of close points would consist mostly of rounding errors.
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
