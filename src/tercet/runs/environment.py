"""Describe the machine and the libraries of a run, because its times and rounding errors depend on them."""

import platform
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import torch
import transformers

from tercet._distributed import world_size
from tercet._version import __version__


def environment(device: "torch.device | None" = None) -> dict[str, Any]:
    """Return the device, the machine and the library versions as JSON values.

    Args:
        device: the device that was used; None takes the CUDA GPU if there is one, else the CPU.
    """
    if device is None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return {
        "tercet": __version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper(),
        "threads": torch.get_num_threads(),
        "processes": world_size(),
    }


def utc_now(seconds_ago: float = 0.0) -> str:
    """Return the date and the time of the day in UTC, as in 2026-01-31T12:00:00Z, or those of some seconds ago."""
    return (datetime.now(UTC) - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _processor() -> str:
    """Return the name of the processor, or its architecture if the system does not know the name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
