"""A stream of rows."""

from data import ENCODER, labelled
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.losses import BatchAllTripletLoss

model = SentenceTransformer(ENCODER)
args = SentenceTransformerTrainingArguments(output_dir="output", max_steps=2, per_device_train_batch_size=8)
stream = labelled().to_iterable_dataset()
trainer = SentenceTransformerTrainer(model=model, args=args, train_dataset=stream, loss=BatchAllTripletLoss(model))
trainer.train()
