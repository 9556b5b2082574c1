"""A training run that loads its best checkpoint at the end, of which `test_distributed` starts two processes."""

import os
from pathlib import Path

import torch
from datasets import Dataset

from tercet import SentenceTransformer, losses
from tercet._distributed import leave_group
from tests.conftest import TOPICS
from tests.trainer.helpers import flat_weights, make_trainer


def main(model_folder: Path, output: Path, sharded: bool = False) -> None:
    """Train, and write the weights of this rank."""
    columns = {
        "text": [text for topic in TOPICS.values() for text in topic],
        "label": [name for name, topic in TOPICS.items() for _ in topic],
    }
    values = iter([0.1, 0.9, 0.5, 0.2])
    trainer = make_trainer(
        model_folder, output / "checkpoints", Dataset.from_dict(columns), losses.BatchAllTripletLoss,
        evaluator=lambda model: {"map@r": next(values)},
        changes={
            "use_cpu": True, "per_device_train_batch_size": 4, "learning_rate": 1e-2, "save_total_limit": 1,
            "eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1,
            "load_best_model_at_end": True, "metric_for_best_model": "map@r", "fsdp": sharded,
        },
    )  # fmt: skip
    trainer.train()
    best = trainer.state.best_model_checkpoint
    saved = SentenceTransformer(best, device="cpu")
    result = {"best": Path(best).name, "weights": flat_weights(trainer.model), "saved": flat_weights(saved)}
    torch.save(result, output / f"rank{os.environ['RANK']}.pt")
    leave_group()
