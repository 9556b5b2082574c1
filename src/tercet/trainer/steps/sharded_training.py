"""Train a model that is sharded over the processes (`fsdp=True`, see `sharding.py`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME

from tercet.errors import DataError
from tercet.trainer.steps.sharding import Sharding, gathered_model, shard_of
from tercet.trainer.steps.trained_rows_training import TrainedRowsTrainer


class ShardedTrainer(TrainedRowsTrainer):
    """The part of `SentenceTransformerTrainer` that shards the model, and saves all of it.

    accelerate shards models on GPUs only, and changes the files of checkpoints. So it prepares everything but the model
    here. Checkpoints are those of a training without `fsdp`, and can be resumed without it.
    """

    _sharding: Sharding | None = None

    def _prepare_for_training(self, *args: Any, **kwargs: Any) -> Any:
        """Shard the model before the optimizer is created, so that the optimizer has the shards."""
        if not self.args.fsdp:
            return super()._prepare_for_training(*args, **kwargs)
        if self._sharding is None or self._sharding.model is not self.model:
            self._check_own_optimizer()
            self.model.to(self.args.device)
            self._sharding = Sharding(self.model, keeps_gathered=self.args.mini_batch_tokens is not None)
        else:  # The trainer runs again, with the optimizer that it has.
            self._sharding.shard()
        with _without_wrapping(self.accelerator):
            prepared = super()._prepare_for_training(*args, **kwargs)
        self._check_state_of_optimizer()
        # Another trainer of this model would not wrap it.
        vars(self.model).pop("_is_accelerate_prepared", None)
        return prepared

    def _check_own_optimizer(self) -> None:
        if self.optimizer is not None:
            raise DataError(
                "fsdp replaces the weights that the optimizer in `optimizers` trains; pass optimizer_cls_and_kwargs "
                "instead, or leave out fsdp=True"
            )

    def _check_state_of_optimizer(self) -> None:
        """Raise `DataError` if a checkpoint could not gather the state of the optimizer."""
        optimizer: Any = self.optimizer
        if not {"state", "param_groups"} <= set(optimizer.state_dict()):
            name = type(getattr(optimizer, "optimizer", optimizer)).__name__  # accelerate wraps it.
            raise DataError(
                f"fsdp needs an optimizer whose state_dict() has the entries state and param_groups, as in torch, but "
                f"{name} has others; choose another optimizer, or leave out fsdp=True"
            )

    def _finalize_training(self, *args: Any, **kwargs: Any) -> Any:
        """Gather the model before the best one is loaded and callbacks of the end run. It stays gathered."""
        if self._sharding is not None:
            self._sharding.gather()
        return super()._finalize_training(*args, **kwargs)

    def _get_grad_norm(self, *args: Any, **kwargs: Any) -> Any:
        norm = super()._get_grad_norm(*args, **kwargs)  # type: ignore[no-untyped-call]
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def save_model(self, *args: Any, **kwargs: Any) -> None:
        """Save the model as `transformers.Trainer.save_model` does. In distributed training, all processes call it."""
        with gathered_model(self.model):
            super().save_model(*args, **kwargs)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self._sharding is None:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        optimizer: Any = self.optimizer
        schedule: Any = self.lr_scheduler
        state = optimizer.state_dict()
        gathered = {
            number: {name: _gathered(value, keep=self.args.should_save) for name, value in values.items()}
            for number, values in state["state"].items()
        }
        if self.args.should_save:
            torch.save({**state, "state": gathered}, Path(output_dir) / OPTIMIZER_NAME)
            torch.save(schedule.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        # `transformers` would load all of the state to each GPU; version 5.10 fails on CPUs in several processes.
        if checkpoint is None or (self._sharding is None and self.args.device.type != "cpu"):
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        optimizer: Any = self.optimizer
        schedule: Any = self.lr_scheduler
        file = Path(checkpoint) / OPTIMIZER_NAME
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=self._sharding is not None)
        if self._sharding is not None:
            parameters = [value for group in optimizer.param_groups for value in group["params"]]
            for number, values in state["state"].items():
                state["state"][number] = {name: _shard(value, parameters[number]) for name, value in values.items()}
        optimizer.load_state_dict(state)
        schedule.load_state_dict(torch.load(Path(checkpoint) / SCHEDULER_NAME, weights_only=True))


def _gathered(value: Any, *, keep: bool) -> Any:
    """Gather a tensor of the optimizer on the CPU. Return None in a process that does not `keep` it."""
    if not isinstance(value, DTensor):
        return value
    gathered = value.full_tensor()
    return gathered.cpu() if keep else None


def _shard(value: Any, parameter: torch.Tensor) -> Any:
    """Return this process's copy of a value that an optimizer stores for a parameter.

    A tensor of the shape of a sharded parameter is sharded, too. Other tensors, such as the number of steps, are copied
    whole. Nothing refers to the file of the checkpoint, which may be deleted while the training runs.
    """
    if not isinstance(value, torch.Tensor):
        return value
    if isinstance(parameter, DTensor) and value.shape == parameter.shape:
        return shard_of(value, parameter).clone()
    return value.clone()


@contextmanager
def _without_wrapping(accelerator: Any) -> Iterator[None]:
    """Let accelerate prepare the precision of a model in the block, but not wrap the model for several processes."""
    prepare = accelerator.prepare_model
    accelerator.prepare_model = lambda model, **_: prepare(model, device_placement=False, evaluation_mode=True)
    try:
        yield
    finally:
        del accelerator.prepare_model
