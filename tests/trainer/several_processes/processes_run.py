"""Training runs in float64, one after the other, of which `test_distributed` starts several processes."""

import itertools
import os
from copy import deepcopy
from pathlib import Path

import torch
from datasets import Dataset

from tercet import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments, losses
from tercet._distributed import leave_group
from tests.conftest import TOPICS
from tests.trainer.helpers import flat_weights, logged_losses, turn_off_dropout

LOSSES = ["BatchAllTripletLoss", "BatchHardTripletLoss", "BatchSemiHardTripletLoss", "BatchHardSoftMarginTripletLoss"]
RUNS = [
    *itertools.product(LOSSES, ["group_by_label"], [None, 12], [True], [0]),
    *itertools.product(LOSSES[:1], ["group_by_label"], [None, 12], [False], [0]),  # padded; no loss sees a difference
    ("BatchAllTripletLoss", "batch_sampler", None, True, 0),  # a last, smaller batch; ranks without a triplet
    ("BatchHardTripletLoss", "batch_sampler", 12, True, 0),
    ("BatchSemiHardTripletLoss", "group_by_label", 12, True, 10),  # with a cross-batch memory
    ("TripletLoss", "batch_sampler", None, True, 0),
    ("TripletLoss", "batch_sampler", 12, True, 0),
    ("BatchAllTripletLoss of a custom distance", "batch_sampler", None, True, 0),  # every rank mines the whole batch
    ("BatchSemiHardTripletLoss with neighbour labels", "group_by_label", None, True, 0),
    ("BatchHardTripletLoss with neighbour labels and several labels", "group_by_label", 12, True, 10),
]
STEPS = 6  # three epochs of two batches, the last one smaller
STATS = ("active_fraction", "anchors_without_triplet", "positive_distance", "hardest_negative_distance", "norm")


def _custom_distance(embeddings: torch.Tensor) -> torch.Tensor:
    return torch.cdist(embeddings, embeddings) ** 2


def main(model_folder: Path, output: Path, batch_size: int) -> None:
    """Train, and write the weights of this rank."""
    texts = [text for topic in TOPICS.values() for text in topic]
    label_ids = [label_id for label_id, topic in enumerate(TOPICS.values()) for _ in topic]
    loaded = SentenceTransformer(model_folder, device="cpu").double()
    turn_off_dropout(loaded)
    results = {}
    for run in RUNS:
        name, sampler, tokens, packing, cross_batch_memory = run
        model = deepcopy(loaded)
        model.packing = packing
        columns = {"text": texts[:13], "label": label_ids[:13]}
        if name == "TripletLoss":
            columns = {"anchor": texts[:13], "positive": texts[1:14], "negative": texts[3:16]}
        if "several labels" in name:
            columns["label"] = [
                [label, 4 + row % 3] if row % 2 else [label] for row, label in enumerate(label_ids[:13])
            ]
        name, _, neighbours = name.partition(" with neighbour")
        arguments = SentenceTransformerTrainingArguments(
            str(output), max_steps=STEPS, per_device_train_batch_size=batch_size, report_to="none", learning_rate=1e-3,
            save_strategy="no", disable_tqdm=True, logging_steps=1, seed=3, use_cpu=True, batch_sampler=sampler,
            samples_per_label=2, mini_batch_tokens=tokens, cross_batch_memory=cross_batch_memory,
            neighbor_labels=0.5 if neighbours else 0.0,
        )  # fmt: skip
        name, _, custom = name.partition(" of a custom ")
        margin = {"TripletLoss": {"triplet_margin": 0.5}, "BatchHardSoftMarginTripletLoss": {}}.get(
            name, {"margin": 0.5}
        )
        loss = getattr(losses, name)(model, **margin, **({"distance_metric": _custom_distance} if custom else {}))
        trainer = SentenceTransformerTrainer(model, arguments, Dataset.from_dict(columns), loss=loss)
        trainer.train()
        evaluated = {}
        if name == "BatchHardTripletLoss":
            evaluated = trainer.evaluate(trainer.train_dataset)
        results[str(run)] = {
            "weights": flat_weights(model),
            "stats": [entry[name] for entry in trainer.state.log_history for name in STATS if name in entry],
            "losses": logged_losses(trainer),
            "map": evaluated.get("eval_map@r"),
            "label_means": torch.tensor(trainer._label_means.current if neighbours else []),
        }
    torch.save(results, output / f"rank{os.environ.get('RANK', '0')}.pt")
    leave_group()
