"""Keep the global random generators of the caller."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def kept_random_state() -> Iterator[None]:
    """Restore the state of the global generators of Python, NumPy and torch (CPU and CUDA) after the `with` block.

    `transformers.Trainer` seeds them. Without this, the caller would draw the same numbers after each training with the
    same seed.
    """
    python, numpy = random.getstate(), np.random.get_state()
    gpus = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(gpus):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
