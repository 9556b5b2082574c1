"""Peak memory of this process, in MiB."""

import sys


def peak_mib() -> float:
    """Return the peak resident set size of this process."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    except (FileNotFoundError, StopIteration):
        # Second choice: `ru_maxrss` can include the peak of the process that started this one.
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def peak_gpu_mib() -> float | None:
    """Return the peak GPU memory that PyTorch has allocated; None without a GPU."""
    import torch

    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
