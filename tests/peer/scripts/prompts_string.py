"""A prompt in the arguments for all texts."""

from data import ENCODER, triplets
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.losses import TripletLoss

model = SentenceTransformer(ENCODER)
args = SentenceTransformerTrainingArguments(
    output_dir="output", max_steps=2, per_device_train_batch_size=16, logging_steps=1,
    prompts="query: ",
)  # fmt: skip
trainer = SentenceTransformerTrainer(model=model, args=args, train_dataset=triplets(), loss=TripletLoss(model))
trainer.train()
curve = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
