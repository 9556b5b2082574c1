"""Set the number of threads of a command, and how long they wait for each other.

Importing this module imports neither torch nor NumPy. Both settings are environment variables, because libgomp reads
them when torch is imported, and because the processes that a command starts inherit them.
"""

import math
import os
from pathlib import Path, PurePosixPath

# On two quiet processors a training step takes the same time with 20,000 rounds as with the default of libgomp, which
# is 300,000, and 4 % more with 10,000. dev/LOG.md has the measurements.
_SPIN_COUNT = 20_000
_CGROUPS = Path("/sys/fs/cgroup")


def set_threads() -> None:
    """Set the threads of PyTorch in this process and its children, unless the user has set them.

    Call it before torch is imported. A container with a limit such as `docker run --cpus 2` sees all processors of its
    host. Without this, PyTorch would start up to one thread for each of them, which would spend the limit on waiting.
    """
    _wait_briefly()
    quota = _quota()
    if quota is not None and quota < _num_processors():
        os.environ.setdefault("OMP_NUM_THREADS", str(quota))


def _wait_briefly() -> None:
    """Set how long a thread of libgomp waits on its processor.

    A parallel operation of PyTorch ends when its last thread ends, and the other threads wait in a loop. If a second
    process needs these processors, the last thread cannot run meanwhile: a training step took 3.4 s beside a second
    training, and 0.3 s alone.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(_SPIN_COUNT))


def _num_processors() -> int:
    """Return the number of processors on which this process may run."""
    on_linux = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if on_linux else os.cpu_count() or 1


def _quota() -> int | None:
    """Return the number of processors whose time the control groups of this process allow. None without a limit."""
    try:
        return quota_of_groups(Path("/proc/self/cgroup").read_text("utf-8"), _CGROUPS)
    except (OSError, ValueError):  # Not Linux, or a name that is not UTF-8.
        return None


def quota_of_groups(groups: str, mount: Path) -> int | None:
    """Return the lowest limit of control groups and their parents, in processors, rounded up. None without a limit.

    Args:
        groups: the text of `/proc/self/cgroup`, with a line such as `0::/a/b` (version 2) or `4:cpu,cpuacct:/a/b`.
        mount: the folder where control groups are mounted. In a container, it may have the own group at its root.
    """
    limits = []
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = mount / "cpu" if controllers else mount
        group = PurePosixPath(path)
        for part in (group, *group.parents):
            limit = _limit(root / part.relative_to("/"))
            if limit is not None:
                limits.append(limit)
    return min(limits, default=None)


def _limit(group: Path) -> int | None:
    """Return the processors that a control group allows. None without a limit, and if its files cannot be read."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text("ascii").split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text("ascii") for name in ("quota", "period"))
        limit = math.ceil(int(quota) / int(period))  # -1 and "max" say that there is no limit.
    except (OSError, ValueError, ZeroDivisionError):
        return None
    return limit if limit > 0 else None
