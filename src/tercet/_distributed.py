"""Return the number and the rank of the processes in distributed training. This module does not import torch.

`world_size`, `rank` and `is_first_process` describe the process group of `torch.distributed`. `launched_world_size` and
`is_first_launched` also work before the group is created: they read the environment variables that a launcher such as
`torchrun` sets. `check_launcher` raises an error if these variables are incomplete or contradict each other, and
`report_wait` says what a process waits for if the other ones do not start.
"""

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tercet.errors import DataError, listed

logger = logging.getLogger(__name__)

# Processes of one launcher import torch within seconds of each other; those of several machines may start later.
_SECONDS_TO_REPORT = 15.0
_LAUNCHER_VARIABLES = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


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


def leave_group() -> None:
    """Destroy the process group, if there is one. Call it at the end of a program, on every process.

    Otherwise the threads of the group are destroyed while Python ends, in any order, which can abort the process.
    """
    group = _process_group()
    if group:
        group.destroy_process_group()


def launched_world_size() -> int:
    """Return the number of processes that the launcher started, or 1 if there is no launcher."""
    return int(os.environ["WORLD_SIZE"]) if _is_launched() else 1


def is_first_launched() -> bool:
    """Return whether this is the first process that the launcher started, or the only process."""
    return not _is_launched() or int(os.environ["RANK"]) == 0


def check_launcher() -> None:
    """Check the environment variables of a launcher. Call it before a training reads its data.

    Without a launcher, a variable that is left over from another program would make the training wait for processes
    that do not exist, or train as if it were one of several.

    Raises:
        DataError: a variable names several processes or another rank than 0, but not all variables of a launcher are
            set; or a value is invalid.
    """
    present = {name: os.environ[name] for name in _LAUNCHER_VARIABLES[:3] if os.environ.get(name)}
    if not _is_launched():
        # Some schedulers set WORLD_SIZE=1 and RANK=0 for a single process. `accelerate` uses LOCAL_RANK=-1 for none.
        accidental = {name: value for name, value in present.items() if value != _VALUE_OF_ONE_PROCESS[name]}
        if accidental:
            values = ", ".join(f"{name}={value}" for name, value in accidental.items())
            missing = [name for name in _LAUNCHER_VARIABLES if not os.environ.get(name)]
            why = f"{', '.join(missing)} not set" if missing else "these are not numbers of processes"
            raise DataError(
                f"the environment has {values}, as in distributed training, but {why}: no launcher set it; run "
                f"`unset {' '.join(accidental)}` to train in one process, or start the training with `torchrun`"
            )
        return
    number, size = int(present["RANK"]), int(present["WORLD_SIZE"])
    if not 0 <= number < size:
        raise DataError(
            f"the environment has RANK={number} and WORLD_SIZE={size}, but the rank must be from 0 to "
            f"{size - 1}; start the training with `torchrun`, or unset {listed(present)} to train in one process"
        )


def check_can_shard(processes: int) -> None:
    """Raise `DataError` if a training with `fsdp` has only one process."""
    if processes == 1:
        raise DataError("fsdp=True needs several processes; start the training with `torchrun`, or leave out fsdp=True")


@contextmanager
def report_wait(seconds: float | None = None) -> Iterator[None]:
    """Log what this process waits for if the `with` block, which creates the process group, takes long.

    The variables of a launcher may be complete although no launcher runs, as in a shell that an earlier job has left.
    The group then waits for processes that nobody starts. The message is an error, because only errors are logged by
    processes other than the first one and with `--quiet`.

    Args:
        seconds: the time after which to log; None takes 15 seconds.
    """
    others = launched_world_size() - 1
    if others == 0:
        yield
        return
    values = ", ".join(f"{name}={os.environ[name]}" for name in _LAUNCHER_VARIABLES)
    waited = _SECONDS_TO_REPORT if seconds is None else seconds
    message = (
        f"still waiting for the other {others} process(es) of this training after {waited:g} seconds ({values}); if no "
        f"launcher has started them, stop this process and run `unset {' '.join(_LAUNCHER_VARIABLES)}` to train in one "
        "process"
    )
    timer = threading.Timer(waited, logger.error, [message])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


_VALUE_OF_ONE_PROCESS = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "-1"}


def _is_launched() -> bool:
    """Return whether all variables of a launcher are set, and those that must be numbers are numbers."""
    values = [os.environ.get(name, "") for name in _LAUNCHER_VARIABLES]
    return all(values) and all(value.isdecimal() for value in values[:3])


def _process_group() -> Any:
    """Return `torch.distributed` if a process group exists, else None. If torch is not imported, there is no group."""
    distributed: Any = sys.modules.get("torch.distributed")
    return distributed if distributed and distributed.is_available() and distributed.is_initialized() else None
