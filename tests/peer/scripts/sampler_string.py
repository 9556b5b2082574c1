"""The labelled script with the sampler by its string."""

from data import ENCODER, labelled
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.losses import BatchHardSoftMarginTripletLoss

model = SentenceTransformer(ENCODER)
args = SentenceTransformerTrainingArguments(
    output_dir="output", max_steps=3, per_device_train_batch_size=16, warmup_ratio=0.1,
    batch_sampler="group_by_label", logging_steps=1,
)  # fmt: skip
loss = BatchHardSoftMarginTripletLoss(model)
trainer = SentenceTransformerTrainer(model=model, args=args, train_dataset=labelled(), loss=loss)
trainer.train()
curve = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
