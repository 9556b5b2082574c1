"""The script of the announcement of version 3, with TripletLoss."""

from data import ENCODER, triplets
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerModelCardData,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.evaluation import TripletEvaluator
from sentence_transformers.losses import TripletLoss
from sentence_transformers.training_args import BatchSamplers

model = SentenceTransformer(
    ENCODER, model_card_data=SentenceTransformerModelCardData(language="en", license="apache-2.0", model_name="a model")
)
train_dataset = triplets().select(range(8))
eval_dataset = triplets().select(range(8, 16))
args = SentenceTransformerTrainingArguments(
    output_dir="models/mpnet",
    num_train_epochs=1,
    per_device_train_batch_size=8,
    per_device_eval_batch_size=8,
    warmup_ratio=0.1,
    batch_sampler=BatchSamplers.BATCH_SAMPLER,
    eval_strategy="steps",
    eval_steps=100,
    logging_steps=100,
)
dev_evaluator = TripletEvaluator(
    anchors=eval_dataset["anchor"], positives=eval_dataset["positive"], negatives=eval_dataset["negative"],
    name="all-nli-dev",
)  # fmt: skip
dev_evaluator(model)
trainer = SentenceTransformerTrainer(
    model=model, args=args, train_dataset=train_dataset, eval_dataset=eval_dataset, loss=TripletLoss(model),
    evaluator=dev_evaluator,
)  # fmt: skip
trainer.train()
model.save_pretrained("models/final")
