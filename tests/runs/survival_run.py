"""One run of `run_training` on a tiny model, resumed if there is a checkpoint; the test kills it."""

from pathlib import Path

import torch
from datasets import Dataset

from tercet import SentenceTransformer
from tercet.data.loading.training_data import TrainingData
from tercet.runs import RunSettings, checkpoint_dir
from tercet.runs.run_training import run_training
from tercet.trainer.checkpoints.whole_checkpoints import latest_checkpoint
from tests.conftest import TOPICS


def main(model_folder: Path, output: Path, cross_batch_memory: int, epochs: int) -> None:
    """Train, from the newest checkpoint if there is one."""
    torch.manual_seed(0)
    texts = [text for topic in TOPICS.values() for text in topic]
    label_ids = [label_id for label_id, topic in enumerate(TOPICS.values()) for _ in topic]
    settings = RunSettings(
        loss="batch-all", epochs=epochs, batch_size=8, samples_per_label=2, learning_rate=1e-3, save_every=1,
        mini_batch_tokens=30, cross_batch_memory=cross_batch_memory,
    )  # fmt: skip
    resume = latest_checkpoint(checkpoint_dir(output)) is not None
    train = Dataset.from_dict({"sentence": texts, "label": label_ids})
    data = TrainingData(train=train, evaluation=None, train_rows=range(len(texts)))
    run_training(SentenceTransformer(model_folder, device="cpu"), data, output, settings, resume=resume)
