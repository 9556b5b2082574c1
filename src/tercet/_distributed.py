"""The processes that train together: how many there are, and which one this is. Does not import torch.

`world_size`, `rank` and `is_first_process` describe the process group of `torch.distributed`. Before there is one, a
launcher such as `torchrun` has already set environment variables: `launched_world_size` and `is_first_launched`.
"""

import os
import sys
from typing import Any


def world_size() -> int:
    """Return the number of processes in the process group, 1 without one."""
    group = _process_group()
    return int(group.get_world_size()) if group else 1


def rank() -> int:
    """Return the number of this process in the process group, 0 without one."""
    group = _process_group()
    return int(group.get_rank()) if group else 0


def is_first_process() -> bool:
    """Return whether this process logs and writes files for all."""
    return rank() == 0


def wait_for_all() -> None:
    """Wait until every process of the group has come here."""
    group = _process_group()
    if group:
        group.barrier()


def launched_world_size() -> int:
    """Return the number of processes that a launcher started, 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_launched() -> bool:
    """Return whether this is the first process that a launcher started, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def _process_group() -> Any:
    """Return `torch.distributed` if a process group exists; without torch there is none."""
    distributed: Any = sys.modules.get("torch.distributed")
    return distributed if distributed and distributed.is_available() and distributed.is_initialized() else None
