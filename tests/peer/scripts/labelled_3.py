"""The usual script of version 3 with labels, as nine of the public ones have it."""

from data import ENCODER, LABELS, TEXTS
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
from sentence_transformers.losses import BatchSemiHardTripletLoss
from sentence_transformers.training_args import BatchSamplers, SentenceTransformerTrainingArguments

model = SentenceTransformer(ENCODER, device="cpu")
dataset = Dataset.from_dict({"sentence": TEXTS, "label": LABELS}).train_test_split(0.5, seed=1)
args = SentenceTransformerTrainingArguments(
    output_dir="output",
    num_train_epochs=2,
    per_device_train_batch_size=8,
    learning_rate=2e-5,
    weight_decay=0.01,
    warmup_ratio=0.1,
    lr_scheduler_type="cosine",
    gradient_accumulation_steps=1,
    batch_sampler=BatchSamplers.BATCH_SAMPLER,
    save_strategy="epoch",
    logging_steps=1,
    report_to="none",
    seed=42,
)
trainer = SentenceTransformerTrainer(
    model=model, args=args, train_dataset=dataset["train"], loss=BatchSemiHardTripletLoss(model=model, margin=0.5)
)
trainer.train()
curve = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
model.save("output/model")
similarities = model.similarity(model.encode(TEXTS[:4]), model.encode(TEXTS))
assert similarities.shape == (4, 16)
