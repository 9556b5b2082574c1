"""Measure the peak memory of this process, in MiB."""

import sys


def peak_mib() -> float:
    """Return the peak resident set size of this process, in MiB."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    except (FileNotFoundError, StopIteration):
        # `ru_maxrss` is the second choice, because it can include the peak memory of the parent process.
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def peak_gpu_mib() -> float | None:
    """Return the peak GPU memory that PyTorch has allocated, in MiB; None if there is no GPU."""
    import torch

    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
