"""Runs of two processes on a model that they have used before, for `test_sharding_again`."""

import os
from functools import partial
from pathlib import Path

import torch
from transformers import TrainerCallback

from tercet._distributed import leave_group
from tercet.errors import DataError, ModelError
from tests.trainer.helpers import OwnLayout, flat_weights
from tests.trainer.several_processes.sharded_run import evaluate_in_the_first, load, make_trainer


def train_twice(folders: dict[str, Path], output: Path) -> None:
    """Train a model that one process has used with two trainers, once with DDP and once sharded. Write the weights."""
    weights = []
    for sharded in (False, True):
        model = load("adapter", folders)  # The encoder runs its own modules, packed, before and after it is sharded.
        evaluate_in_the_first(model)
        for changes in ({}, {"mini_batch_tokens": 20}):
            make_trainer("adapter", model, output, fsdp=sharded, **changes).train()
        weights.append(flat_weights(model))
    torch.save(weights, output / f"rank{os.environ['RANK']}.pt")
    leave_group()


class Fail(TrainerCallback):
    """Raise an error after the first step."""

    def on_step_end(self, args, state, control, **kwargs):
        """Raise."""
        raise ValueError("failed in a step")


def fail(folders: dict[str, Path], output: Path) -> None:
    """Print the errors of a training that fails, of what uses its model later, and of an optimizer of another kind."""
    model = load("bert", folders)
    trainer = make_trainer("bert", model, output, fsdp=True)
    trainer.add_callback(Fail())
    other = make_trainer("bert", model, output)
    unknown = make_trainer("bert", load("bert", folders), output, fsdp=True)
    unknown.optimizer_cls_and_kwargs = (OwnLayout, {"lr": 1e-3})
    save = partial(model.save_pretrained, output / "model")
    for action in (trainer.train, trainer.train, other.train, save, unknown.train):
        try:
            action()
        except (DataError, ModelError, ValueError) as error:
            print(error)
    leave_group()
