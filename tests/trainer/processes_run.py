"""Training runs in float64, one after the other, run by `test_processes` under torchrun: writes weights of each rank.

Usage: processes_run.py MODEL OUTPUT BATCH_SIZE
"""

import itertools
import os
import sys
from pathlib import Path

import torch
from datasets import Dataset
from torch import nn

from tercet import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments, losses
from tests.conftest import TOPICS

LOSSES = ["BatchAllTripletLoss", "BatchHardTripletLoss", "BatchSemiHardTripletLoss", "BatchHardSoftMarginTripletLoss"]
RUNS = [
    *itertools.product(LOSSES, ["group_by_label"], [None, 12], [True, False], [0]),
    ("BatchAllTripletLoss", "batch_sampler", None, True, 0),  # a last, smaller batch; ranks without a triplet
    ("BatchHardTripletLoss", "batch_sampler", 12, True, 0),
    ("BatchSemiHardTripletLoss", "group_by_label", 12, True, 10),  # with a memory
    ("TripletLoss", "batch_sampler", None, True, 0),
    ("TripletLoss", "batch_sampler", 12, True, 0),
    ("BatchAllTripletLoss of an own distance", "batch_sampler", None, True, 0),  # mined whole on every rank
]
FIGURES = ("active_fraction", "anchors_without_triplet", "positive_distance", "hardest_negative_distance", "norm")


def _own_distance(embeddings: torch.Tensor) -> torch.Tensor:
    return torch.cdist(embeddings, embeddings) ** 2


def main(model_folder: str, output: Path, batch_size: int) -> None:
    torch.set_num_threads(1)
    texts = [text for topic in TOPICS.values() for text in topic]
    label_ids = [code for code, topic in enumerate(TOPICS.values()) for _ in topic]
    results = {}
    for run in RUNS:
        name, sampler, tokens, packing, memory = run
        model = SentenceTransformer(model_folder, device="cpu", packing=packing).double()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        columns = {"text": texts[:13], "label": label_ids[:13]}
        if name == "TripletLoss":
            columns = {"anchor": texts[:13], "positive": texts[1:14], "negative": texts[3:16]}
        arguments = SentenceTransformerTrainingArguments(
            str(output), max_steps=10, per_device_train_batch_size=batch_size, report_to="none", learning_rate=1e-3,
            save_strategy="no", disable_tqdm=True, logging_steps=1, seed=3, use_cpu=True, batch_sampler=sampler,
            samples_per_label=2, mini_batch_tokens=tokens, cross_batch_memory=memory,
        )  # fmt: skip
        name, _, own = name.partition(" of an own ")
        margin = {"TripletLoss": {"triplet_margin": 0.5}, "BatchHardSoftMarginTripletLoss": {}}.get(
            name, {"margin": 0.5}
        )
        loss = getattr(losses, name)(model, **margin, **({"distance_metric": _own_distance} if own else {}))
        trainer = SentenceTransformerTrainer(model, arguments, Dataset.from_dict(columns), loss=loss)
        trainer.train()
        evaluated = {}
        if name == "BatchHardTripletLoss":
            evaluated = trainer.evaluate(trainer.train_dataset)
        results[str(run)] = {
            "weights": torch.cat([parameter.detach().flatten() for parameter in model.parameters()]),
            "figures": [entry[name] for entry in trainer.state.log_history for name in FIGURES if name in entry],
            "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
            "map": evaluated.get("eval_map@r"),
        }
    torch.save(results, output / f"rank{os.environ.get('RANK', '0')}.pt")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
