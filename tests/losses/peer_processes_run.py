"""Three steps of sentence-transformers' trainer with our loss, of which `test_peer_processes` starts two processes."""

import os
from pathlib import Path

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments

from tercet import losses
from tests.conftest import TOPICS


def main(model_folder: Path, output: Path) -> None:
    """Train, and write the weights of this rank."""
    model = SentenceTransformer(str(model_folder), device="cpu")
    texts = [text for topic in TOPICS.values() for text in topic]
    label_ids = [label_id for label_id, topic in enumerate(TOPICS.values()) for _ in topic]
    arguments = SentenceTransformerTrainingArguments(
        str(output), max_steps=3, per_device_train_batch_size=8, report_to="none", learning_rate=0.1, optim="sgd",
        save_strategy="no", disable_tqdm=True, seed=3, use_cpu=True,
    )  # fmt: skip
    SentenceTransformerTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict({"text": texts, "label": label_ids}),
        loss=losses.BatchSemiHardTripletLoss(model),
    ).train()
    weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    torch.save(weights, output / f"rank{os.environ['RANK']}.pt")
    # Threads of the group that are alive when Python ends can abort the process.
    torch.distributed.destroy_process_group()
