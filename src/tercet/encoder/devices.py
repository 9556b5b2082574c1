"""Find the device of a model, and what PyTorch can compute on it."""

import logging
import platform
from functools import cache

import torch
from transformers.utils.import_utils import is_torch_bf16_gpu_available

from tercet.errors import ModelError, TercetError

logger = logging.getLogger(__name__)


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


@cache
def cpu_has_bfloat16() -> bool:
    """Return whether the processor computes in bfloat16.

    On x86 it needs avx512_bf16, as every processor with amx_bf16 has, and on Arm the extension of this name. On other
    processors PyTorch emulates bfloat16, which is slower than float32.
    """
    if platform.machine() in ("aarch64", "arm64"):
        supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    else:
        supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device computes in bfloat16. Older GPUs and processors only emulate it, which is slow."""
    if device.type == "cpu":
        return cpu_has_bfloat16()
    if device.type == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(is_torch_bf16_gpu_available())


def check_bfloat16(device: torch.device, what: str, error: type[TercetError] = ModelError) -> None:
    """Raise `error` unless a device computes in bfloat16. `what` runs on the device, for the message."""
    if not has_bfloat16(device):
        where = f"{what} runs on a processor without it" if device.type == "cpu" else f"the GPU of {what} has none"
        raise error(
            f"bf16=True needs a GPU with bfloat16 or a processor with avx512_bf16, but {where}; leave out bf16=True"
        )


@cache
def warn_of_emulation(dtype: torch.dtype) -> None:
    """Log a warning, once, if this processor emulates a dtype of half precision."""
    has_float16 = getattr(torch.ops.mkldnn, "_is_mkldnn_fp16_supported", bool)
    computes = {torch.bfloat16: cpu_has_bfloat16, torch.float16: has_float16}
    if dtype in computes and not computes[dtype]():
        name = str(dtype).removeprefix("torch.")
        logger.warning(f"this processor emulates {name}, which is slower than float32; use model.to(torch.float32)")
