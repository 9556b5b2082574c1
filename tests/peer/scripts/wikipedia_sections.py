"""The example with triplets of sentence-transformers 6 (training_wikipedia_sections)."""

import logging

from data import ENCODER, triplets
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import TripletEvaluator
from sentence_transformers.sentence_transformer.losses import TripletLoss
from sentence_transformers.sentence_transformer.trainer import SentenceTransformerTrainer
from sentence_transformers.sentence_transformer.training_args import SentenceTransformerTrainingArguments

model = SentenceTransformer(ENCODER, model_kwargs={"torch_dtype": "float32"})
logging.info(model)
train_loss = TripletLoss(model)
rows = triplets()[:8]
dev_evaluator = TripletEvaluator(rows["anchor"], rows["positive"], rows["negative"], name="wikipedia-sections-dev")
args = SentenceTransformerTrainingArguments(
    output_dir="output",
    num_train_epochs=3,
    per_device_train_batch_size=16,
    per_device_eval_batch_size=16,
    warmup_steps=0.1,
    fp16=False,
    bf16=False,
    eval_strategy="steps",
    eval_steps=2,
    save_strategy="steps",
    save_steps=2,
    save_total_limit=2,
    logging_steps=1,
    run_name="wikipedia-sections-triplet",
)
trainer = SentenceTransformerTrainer(
    model=model, args=args, train_dataset=triplets(), eval_dataset=triplets(), loss=train_loss, evaluator=dev_evaluator
)
trainer.train()
curve = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
dev_evaluator(model)
model.save("output/final")
