"""Full float32 precision for distances, independent of the user's settings for the model."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch


def no_autocast(device_type: str) -> AbstractContextManager[object]:
    """Return a context that disables autocast. If autocast is off, return an empty context, which is faster."""
    if not torch.amp.is_autocast_available(device_type) or not torch.is_autocast_enabled(device_type):
        return nullcontext()
    return torch.autocast(device_type, enabled=False)


@contextmanager
def full_precision(device_type: str) -> Iterator[None]:
    """Disable TF32 and other reduced precision of float32 matrix products inside the `with` statement.

    A squared distance is a difference of products. TF32 has a precision of 10 bits, so the difference of close points
    would consist mostly of rounding errors.

    The setting belongs to the process, not to the thread. If several threads are inside the statement, the first one
    stores the setting of the user, and the last one restores it.
    """
    setting = _SETTINGS["cpu" if device_type == "cpu" else "cuda"] if _HAS_BACKEND_SETTINGS else _SETTINGS["all"]
    with _LOCK:
        if setting.users == 0:
            setting.before = setting.read()
            setting.write(setting.full)
        setting.users += 1
    try:
        yield
    finally:
        with _LOCK:
            setting.users -= 1
            if setting.users == 0:
                setting.write(setting.before)


@dataclass
class _Setting:
    """A precision of torch that is shared by all threads, and the number of threads that need full precision."""

    read: Callable[[], str]
    write: Callable[[str], None]
    full: str
    before: str = ""
    users: int = 0


def _backend_setting(backend: Any) -> _Setting:
    def write(value: str) -> None:
        backend.matmul.fp32_precision = value

    return _Setting(lambda: str(backend.matmul.fp32_precision), write, "ieee")


_HAS_BACKEND_SETTINGS = hasattr(torch.backends.cuda.matmul, "fp32_precision")  # torch 2.9 and later
_LOCK = threading.Lock()
_SETTINGS = {
    "cpu": _backend_setting(torch.backends.mkldnn),
    "cuda": _backend_setting(torch.backends.cuda),
    "all": _Setting(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
}
