"""Three training steps, run by `test_processes` under torchrun: writes weights and losses of each rank.

Usage: distributed_run.py MODEL OUTPUT TRAINER LOSS BATCH_SIZE
"""

import os
import sys
from pathlib import Path

import torch
from datasets import Dataset
from torch import nn

from tercet import losses
from tests.conftest import TOPICS


def main(model_folder: str, output: Path, trainer_name: str, loss_name: str, batch_size: int) -> None:
    torch.set_num_threads(1)
    if trainer_name.startswith("ours"):
        import tercet as library
    else:
        import sentence_transformers as library
    model = library.SentenceTransformer(model_folder, device="cpu")
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    texts = [text for topic in TOPICS.values() for text in topic]
    if loss_name == "TripletLoss":
        data = Dataset.from_dict({"anchor": texts, "positive": texts[::-1], "negative": [*texts[3:], *texts[:3]]})
    else:
        codes = [code for code, topic in enumerate(TOPICS.values()) for _ in topic]
        data = Dataset.from_dict({"text": texts, "label": codes})
    args = library.SentenceTransformerTrainingArguments(
        str(output), max_steps=3, per_device_train_batch_size=batch_size, report_to="none", learning_rate=0.1,
        optim="sgd", save_strategy="no", disable_tqdm=True, logging_steps=1, seed=3, use_cpu=True, max_grad_norm=0,
        train_sampling_strategy="sequential",
        **({"batch_sampler": "group_by_label", "samples_per_label": 2} if trainer_name == "ours, P×K" else {}),
    )  # fmt: skip
    trainer = library.SentenceTransformerTrainer(
        model=model, args=args, train_dataset=data, loss=getattr(losses, loss_name)(model)
    )
    trainer.train()
    weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    torch.save(
        {"weights": weights, "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]},
        output / f"rank{os.environ.get('RANK', '0')}.pt",
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5]))
