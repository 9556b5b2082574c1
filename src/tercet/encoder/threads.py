"""Use a model in several threads, which share its tokenizer and the mode of its modules, and without gradients.

The shared state is kept here and not in the model, because locks can be neither copied nor pickled.
"""

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

_STATE_LOCK = threading.Lock()
_tokenizer_locks: "weakref.WeakKeyDictionary[Any, Any]" = weakref.WeakKeyDictionary()
# The modules that are in evaluation mode until the last thread leaves: number of threads, and the mode to restore.
_held: dict[nn.Module, tuple[int, bool]] = {}


def tokenizer_lock(tokenizer: Any) -> Any:
    """Return the lock of a tokenizer. Truncation and padding are its state, so one thread may call it at a time."""
    with _STATE_LOCK:
        return _tokenizer_locks.setdefault(tokenizer, threading.RLock())


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Set the modules of a model to evaluation mode while the block runs, then restore the mode of each module.

    If blocks of several threads overlap, the first one stores the modes, and the last one restores them.
    """
    with _STATE_LOCK:
        modules = [module for module in model.modules() if module.training or module in _held]
        for module in modules:
            threads, training = _held.get(module, (0, module.training))
            _held[module] = (threads + 1, training)
            module.training = False
    try:
        yield
    finally:
        with _STATE_LOCK:
            for module in modules:
                threads, training = _held.pop(module)
                if threads > 1:
                    _held[module] = (threads - 1, training)
                else:
                    module.training = training


def _forget_threads_of_the_parent() -> None:
    """Release what threads held when the process was forked, because they do not exist in the child."""
    global _STATE_LOCK
    _STATE_LOCK = threading.Lock()
    _tokenizer_locks.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads_of_the_parent)


@contextmanager
def no_gradients(model: nn.Module) -> Iterator[None]:
    """Compute without gradients and in evaluation mode while the block runs.

    Afterwards, forget the weights that autocast has cast in the block. With torch 2.7, a later forward pass in the same
    autocast context would use them again, and the weights would get no gradient, without an error.
    """
    with torch.no_grad(), evaluation_mode(model):
        try:
            yield
        finally:
            torch.clear_autocast_cache()
