"""A training run that starts with a head, of which `test_first_head` starts several processes."""

import os
from pathlib import Path

import torch
from datasets import Dataset

from tercet._distributed import leave_group
from tests.conftest import TOPICS
from tests.trainer.helpers import flat_weights, make_trainer, turn_off_dropout


def main(model_folder: Path, output: Path, batch_size: int) -> None:
    """Train, and write the weights of this rank."""
    columns = {
        "text": [text for topic in TOPICS.values() for text in topic],
        "label": [name for name, topic in TOPICS.items() for _ in topic],
    }
    changes = {"use_cpu": True, "per_device_train_batch_size": batch_size, "train_head": True, "neighbor_labels": 0.5}
    trainer = make_trainer(model_folder, output, Dataset.from_dict(columns), changes=changes)
    turn_off_dropout(trainer.model)
    trainer.train()
    result = {"weights": flat_weights(trainer.model), "head": trainer.head_choice.head.weight}
    torch.save(result, output / f"rank{os.environ.get('RANK', '0')}.pt")
    leave_group()
