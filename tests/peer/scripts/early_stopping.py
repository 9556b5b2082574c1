"""An evaluation set, early stopping, and the best checkpoint by its loss."""

from data import ENCODER, labelled
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.losses import BatchHardTripletLoss
from transformers import EarlyStoppingCallback

model = SentenceTransformer(ENCODER)
args = SentenceTransformerTrainingArguments(
    output_dir="output", num_train_epochs=3, per_device_train_batch_size=16, eval_strategy="epoch",
    save_strategy="epoch", load_best_model_at_end=True, metric_for_best_model="eval_loss", logging_steps=1,
)  # fmt: skip
trainer = SentenceTransformerTrainer(
    model=model, args=args, train_dataset=labelled(), eval_dataset={"dev": labelled()}["dev"],
    loss=BatchHardTripletLoss(model, margin=1), callbacks=[EarlyStoppingCallback(2)],
)  # fmt: skip
trainer.train()
curve = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
print(trainer.evaluate())
