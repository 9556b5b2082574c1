"""The example in the docstring of TripletLoss."""

from data import ANCHORS, ENCODER, NEGATIVES, POSITIVES
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, losses

model = SentenceTransformer(ENCODER)
train_dataset = Dataset.from_dict({"anchor": ANCHORS, "positive": POSITIVES, "negative": NEGATIVES})
loss = losses.TripletLoss(model=model)
trainer = SentenceTransformerTrainer(model=model, train_dataset=train_dataset, loss=loss)
trainer.train()
