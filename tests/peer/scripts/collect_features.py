"""A trainer of one's own that uses collect_features."""

from data import ENCODER, labelled
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
from sentence_transformers.losses import BatchAllTripletLoss


class OwnTrainer(SentenceTransformerTrainer):
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        features, labels = self.collect_features(inputs)
        loss = self.loss(features, labels)
        return (loss, {}) if return_outputs else loss


model = SentenceTransformer(ENCODER)
OwnTrainer(model=model, train_dataset=labelled(), loss=BatchAllTripletLoss(model)).train()
