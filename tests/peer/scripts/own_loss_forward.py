"""A loss of one's own with forward alone."""

from data import ENCODER, labelled
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
from torch import nn


class Spread(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, sentence_features, labels):
        embeddings = self.model(next(iter(sentence_features)))["sentence_embedding"]
        same = labels[:, None] == labels[None, :]
        distances = (embeddings[:, None] - embeddings[None, :]).pow(2).sum(-1)
        return distances[same].mean() - 0.1 * distances[~same].mean()


model = SentenceTransformer(ENCODER)
SentenceTransformerTrainer(model=model, train_dataset=labelled(), loss=Spread(model)).train()
