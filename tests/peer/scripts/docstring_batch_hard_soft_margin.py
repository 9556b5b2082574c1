"""The example in the docstring of BatchHardSoftMarginTripletLoss."""

from data import ENCODER, LABELS, TEXTS
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, losses

model = SentenceTransformer(ENCODER)
train_dataset = Dataset.from_dict({"sentence": TEXTS, "label": LABELS})
loss = losses.BatchHardSoftMarginTripletLoss(model)
trainer = SentenceTransformerTrainer(model=model, train_dataset=train_dataset, loss=loss)
trainer.train()
