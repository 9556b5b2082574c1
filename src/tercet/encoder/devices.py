"""Find the device of a model, and check that PyTorch can compute on it."""

import torch

from tercet.errors import ModelError


def find_device(device: str | torch.device | int | None) -> torch.device:
    """Return a device: the given one, or by default "cuda" if a CUDA GPU is available, else "cpu".

    Raises:
        ModelError: PyTorch does not know the device, or cannot create a tensor on it.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(1, device=device).device
    except Exception as error:  # The class depends on the device and on the build of PyTorch.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"cannot compute on device={str(device)!r}: {reason}; try device='cpu'") from None
