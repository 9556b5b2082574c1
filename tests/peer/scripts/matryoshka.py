"""MatryoshkaLoss around a triplet loss."""

from data import ENCODER, labelled
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.losses import BatchAllTripletLoss, MatryoshkaLoss

model = SentenceTransformer(ENCODER)
loss = MatryoshkaLoss(model, BatchAllTripletLoss(model), matryoshka_dims=[32, 16, 8])
args = SentenceTransformerTrainingArguments(
    output_dir="output", max_steps=2, per_device_train_batch_size=16, logging_steps=1
)
trainer = SentenceTransformerTrainer(model=model, args=args, train_dataset=labelled(), loss=loss)
trainer.train()
curve = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
