"""A subclass of a loss that uses its attributes."""

from data import ENCODER, labelled
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
from sentence_transformers.losses import BatchHardTripletLoss


class Scaled(BatchHardTripletLoss):
    def forward(self, sentence_features, labels):
        embeddings = self.sentence_embedder(sentence_features[0])["sentence_embedding"]
        return 2 * self.batch_hard_triplet_loss(labels, embeddings)


model = SentenceTransformer(ENCODER)
SentenceTransformerTrainer(model=model, train_dataset=labelled(), loss=Scaled(model)).train()
