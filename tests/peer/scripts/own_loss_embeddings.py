"""A loss of one's own with compute_loss_from_embeddings."""

from data import ENCODER, labelled
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
from torch import nn


class Spread(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, sentence_features, labels):
        return self.compute_loss_from_embeddings(
            [self.model(features)["sentence_embedding"] for features in sentence_features], labels
        )

    def compute_loss_from_embeddings(self, embeddings, labels):
        same = labels[:, None] == labels[None, :]
        distances = (embeddings[0][:, None] - embeddings[0][None, :]).pow(2).sum(-1)
        return distances[same].mean() - 0.1 * distances[~same].mean()


model = SentenceTransformer(ENCODER)
SentenceTransformerTrainer(model=model, train_dataset=labelled(), loss=Spread(model)).train()
