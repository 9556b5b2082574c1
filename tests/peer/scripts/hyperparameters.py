"""What a hyper-parameter search passes: model_init, and a function from the model to the loss."""

from data import ENCODER, labelled
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.losses import BatchAllTripletLoss


def hpo_model_init(trial=None):
    return SentenceTransformer(ENCODER)


def hpo_loss_init(model):
    return BatchAllTripletLoss(model)


args = SentenceTransformerTrainingArguments(output_dir="output", max_steps=2, per_device_train_batch_size=8)
trainer = SentenceTransformerTrainer(
    model=None, args=args, train_dataset=labelled(), model_init=hpo_model_init, loss=hpo_loss_init
)
trainer.train()
