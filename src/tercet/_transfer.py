"""Copy small arrays of numbers to a device. On a CUDA GPU, the processor does not wait for the copy."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def to_device(arrays: Sequence[np.ndarray], device: torch.device) -> list[Tensor]:
    """Return int64 arrays of one dimension as tensors on a device, copied together.

    On a CUDA GPU the copy runs from pinned memory, so it waits neither for earlier work of the GPU nor for itself. On a
    CPU the tensors share the memory of the arrays.

    Example:
        >>> to_device([np.array([1, 2]), np.array([3])], torch.device("cpu"))
        [tensor([1, 2]), tensor([3])]
    """
    if device.type == "cpu":
        return [torch.from_numpy(array) for array in arrays]
    joined = torch.from_numpy(np.concatenate(arrays))
    on_cuda = device.type == "cuda"
    copy = (joined.pin_memory() if on_cuda else joined).to(device, non_blocking=on_cuda)
    return list(copy.split([len(array) for array in arrays]))
