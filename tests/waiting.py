"""Wait for a condition instead of sleeping for a fixed time."""

import time
from collections.abc import Callable
from typing import Any


def wait_until(condition: Callable[[], bool], process: Any = None, seconds: float = 200) -> None:
    """Return when `condition` is true; fail after some seconds, or if `process` ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        assert process is None or process.poll() is None, "the process has ended"
        time.sleep(0.002)
