"""Return the number and the rank of the processes in distributed training. This module does not import torch.

`world_size`, `rank` and `is_first_process` describe the process group of `torch.distributed`. `launched_world_size` and
`is_first_launched` also work before the group is created: they read the environment variables that a launcher such as
`torchrun` sets.
"""

import os
import sys
from typing import Any


def world_size() -> int:
    """Return the number of processes in the process group, or 1 if there is no group."""
    group = _process_group()
    return int(group.get_world_size()) if group else 1


def rank() -> int:
    """Return the rank of this process in the process group, or 0 if there is no group."""
    group = _process_group()
    return int(group.get_rank()) if group else 0


def is_first_process() -> bool:
    """Return whether this process has rank 0. Only that process sends warnings and writes models and records."""
    return rank() == 0


def wait_for_all() -> None:
    """Wait until every process of the group has called this function (a barrier)."""
    group = _process_group()
    if group:
        group.barrier()


def launched_world_size() -> int:
    """Return the number of processes that the launcher started, or 1 if there is no launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_launched() -> bool:
    """Return whether this is the first process that the launcher started, or the only process."""
    return os.environ.get("RANK", "0") == "0"


def _process_group() -> Any:
    """Return `torch.distributed` if a process group exists, else None. If torch is not imported, there is no group."""
    distributed: Any = sys.modules.get("torch.distributed")
    return distributed if distributed and distributed.is_available() and distributed.is_initialized() else None
