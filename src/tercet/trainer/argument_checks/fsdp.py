"""Read the training argument `fsdp`: whether to shard the model over the processes, see `steps/sharding.py`."""

import os
from typing import Any

from tercet._distributed import check_can_shard
from tercet.errors import DataError, listed

# The words that `transformers` takes for `fsdp=True`.
_FULL_SHARD = {"true", "1", "full_shard", "auto_wrap"}
# The optimizers that compute with each number alone, so that they can train a part of a weight.
_ELEMENTWISE = {"adamw_torch", "adamw_torch_fused", "sgd", "adagrad", "rmsprop"}
_NOT_SHARDED = {
    "fp16": "set bf16",
    "torch_compile": "leave out torch_compile",
    "auto_find_batch_size": "set per_device_train_batch_size",
}


def reads_fsdp(values: dict[str, Any], processes: int) -> bool:
    """Return whether the training argument `fsdp` asks to shard the model over the processes.

    Args:
        values: all training arguments by name.
        processes: the number of processes.

    Raises:
        DataError: `fsdp` has another value, there is one process, an argument excludes it, or the environment asks
            accelerate for FSDP.
    """
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("true", "1"):
        raise DataError(
            "the environment variable ACCELERATE_USE_FSDP asks accelerate to shard the model, but the trainer shards "
            "it itself; set fsdp=True in the training arguments, and start accelerate without --use_fsdp"
        )
    given = values["fsdp"]
    words = given.split() if isinstance(given, str) else given if isinstance(given, (list, tuple)) else [given]
    words = [str(getattr(word, "value", word)).lower() for word in words]
    if not given or words in (["false"], ["0"]):
        return False
    if not set(words) <= _FULL_SHARD:
        raise DataError(
            f"fsdp={given!r} is not supported: it shards the model over all processes (full_shard) and has no other "
            "options; set fsdp=True"
        )
    check_can_shard(processes)
    for name, remedy in _NOT_SHARDED.items():
        if values[name]:
            raise DataError(
                f"fsdp=True and {name}={values[name]!r} exclude each other; {remedy}, or leave out fsdp=True"
            )
    optimizer = getattr(values["optim"], "value", values["optim"])
    if optimizer not in _ELEMENTWISE:
        raise DataError(
            f"fsdp=True and optim={optimizer!r} exclude each other, because the optimizer would see parts of weights; "
            f"choose from {listed(sorted(_ELEMENTWISE))}, or leave out fsdp=True"
        )
    return True
