"""Several data sets in a DatasetDict, with one loss."""

from data import ENCODER, labelled
from datasets import DatasetDict
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
from sentence_transformers.losses import BatchAllTripletLoss

model = SentenceTransformer(ENCODER)
sets = DatasetDict({"first": labelled(), "second": labelled().select(range(8))})
trainer = SentenceTransformerTrainer(model=model, train_dataset=sets, loss=BatchAllTripletLoss(model))
trainer.train()
