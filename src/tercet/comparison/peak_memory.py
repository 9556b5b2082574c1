"""How much memory a process took at its highest, in MiB."""

import sys


def peak_mib() -> float:
    """The peak resident set of this process alone; `ru_maxrss` also remembers the process that started it."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    except (FileNotFoundError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def peak_gpu_mib() -> float | None:
    """The most that PyTorch held of a GPU's memory; None where there is none."""
    import torch

    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
