"""Three steps of sentence-transformers' trainer with our loss, run by `test_peer_processes` under torchrun.

Writes the weights of each rank. Usage: peer_processes_run.py MODEL OUTPUT
"""

import os
import sys
from pathlib import Path

import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)

from tercet import losses
from tests.conftest import TOPICS


def main(model_folder: str, output: Path) -> None:
    torch.set_num_threads(1)
    model = SentenceTransformer(model_folder, device="cpu")
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


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
